"""The end of a run: judged, gated, exported; `result.json` holds nothing that a clock or a machine could change."""

from __future__ import annotations

import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from keel import evaluate, model
from keel.corpus.images.store import Store
from keel.corpus.store import Corpus, heldout_told
from keel.corpus.tokenizer import with_special
from keel.corpus.vocabulary import Vocabulary
from keel.evaluate import Judged
from keel.evaluate.exam import Exam
from keel.evaluate.probed import MOST_TRAINING
from keel.evaluate.retrieved import Retrieved
from keel.files import place_error, write_json, write_text
from keel.model.pair import SHARED
from keel.model.shapes import Size
from keel.objective import cost
from keel.objective.base import Around
from keel.plan.spec import Spec
from keel.run import heldout, picture_files, shown
from keel.run.card import APART, card
from keel.run.pictures import want_of
from keel.run.train import Trained
from keel.run.whose_tokens import tokenizer_json

SCHEMA = "keel.result/1"


def finish(spec: Spec, folder: Path, corpus: Corpus, trained: Trained) -> dict[str, Any]:
    """Judge, gate and write `result.json`; a run that passes is exported to `model/`; no trunk is."""
    size = Size(**spec.size)
    params = cost.params(spec.objective, spec.options, spec.family, size)
    flop_a_token = cost.flop_per_token(spec.objective, spec.options, spec.family, size)
    shape, judge = model.load(spec.family).shape(size), trained.objective.facts.judge
    judgement, gate = None, None
    if trained.failed:
        gate = {"name": "diverged", "why": trained.failed}
    else:
        most = evaluate.MOST.get(judge, 0)
        questions = heldout.samples_of(trained.objective, corpus, want_of(shape, spec.seed), most)
        labelled = heldout.labelled_of(trained.objective, corpus, want_of(shape, spec.seed), MOST_TRAINING)
        exam = Exam(trained.parts, trained.objective, corpus, size.context, questions, labelled)
        judgement = evaluate.judge(judge)(exam)
        gate = _stalled(judgement, judge)
        found = getattr(judgement, "among", judgement)
        if isinstance(found, Retrieved) and isinstance(corpus, Store):
            shown.write(folder, corpus, found)
    result = {
        "id": folder.name, "kind": spec.kind, "family": spec.family, "objective": spec.objective,
        "params": params._asdict() | {"total": params.total}, "tokens": spec.tokens,
        "steps": spec.steps, "flop": flop_a_token * spec.tokens,
        "judge": judge, **(judgement.told() if judgement else evaluate.unjudged(judge)),
        "heldout": heldout_told(corpus),
        "ok": gate is None, "gate": gate, "spec_sha256": spec.digest(),
    }  # fmt: skip
    if spec.kind != "trunk" and gate is None:
        _export(spec, folder, corpus, trained, result)
    write_json(folder / "result.json", SCHEMA, result)
    return result


def _stalled(judgement: Judged, judge: str) -> dict[str, str] | None:
    """The gate every rung must pass: better than frequencies alone, of tokens or of classes, or than chance."""
    bar = judgement.bar
    if not math.isfinite(judgement.value):
        return {"name": "diverged", "why": "the held-out loss is not finite"}
    if bar is not None and judgement.value >= bar:
        found = f"{judgement.value:.3f} {judge.replace('_', ' ')}"
        return {"name": "stalled", "why": f"{found} is no better than {judgement.floor} ({bar:.3f})"}
    return None


def _export(spec: Spec, folder: Path, corpus: Corpus, trained: Trained, result: dict[str, Any]) -> None:
    """`model/`: weights, config, tokenizer and card, loadable with from_pretrained; whole or absent.

    Raises:
        StudyError: the disk is full, or cannot be written.
    """
    target, building = folder / "model", folder / ".model"
    shutil.rmtree(building, ignore_errors=True)
    try:
        _write_model(spec, building, corpus, trained, result)
        shutil.rmtree(target, ignore_errors=True)
        building.replace(target)
    except (OSError, SafetensorError) as error:
        # The library writes through Rust, whose errors carry the system's number as text.
        number = re.search(r"os error (\d+)", str(error))
        cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(None, str(error))
        raise place_error(error if isinstance(error, OSError) and error.errno else cause, target) from error


def _write_model(spec: Spec, target: Path, corpus: Corpus, trained: Trained, result: dict[str, Any]) -> None:
    trained.objective.export(trained.parts, spec.family, target)
    if (text := tokenizer_json(trained.objective.facts, trained.objective.options, corpus)) is not None:
        known = trained.objective.vocabulary
        try:
            laid = trained.objective.around(int(spec.size["context"]))
            library_tokenizer(text, known, laid).save_pretrained(target)
        except Exception as error:  # the library raises its own bare Exception, a full disk's too
            raise (OSError(str(error)) if "os error" in str(error) else error) from error
    if isinstance(corpus, Store):
        side = model.load(spec.family).shape(Size(**spec.size)).image
        settings = trained.objective.pixels(side, str(corpus.index["data"]["background"]))
        picture_files.write(target, settings, corpus.classes if spec.size.get("classes") else ())
    opened = trained.objective.opened or (APART if (target / SHARED).exists() else "")
    write_text(target / "README.md", card(spec, result, opened))


def library_tokenizer(tokenizer_json: str, vocabulary: Vocabulary, laid: Around) -> Any:
    """The library's tokenizer with the special tokens of a loss: as many entries as the model has rows."""
    from transformers import PreTrainedTokenizerFast

    fast = Tokenizer.from_str(with_special(tokenizer_json, vocabulary.special))
    if laid.before or laid.behind:
        first, last = ([str(fast.id_to_token(vocabulary.id_of(role))) for role in part] for part in laid[1:])
        known = [(str(fast.id_to_token(index)), index) for index in map(vocabulary.id_of, {*laid.before, *laid.behind})]
        fast.post_processor = TemplateProcessing(single=" ".join([*first, "$A", *last]), special_tokens=known)
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        model_max_length=laid.positions,
        clean_up_tokenization_spaces=False,
        **_named(vocabulary, fast),
    )


def _named(vocabulary: Vocabulary, tokenizer: Tokenizer) -> dict[str, str]:
    """The library's names of special tokens, as the tokenizer spells them (a released base's are its own); where there
    is no padding or start, the separator stands in, as ever."""
    spelled = {role: str(tokenizer.id_to_token(index)) for role, index in vocabulary.special.items()}
    end = spelled["separator"]
    named = {"eos_token": end, "bos_token": spelled.get("start", end), "pad_token": spelled.get("pad", end)}
    if "mask" in spelled:
        named |= {"mask_token": spelled["mask"], "cls_token": spelled["start"], "sep_token": end}
    return named
