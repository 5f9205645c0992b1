"""What a judge is given, and the judges: each reads the held-out text with the forward pass of the library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from keel.corpus.images.store import Store
from keel.corpus.instructions import Instructions
from keel.corpus.parallel import Bitext
from keel.corpus.shards import Shards
from keel.corpus.store import Corpus, tokenizer_of
from keel.corpus.vocabulary import SPECIAL, Vocabulary
from keel.errors import StudyError
from keel.evaluate import bits_per_byte, hidden_pixels, masked_captions, masked_pairs, probed, targets, written
from keel.evaluate import classes as labelled
from keel.evaluate import masked as filling
from keel.evaluate import replaced as detecting
from keel.evaluate import retrieved as among
from keel.evaluate.bits_per_byte import Judgement, unigram_bits_per_byte
from keel.evaluate.classes import Classed
from keel.evaluate.probed import Probed
from keel.evaluate.retrieved import Retrieved
from keel.objective.base import Objective, Sample


class Exam(NamedTuple):
    """A trained loss with its parts, the text, the positions that the model sees, and held-out samples of that loss.

    `heldout` is made as it is read; judges of a stream of text never read it. `labelled`: training images of a probe.
    """

    parts: Mapping[str, Any]
    objective: Objective
    corpus: Corpus
    context: int
    heldout: Iterable[Sample] = ()
    labelled: Iterable[Sample] = ()

    @property
    def model(self) -> Any:
        """The Trunk that a run gives."""
        return self.parts["model"]

    @property
    def vocabulary(self) -> Vocabulary:
        """What its ids mean."""
        return self.objective.vocabulary


def causal(exam: Exam) -> Judgement:
    """Bits per byte of next-token prediction, in fp32: what a user who loads the model will find."""
    library, shards = exam.model.library, _text(exam)

    def logits_of(tokens: Tensor) -> Tensor:
        hidden = library.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        flat: Tensor = hidden.reshape(-1, hidden.shape[-1]) @ library.get_output_embeddings().weight.T
        return flat

    found = bits_per_byte.judge(logits_of, shards.heldout, shards.heldout_bytes, exam.context, shards.separator)
    counts = shards.token_counts()
    return found._replace(bar=unigram_bits_per_byte(counts, shards.heldout, shards.heldout_bytes, shards.separator))


def masked(exam: Exam) -> Judgement:
    """Bits per byte of filling in: of a stream of text, or of each pair with both its sides in sight."""
    if not isinstance(exam.corpus, Shards):
        counts = _tokens(exam).token_counts()
        return masked_pairs.judge(exam.parts, exam.objective, exam.heldout, counts, _scale(exam))
    held, size = exam.corpus.heldout, exam.corpus.heldout_bytes
    found = filling.judge(exam.model, exam.vocabulary, held, size, exam.context)
    asked = held[exam.vocabulary.kinds(held) != SPECIAL]
    return found._replace(bar=unigram_bits_per_byte(exam.corpus.token_counts(), asked, size))


def captions(exam: Exam) -> Judgement:
    """Bits per byte of filling in captions, each with its image in sight."""
    store = _images(exam)
    text = tokenizer_of(store)
    assert text is not None, "captions are stored with their tokenizer"
    return masked_captions.judge(exam.parts, exam.objective, exam.heldout, store, text)


def writing(exam: Exam) -> written.Captioned:
    """Bits per byte of captions written from images, what is written, and retrieval beside."""
    return written.judge(exam.parts, exam.objective, exam.heldout, _images(exam))


def classes(exam: Exam) -> Classed:
    """Nats of the labels of held-out images."""
    store = _images(exam)
    labels = store.labels()
    return labelled.judge(exam.model.library, exam.heldout, labels[~store.heldout() & (labels >= 0)])


def retrieved(exam: Exam) -> Retrieved:
    """Nats of held-out captions and images among each other."""
    return among.judge(exam.parts, exam.objective, exam.heldout)


def probe(exam: Exam) -> Probed:
    """Nats of held-out labels, by a linear classifier on frozen states."""
    return probed.judge(exam.model, exam.labelled, exam.heldout, len(_images(exam).classes))


def pixels(exam: Exam) -> hidden_pixels.Told:
    """How well hidden patches of held-out images are told."""
    return hidden_pixels.judge(exam.parts, exam.objective, exam.heldout)


def replaced(exam: Exam) -> Judgement:
    """Bits per byte of telling replaced tokens."""
    shards = _text(exam)
    return detecting.judge(
        exam.model, exam.vocabulary, shards.heldout, shards.heldout_bytes, exam.context, shards.token_counts()
    )  # fmt: skip


def target(exam: Exam) -> Judgement:
    """Bits per byte of what the loss has its model write."""
    return targets.judge(exam.parts, exam.objective, exam.heldout, _tokens(exam).token_counts(), _scale(exam))


def _images(exam: Exam) -> Store:
    """The corpus, of images."""
    if not isinstance(exam.corpus, Store):
        raise StudyError("this judge sees images", why=f"the corpus is {exam.corpus.kind}", where="[data]",
                         fix="choose a loss that this data can feed")  # fmt: skip
    return exam.corpus


def _scale(exam: Exam) -> float:
    """Bytes of the text for one byte of its tokens' pieces: not 1 where the tokenizer changed the text."""
    corpus = _tokens(exam)
    known = targets.piece_bytes(exam.vocabulary)[corpus.heldout_tokens()].sum()
    return float(corpus.heldout_bytes / known) if known else 1.0


def _tokens(exam: Exam) -> Shards | Bitext | Instructions:
    """The corpus, of tokens."""
    if isinstance(exam.corpus, Store):
        raise StudyError("this judge reads text", why=f"the corpus is {exam.corpus.kind}", where="[data]",
                         fix="choose a loss that this data can feed")  # fmt: skip
    return exam.corpus


def _text(exam: Exam) -> Shards:
    """The corpus, one stream of text."""
    if not isinstance(exam.corpus, Shards):
        raise StudyError("this judge reads one text", why=f"the corpus is {exam.corpus.kind}", where="[data]",
                         fix="choose a loss that this data can feed")  # fmt: skip
    return exam.corpus
