"""The four commands of docs/operating/at-night.md, as they stand there: an unconfirmed event is put right."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deploy.local.environment import ROOT, SIMULATOR_URL, shell_environment
from deploy.local.processes import wait_until
from deploy.local.stack import Stack, StackOptions
from deploy.local.stack.up import SAMPLE_ACCOUNTS
from worker.cli import cashback

PAGE = (ROOT / "docs" / "operating" / "at-night.md").read_text("utf-8")
# So long that no event of a slow machine is over before it is settled.
DEADLINE_SECONDS = "240"
LIMIT_SECONDS = "3600"
WAIT_SECONDS = 240


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Have what `make up` runs, but for Flower."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CASHBACK_")}
    options = StackOptions(
        directory=tmp_path_factory.mktemp("night") / "var",
        flower=False,
        accounts_csv=SAMPLE_ACCOUNTS,
        simulator_arguments=("--accept-limit-seconds", LIMIT_SECONDS),
        environ=environ | {"CASHBACK_DEADLINE_SECONDS": DEADLINE_SECONDS},
    )
    with Stack(options) as stack:
        yield stack


def commands_of_the_page() -> list[str]:
    """Return the commands of the first block, which is all that somebody has to type."""
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    return block[1].strip().splitlines()


def run(stack: Stack, line: str) -> Result:
    """Run a line as in a shell that has evaluated what `make env` prints."""
    shell = {**shell_environment(stack.environ), SIMULATOR_URL: stack.simulator_url, "CASHBACK_PERSON": "ann"}
    program, *arguments = shlex.split(line)
    assert program == "cashback"
    result = CliRunner(env=shell).invoke(cashback, arguments)
    assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
    return result


def event_of(stack: Stack, cashback_id: int) -> dict[str, Any]:
    document = json.loads(run(stack, f"cashback show {cashback_id} --json").stdout)
    (event,) = document["events"]
    found: dict[str, Any] = event
    return found


def test_its_four_commands_find_explain_put_right_and_show_what_was_done(stack: Stack) -> None:
    # Given a credit that BETCORE said no to,
    triggered = json.loads(run(stack, f"cashback trigger refused --wait {WAIT_SECONDS} --json").stdout)
    (make,) = triggered["makes"]
    event_id = make["event_id"]
    entries = "cashback accounts show 188509 --json"
    balance = json.loads(run(stack, entries).stdout)["balance"]
    find, explain, put_right, trace = (line.replace("EVENT_ID", event_id) for line in commands_of_the_page())

    # when they are typed one after the other,
    assert event_id in run(stack, find).stdout
    explained = run(stack, explain).stdout
    assert event_id in explained
    assert "Money moved, and BETCORE has NOT acknowledged it." in explained
    assert "refused" in explained
    assert "unconfirmed" in explained
    run(stack, put_right)

    # then BETCORE knows, the money moved once, and who did it is on record.
    wait_until(
        lambda: event_of(stack, make["cashback_id"])["state"] == "answered",
        what="BETCORE acknowledged the replayed answer",
        timeout_seconds=WAIT_SECONDS,
    )
    assert event_id not in run(stack, find).stdout
    assert json.loads(run(stack, entries).stdout)["balance"] == balance == "10.00"
    (record,) = json.loads(run(stack, f"{trace} --json").stdout)["records"]
    assert (record["action"], record["person"]) == ("replay", "ann")
    assert record["reason"] == shlex.split(put_right)[shlex.split(put_right).index("--reason") + 1]
