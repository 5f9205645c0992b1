"""A plan's decision -> `request.html`: the budget as one page that can be approved. No script, no network.

The ask, what it buys, what could go wrong, its share of the value, what other sums would buy. It reads plan.json alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel import study as studies
from keel.answer import Answer
from keel.errors import StudyError
from keel.files import read_json, write_bytes
from keel.report.markup import esc, paragraph, unbroken
from keel.report.page import POLICY
from keel.report.request_input import Request, request_of
from keel.report.request_parts import ask_facts, bought, other_sums, risks, sign, sum_parts
from keel.report.request_words import headline, leads
from keel.report.theme import page_css
from keel.study import Study
from keel.units import show_bytes

FILE = "request.html"
PRINT = """
.ask{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.5rem 1.5rem;margin:1.25rem 0 0;
padding:.9rem 0 0;border-top:1px solid var(--line)}
.ask div{margin:0}
.ask dt{color:var(--muted);font-size:.8125rem}
.ask dd{margin:.1rem 0 0;font-size:1.0625rem;font-weight:600;line-height:1.35}
.ask dd small{display:block;color:var(--muted);font-size:.8125rem;font-weight:400}
.sign{display:grid;grid-template-columns:2fr 1fr 1fr;gap:1.5rem;margin:2.5rem 0 0}
.sign span{border-top:1px solid var(--ink);padding-top:.25rem;color:var(--muted);font-size:.8125rem}
h2{margin-top:1.9rem}
@media print{
@page{margin:9mm 13mm}
html{font-size:11.5px}
body{font-size:8pt;line-height:1.3}
tr:last-child td{border-bottom:0}
td .note{display:inline;margin-left:.4em}
.answer{font-size:1.3rem;margin-bottom:.5rem}
.kicker{margin-bottom:.5rem}
.lead{max-width:none;margin-bottom:.25rem}
.ask{margin-top:.6rem;padding-top:.5rem}
.ask dd{font-size:.95rem}
h2{margin:.5rem 0 .3rem;padding-top:.35rem;font-size:1rem}
p,ul,dl,table,figure,.scroll{margin-bottom:.35rem}
li{margin:.1rem 0}
th,td{padding-top:.15rem;padding-bottom:.15rem}
table{font-size:7.5pt}
figure{margin-top:.25rem}
figure svg{max-height:4.3cm}
figcaption{margin-top:.1rem;font-size:7.5pt}
.facts{gap:.1rem 1rem}
.sign{margin-top:2.2rem;break-inside:avoid}
}
"""


def write(study_folder: Path) -> Answer:
    """Write `request.html` beside plan.json; the same plan gives the same bytes.

    Raises:
        StudyError: no study or no plan; a plan that holds no decision.
    """
    study, path = studies.load(study_folder), study_folder / "plan.json"
    if not path.exists():
        raise StudyError("there is no plan yet", why="plan.json is missing", fix="run `keel plan`",
                         where=str(study_folder))  # fmt: skip
    plan = read_json(path, "keel.plan/1")
    if not isinstance(plan.get("decision"), Mapping):
        raise StudyError("the plan holds no decision", why="another keel made it", fix="run `keel plan` again",
                         where=str(path))  # fmt: skip
    page = request(plan, study, study_folder.resolve().name).encode("ascii", "xmlcharrefreplace")
    write_bytes(study_folder / FILE, page)
    said = headline(request_of(plan, study))
    text = f"{said}\n{FILE}: one page, {show_bytes(len(page))}"
    return Answer(result={"ask": said, "bytes": len(page)}, text=text, reads=["study.toml", "plan.json"], writes=[FILE])


def request(plan: Mapping[str, Any], study: Study, name: str = "") -> str:
    """The page, from plan.json's tree (`decision` and `numbers` in it) and the study that it was made of.

    Anything that the plan does not know is left out or said to be unknown.
    """
    made = request_of(plan, study)
    dated = f" &#183; as of {esc(made.as_of)}" if made.as_of else ""
    lead = "".join(paragraph(unbroken(sentence), "lead") for sentence in leads(made))
    title = esc(name or "a study")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: request</title><style>{page_css()}{PRINT}</style></head>\n"
        f'<body><main><p class="kicker">{title} &#183; request for a budget{dated}</p>'
        f'<h1 class="answer">{unbroken(headline(made))}</h1>{lead}{ask_facts(made)}{_body(made)}'
        "</main></body></html>\n"
    )


def _body(made: Request) -> str:
    return bought(made) + other_sums(made) + risks(made) + sum_parts(made) + sign(made)
