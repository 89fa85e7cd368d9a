"""The papers name what is there: each relative link, each heading that one leads to, each file."""

import re
from pathlib import Path

import pytest

from deploy.local.environment import ROOT

PAPERS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
    ]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|sql|md|ya?ml|toml|json|lock|conf))`")
# What is made on this machine, by commands that the papers speak of.
MADE = ("var/",)


def without_code(text: str) -> str:
    """Return the text without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors_of(text: str) -> set[str]:
    """Return what links can lead to in a document: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def faults_of(text: str, paper: Path) -> list[str]:
    """Return the links and the files of a paper that lead nowhere."""
    found = []
    for link in LINK.findall(without_code(text)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (paper.parent / path).resolve() if path else paper
        if not target.exists():
            found.append(f"no file: {link}")
        elif anchor and anchor not in anchors_of(text if target == paper else target.read_text("utf-8")):
            found.append(f"no heading: {link}")
    named = [name for name in FILE.findall(text) if not name.startswith(MADE)]
    return found + [f"no file: {name}" for name in named if not (ROOT / name).is_file()]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_what_a_paper_leads_to_is_there(paper: Path) -> None:
    assert faults_of(paper.read_text("utf-8"), paper) == []


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/nothing.md)",
        "[a](docs/states.md#nothing)",
        "[a](#nothing)",
        "`worker/nothing.py`",
        "`worker/schema/9999_nothing.sql`",
    ],
)
def test_what_leads_nowhere_is_found(text: str) -> None:
    good = "# Here\n[a](docs/states.md#places) [b](#here) [c](https://example.com/x.md) `worker/app.py`\n"

    assert faults_of(good, ROOT / "README.md") == []
    assert len(faults_of(good + text, ROOT / "README.md")) == 1
