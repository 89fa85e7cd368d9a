"""The Tab key: commands, options, and the values that are known."""

import re

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from cashback_client.contract import ErrorCode
from deploy.local.environment import ROOT
from worker.cli import cashback
from worker.cli.help.suggested import CODES, REASONS


def completed(line: str) -> list[str]:
    """Return what the Tab key offers at the end of a line."""
    *arguments, incomplete = line.split(" ")[1:]
    completes = ShellComplete(cashback, {}, "cashback", "_CASHBACK_COMPLETE")
    return [item.value for item in completes.get_completions(arguments, incomplete)]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("cashback qu", ["quarantine"]),
        ("cashback list --unc", ["--unconfirmed"]),
        ("cashback list --state re", ["received", "refused"]),
        ("cashback completion ", ["bash", "zsh", "fish"]),
        ("cashback audit list --action intake", ["intake.pause", "intake.resume"]),
        ("cashback quarantine list --reason lost", ["lost_workers"]),
    ],
)
def test_it_offers_what_begins_so(line: str, offered: list[str]) -> None:
    assert completed(line) == offered


def test_the_codes_are_the_contracts() -> None:
    assert list(CODES) == [str(int(code)) for code in ErrorCode]


def test_the_reasons_are_those_of_the_states_page() -> None:
    page = (ROOT / "docs" / "states.md").read_text("utf-8").partition("## Quarantine")[2]
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]

    documented = {reason for row in rows for reason in re.findall(r"`(\w+)`", row)}
    assert set(REASONS) <= documented


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_asks_this_command(shell: str) -> None:
    result = CliRunner().invoke(cashback, ["completion", shell], prog_name="cashback")

    assert result.exit_code == 0
    assert f"_CASHBACK_COMPLETE={shell}_complete" in result.stdout
