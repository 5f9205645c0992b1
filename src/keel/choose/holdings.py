"""What the user has to train on: measured by `keel look`, else as stated, and marked so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keel.catalog.store import Catalogue
from keel.data import OF_IMAGES, Stated
from keel.size.convert import bytes_per_token, tokens_of
from keel.size.time import Estimate
from keel.study import Study

STATED = "stated, not measured"
MEASURED, IMAGES = "evidence/corpus.json", "evidence/images.json"
INSTEAD = " in place of what [data] stated says, but for "
LEAST_SHARE = 0.05  # of bytes: a language below it is told, and no base has to know it
# Where documents are not counted, text of at most so many bytes a pair is the pairs themselves: a convention, two
# paragraphs. More is text beside them.
PAIR_BYTES = 2000.0


class Holdings(NamedTuple):
    """`modality`: text, parallel, instructions, image or image-text. None is unknown. `unit` is that of `unique`.

    `unique`: tokens, images or pairs of one pass, repeated documents left out where their share is known. `pairs`:
    inputs with their outputs, or images with texts. `languages`: those that a base has to know; `few`: those of a
    smaller share. `text_tokens`: of the texts, repeats included.
    `rows`: of the eval files, those that are learnt from, by use case; None where they are not counted yet.
    """

    modality: str
    unit: str
    unique: Estimate | None
    bytes: float | None
    documents: float | None
    labels: float | None
    pairs: float | None
    text_tokens: float | None
    languages: tuple[str, ...]
    few: tuple[str, ...]
    domain: str
    stated: bool
    source: str
    rows: Mapping[str, int | None] = {}

    @property
    def document_tokens(self) -> float | None:
        """Tokens of a mean document; None where it is unknown."""
        return self.text_tokens / self.documents if self.text and self.text_tokens and self.documents else None

    @property
    def supervised(self) -> bool:
        """Whether a sample is an input with its output: a translation, a summary, an instruction's answer."""
        return self.modality in ("parallel", "instructions")

    @property
    def text(self) -> bool:
        """Whether a sample is text alone."""
        return self.unit == "tokens"

    @property
    def generic(self) -> str:
        """The modality of models that read it: text, vision or vision-language."""
        return {"image": "vision", "image-text": "vision-language"}.get(self.modality, "text")


def of_study(
    known: Catalogue, study: Study, corpus: Mapping[str, Any] | None, rows: Mapping[str, int | None] = {}
) -> Holdings:
    """Measured where corpus.json or images.json is there, else stated."""
    if corpus is None:
        return _stated(known, study)._replace(rows=rows)
    seen = _images(known, study, corpus) if corpus.get("kind") in OF_IMAGES else _measured(study, corpus)
    return seen._replace(rows=rows)


def _measured(study: Study, corpus: Mapping[str, Any]) -> Holdings:
    row, said = max(corpus["tokens"], key=lambda item: item["vocabulary"]), study.data.stated
    shares = {str(item["code"]): float(item["share"]) for item in corpus["languages"]}
    sides, documents = tuple(study.data.parallel or ()), float(corpus["documents"]["value"])
    repeated, kind = _repeated(corpus), str(corpus.get("kind", "text"))
    known = Estimate(row["train_tokens"], row["train_tokens_low"], row["train_tokens_high"],
                     f"keel look, {row['vocabulary']} tokens of vocabulary")  # fmt: skip
    return Holdings(
        modality=kind, unit="tokens", unique=_less(known, repeated),
        bytes=float(corpus["bytes"]["value"]), documents=documents, labels=_labelled(study),
        pairs=None if kind == "text" else documents * (1.0 - repeated), text_tokens=row["train_tokens"],
        languages=sides or tuple(code for code, share in shares.items() if share >= LEAST_SHARE and code != "other"),
        few=tuple(f"{code} {100 * share:.2g} %" for code, share in shares.items()
                  if code not in sides and (share < LEAST_SHARE or code == "other")),
        domain=said.domain if said else "", stated=False,
        source=MEASURED + (f"{INSTEAD}labels and domain" if said else ""),
    )  # fmt: skip


