"""The README says only what is so: its files, verbs and options exist, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keel import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(text: str) -> list[list[str]]:
    """Every `keel ...` in code blocks and code spans, split at && and comments, as words."""
    code = re.findall(r"```\w*\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text)
    code += re.findall(r"^## (keel .*)$", text, re.M)
    found = []
    for part in re.split(r"\n|&&|;", "\n".join(code)):
        words = part.split("#")[0].split()
        if words[:1] == ["keel"] and len(words) > 1 and words[1].isalpha():
            found.append(words[1:])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@cache
def help_of(verb: str) -> str:
    done = CliRunner().invoke(cli.app, [verb, "--help"])
    assert done.exit_code == 0, f"keel {verb}: {done.output}"
    return done.output


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "verbs.md"], ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    asked = commands(page.read_text())
    for verb, *words in asked:
        for word in words:
            option = word.strip("[]|").partition("=")[0]
            if option.startswith("--"):
                assert option in help_of(verb), f"keel {verb} {option}"
    assert len({verb for verb, *_ in asked if help_of(verb)}) >= 4


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    code = re.findall(r"`[^`]+`|```.*?```", (ROOT / "README.md").read_text(), re.S)
    named = set(re.findall(r"make (\w+)", "\n".join(code)))
    assert {"demo", "test"} <= named
    assert named <= targets


def test_the_tree_is_the_tree() -> None:
    text = (ROOT / "README.md").read_text()
    rooms = {path.name for path in (ROOT / "src" / "keel").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(re.findall(r"^  (\w+)/ ", text.split("src/keel/")[1].split("```")[0], re.M))


def test_the_plan_that_is_shown_is_the_plan(tmp_path: Path) -> None:
    """The study of "Should you pretrain at all?" gives the text below it, word for word."""
    section = (ROOT / "README.md").read_text().split("## Should you pretrain at all?")[1]
    study, shown = re.findall(r"```\n(.*?)```", section, re.S)[:2]
    (tmp_path / "study.toml").write_text(study)
    done = subprocess.run(
        [sys.executable, "-m", "keel", "plan", "--study", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_no_number_is_left_to_fill_in() -> None:
    assert not re.findall(r"@[A-Z]+@", (ROOT / "README.md").read_text())


def test_pages_are_ascii() -> None:
    for page in PAGES:
        assert page.read_text().isascii(), page
