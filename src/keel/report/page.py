"""All artefacts of a study -> `report.html`: one page, no script, no network, the answer first."""

from __future__ import annotations

from pathlib import Path

from keel.answer import Answer
from keel.files import write_bytes
from keel.report.answer import further_words, headline, plan_words, record_words
from keel.report.artefacts import Artefacts, read
from keel.report.evidence import change_our_mind, how_we_know, record
from keel.report.images import images
from keel.report.inputs import corpus, environment, intent, machine, numbers, reproduce, sources
from keel.report.markup import esc, linked, paragraph, unbroken
from keel.report.results import arms, law, runs
from keel.report.retrieved_page import retrieved
from keel.report.task_figures import uses_of
from keel.report.theme import page_css
from keel.report.use_cases import said as tasks_said
from keel.report.use_cases import tasks
from keel.units import show_bytes

# Nothing may be loaded: even markup that slipped through could reach nobody. Pictures stand in the page itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def report(study_folder: Path) -> Answer:
    """Write `report.html` from whatever is there; the same artefacts give the same bytes.

    Raises:
        StudyError: no study, artefacts that this keel cannot read, or a folder that cannot be written.
    """
    found = read(study_folder, pictures=True)
    page = document(found).encode("ascii", "xmlcharrefreplace")
    write_bytes(study_folder / "report.html", page)
    said = headline(found)
    missing = [missing._asdict() for missing in found.missing]
    text = "\n".join(
        [said, *further_words(found), *tasks_said(found.uses), *(f"{item['what']}: {item['verb']}" for item in missing),
         f"report.html: one page, {show_bytes(len(page))}"]
    )  # fmt: skip
    result = {"answer": said, "bytes": len(page), "missing": missing, "tasks": list(uses_of(found.uses))}
    return Answer(result=result, text=text, reads=list(found.reads), writes=["report.html"])


def document(found: Artefacts) -> str:
    """The whole page."""
    sections = (
        how_we_know, change_our_mind, record, tasks, retrieved, runs, arms, law, numbers, intent, corpus, images,
        machine, environment, sources, reproduce,
    )  # fmt: skip
    body = "".join(part(found) for part in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{esc(found.name)}: keel report</title><style>{page_css()}</style></head>\n"
        f"<body><main>{_opening(found)}{body}</main></body></html>\n"
    )


def _opening(found: Artefacts) -> str:
    """The answer in words, then the sentences that it needs beside it."""
    lead = [paragraph(unbroken(sentence), "lead") for sentence in further_words(found)]
    lead += [paragraph(unbroken(f"{sentence}."), "lead") for sentence in tasks_said(found.uses)]
    if found.scored:
        lead.append(paragraph(f"{unbroken(record_words(found))}.", "lead"))
    route = (found.plan or {}).get("route")
    if isinstance(route, dict):
        lead.append(
            paragraph(f"Route: <b>{esc(route.get('value'))}</b>: {linked(route.get('why') or '')}", "lead muted")
        )
    if found.target is not None and found.plan:
        lead.append(paragraph(esc(plan_words(found)), "lead muted"))
    as_of = (found.plan or {}).get("as_of")
    dated = f" &#183; as of {esc(as_of)}" if as_of else ""
    return (
        f'<p class="kicker">{esc(found.name)} &#183; keel report{dated}</p>'
        f'<h1 class="answer">{unbroken(headline(found))}</h1>{"".join(lead)}'
    )