def _images(known: Catalogue, study: Study, seen: Mapping[str, Any]) -> Holdings:
    """Of images, or of pairs: what is left to train on; the tokens of captions are told from their bytes."""
    said, told, classes = study.data.stated, seen["captions"], seen["classes"]
    repeated = float(seen["duplicates"]["exact_samples"]) / float(seen["duplicates"]["of_images"])
    count, train = float(seen["images"]), float(seen["split"]["train_images"])
    shares = {str(item["code"]): float(item["share"]) for item in (told["languages"] if told else ())}
    languages = tuple(code for code, share in shares.items() if share >= LEAST_SHARE and code != "other")
    unit = str(seen["size"]["unit"])
    return Holdings(
        modality="image-text" if told else "image", unit=unit,
        unique=_less(Estimate(train, train, train, f"keel look, {unit} that are not held out"), repeated),
        bytes=float(seen["bytes"]) + (float(told["bytes"]) if told else 0.0), documents=count,
        labels=count - float(classes["unlabelled"]) if classes else _labelled(study),
        pairs=count * (1.0 - repeated) if told else None,
        text_tokens=tokens_of(float(told["bytes"]), bytes_per_token(known, languages)).value if told else None,
        languages=languages,
        few=tuple(f"{code} {100 * share:.2g} %" for code, share in shares.items() if code not in languages),
        domain=said.domain if said else "", stated=False,
        source=IMAGES + (f"{INSTEAD}{'domain' if classes else 'labels and domain'}" if said else ""),
    )  # fmt: skip


def _less(amount: Estimate, repeated: float) -> Estimate:
    """What is left without the documents that repeat others, taken to be as long as the rest."""
    if not repeated:
        return amount
    return amount.times(1.0 - repeated, f"{amount.source}; less {100 * repeated:.3g} % duplicates")


def _repeated(corpus: Mapping[str, Any]) -> float:
    """Share of documents that are exact copies of an earlier one; 0 where that was not counted.

    Example:
        >>> _repeated({"duplicates": {"exact_documents": 3, "sampled_documents": 4}}), _repeated({})
        (0.75, 0.0)
    """
    found = corpus.get("duplicates") or {}
    sampled = float(found.get("sampled_documents") or 0.0)
    return float(found["exact_documents"]) / sampled if sampled else 0.0


def _labelled(study: Study) -> float | None:
    """Labels that [data] states; None where nothing is said."""
    said = study.data.stated
    return float(said.labels) if said is not None and said.labels is not None else None


def _stated(known: Catalogue, study: Study) -> Holdings:
    said = study.data.stated
    assert said is not None, "a study without evidence states its data"
    unit = {"text": "tokens", "image": "images", "image-text": "pairs"}[said.modality]
    pairs = float(said.pairs) if said.pairs is not None else None
    if unit == "tokens":
        unique, modality = _tokens(known, said), "parallel" if _all_pairs(said) else "text"
    else:
        count = said.documents if unit == "images" else pairs or said.documents
        unique, modality = (Estimate(count, count, count, STATED) if count else None), said.modality
    return Holdings(
        modality=modality, unit=unit, unique=_less(unique, said.duplicates or 0.0) if unique else None,
        bytes=said.bytes, documents=said.documents, labels=_labelled(study), pairs=pairs,
        text_tokens=unique.value if unit == "tokens" and unique else said.tokens, languages=said.languages, few=(),
        domain=said.domain, stated=True, source=f"[data] stated ({STATED})",
    )  # fmt: skip


def _all_pairs(said: Stated) -> bool:
    """Whether the text is pairs of input and output, or has them beside it."""
    if not said.pairs:
        return False
    if said.documents:
        return said.pairs >= said.documents
    return said.bytes is not None and said.bytes / said.pairs <= PAIR_BYTES


def _tokens(known: Catalogue, said: Stated) -> Estimate | None:
    """Tokens as stated, else from the bytes; None where only documents are counted."""
    if said.tokens:
        return Estimate(said.tokens, said.tokens, said.tokens, STATED)
    if not said.bytes:
        return None
    found = tokens_of(said.bytes, bytes_per_token(known, said.languages))
    return found._replace(source=f"bytes {STATED}; {found.source}")
