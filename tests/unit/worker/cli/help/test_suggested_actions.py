"""What the audit may have of people is what the SQL functions note, and what the page for operators lists."""

import re
from itertools import chain

from deploy.local.environment import ROOT
from worker.cli.help.suggested import ACTIONS
from worker.schema.files import shipped_files

NOTED = re.compile(r"note_(?:action|actions|adjustment)\((?:CASE[^)]*?END|'[a-z_.]+')")
NAME = re.compile(r"'([a-z_]+(?:\.[a-z_]+)*)'")


def noted() -> set[str]:
    """Return the actions that functions of the schema put on record."""
    calls = chain.from_iterable(NOTED.findall(file.sql) for file in shipped_files().functions)
    names = set(chain.from_iterable(NAME.findall(call) for call in calls))
    return {name for name in names if "." in name or name == "replay"}


def test_each_action_is_completed_and_explained() -> None:
    assert noted() == set(ACTIONS)


def test_each_action_is_on_the_page() -> None:
    page = (ROOT / "docs" / "operating" / "audit.md").read_text("utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| `")]

    listed = {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row.split("|")[1])}

    assert set(ACTIONS) <= listed
