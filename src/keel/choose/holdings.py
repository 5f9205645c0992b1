"""What the user has to train on: measured by `keel look`, else as stated, and marked so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keel.catalog.store import Catalogue
from keel.size.convert import bytes_per_token, tokens_of
from keel.size.time import Estimate
from keel.study import Study

STATED = "stated, not measured"
LEAST_SHARE = 0.05  # of bytes: a language below it is told, and no base has to know it


class Holdings(NamedTuple):
    """`modality`: text, parallel, instructions, image or image-text. None is unknown. `unit` is that of `unique`.

    `unique`: tokens, images or pairs of one pass, repeated documents left out where their share is known.
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


def of_study(known: Catalogue, study: Study, corpus: Mapping[str, Any] | None) -> Holdings:
    """Measured where corpus.json is there, else stated."""
    return _measured(study, corpus) if corpus is not None else _stated(known, study)


def _measured(study: Study, corpus: Mapping[str, Any]) -> Holdings:
    row = max(corpus["tokens"], key=lambda item: item["vocabulary"])
    shares = [
        (str(item["code"]), float(item["share"])) for item in corpus.get("languages", ()) if item["code"] != "other"
    ]
    sides = tuple(study.data.parallel or ())
    fresh = 1.0 - _repeated(corpus)
    return Holdings(
        modality=corpus.get("kind", "text"), unit="tokens",
        unique=Estimate(row["train_tokens"] * fresh, row["train_tokens_low"] * fresh, row["train_tokens_high"],
                        f"keel look, {row['vocabulary']} tokens of vocabulary"),
        bytes=float(corpus["bytes"]["value"]), documents=float(corpus["documents"]["value"]), labels=_labelled(study),
        pairs=float(corpus["documents"]["value"]) if sides else None, text_tokens=row["train_tokens"],
        languages=sides or tuple(code for code, share in shares if share >= LEAST_SHARE),
        few=tuple(code for code, share in shares if share < LEAST_SHARE), domain="", stated=False,
        source="evidence/corpus.json",
    )  # fmt: skip


def _repeated(corpus: Mapping[str, Any]) -> float:
    """Share of documents that are exact copies of others; 0 where it was not counted."""
    documents, found = float(corpus["documents"]["value"]), corpus.get("duplicates") or {}
    sampled = float(found.get("sampled_documents") or documents) or 1.0
    return min(0.99, float(found.get("exact_documents") or 0.0) / sampled)


def _labelled(study: Study) -> float | None:
    """Labels that [data] states beside its files; None where nothing is said."""
    return float(study.data.stated.labels) if study.data.stated and study.data.stated.labels is not None else None


def _stated(known: Catalogue, study: Study) -> Holdings:
    said = study.data.stated
    assert said is not None, "a study without evidence states its data"
    unit = {"text": "tokens", "image": "images", "image-text": "pairs"}[said.modality]
    pairs = float(said.pairs) if said.pairs is not None else None
    if unit == "tokens":
        unique = _tokens(known, said.tokens, said.bytes, said.languages)
        modality = "parallel" if pairs and pairs >= (said.documents or 0) else "text"
    else:
        count = said.documents if unit == "images" else pairs or said.documents
        unique, modality = (Estimate(count, count, count, STATED) if count else None), said.modality
    if unique and said.duplicates:
        kept = 1.0 - said.duplicates
        unique = Estimate(unique.value * kept, unique.low * kept, unique.high * kept,
                          f"{unique.source}; less {100 * said.duplicates:.3g} % duplicates")  # fmt: skip
    return Holdings(
        modality=modality, unit=unit, unique=unique, bytes=said.bytes, documents=said.documents,
        labels=float(said.labels) if said.labels is not None else None, pairs=pairs, text_tokens=said.tokens, languages=said.languages, few=(),
        domain=said.domain, stated=True, source=f"[data] stated ({STATED})",
    )  # fmt: skip


def _tokens(
    known: Catalogue, tokens: float | None, size_bytes: float | None, languages: tuple[str, ...]
) -> Estimate | None:
    if tokens:
        return Estimate(tokens, tokens, tokens, STATED)
    if not size_bytes:
        return None
    found = tokens_of(size_bytes, bytes_per_token(known, languages))
    return found._replace(source=f"bytes {STATED}; {found.source}")
