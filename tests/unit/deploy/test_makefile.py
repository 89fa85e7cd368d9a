"""The Makefile: what the documents tell a reader to type is there, and `make` lists it."""

import re
from pathlib import Path

import pytest

from deploy.local.environment import ROOT

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*)(?= ?[a-z-]*:(?!=))", MAKEFILE, re.MULTILINE))
LISTED = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/README.md")])
# As code only: prose says "make sure".
MENTIONED = re.compile(r"`make ([a-z][a-z-]*)[^`]*`|^ *make ([a-z][a-z-]*)\b", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_tells_to_make_is_a_target(document: Path) -> None:
    mentioned = {first or second for first, second in MENTIONED.findall(document.read_text("utf-8"))}

    assert mentioned <= TARGETS


def test_the_readme_is_looked_at() -> None:
    found = {first or second for first, second in MENTIONED.findall((ROOT / "README.md").read_text("utf-8"))}

    assert {"demo", "test", "lint", "help"} <= found


def test_make_lists_what_an_operator_may_count_on() -> None:
    assert {"demo", "up", "check", "test", "lint", "faults", "bench"} <= LISTED
    assert LISTED <= TARGETS
