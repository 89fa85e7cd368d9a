"""`cashback replay`: what it says before, what it does, and what it never does."""

import json
import os
import pty
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from deploy.local.environment import ROOT
from tests.support import command
from tests.support.accept_answers import ACK, PASSING, REFUSAL
from tests.support.betcore import cashback
from tests.support.handler_bench import Bench, bench
from tests.support.output_schemas import assert_fits
from tests.support.raw_betcore import Answering
from tests.support.replays import books, ended, open_replays, replaying
from tests.support.roles import as_role
from tests.support.worker_process import END_SECONDS
from worker.cli import cashback as cashback_command
from worker.schema.roles import OPERATOR

DOING = ("--reason", "ticket 7", "--yes", "--rate", "200")
Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that runs `cashback replay` in this process, as the operator."""
    monkeypatch.setattr("worker.cli.shared.database.configure_logs", lambda _level: None)

    def replay(*arguments: str, stdin: str | None = None) -> Result:
        environment = {
            "CASHBACK_DATABASE_URL": as_role(database_url, OPERATOR),
            "CASHBACK_PERSON": "anna@desk",
        }
        return CliRunner(env=environment).invoke(cashback_command, ["replay", *arguments], input=stdin)

    return replay


@contextmanager
def working(at: Bench, database_url: str, *, max_tries: int = 5) -> Iterator[None]:
    """Have a worker's thread send replays for the length of the block."""
    stopping = threading.Event()
    with replaying(at, database_url, max_tries=max_tries) as replays:

        def rounds() -> None:
            while not stopping.wait(0.01):
                replays.round()

        thread = threading.Thread(target=rounds)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()


@contextmanager
def service(database_url: str, accept: Answering = ACK, *, max_tries: int = 5) -> Iterator[Bench]:
    with bench(database_url, accept) as at, working(at, database_url, max_tries=max_tries):
        yield at


def document(result: Result, exit_code: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Return what was printed as JSON, which fits its schema."""
    assert (result.exit_code, result.stderr) == (exit_code, "")
    printed = json.loads(result.stdout)
    assert_fits("replay", printed)
    return printed


def sums(**given: object) -> dict[str, object]:
    """Return a line of the sums; what is not given stands for none."""
    nothing = {"unconfirmed": 0, "currency": None, "amount": None, "amount_minor": None}
    return nothing | given


def orders(at: Bench) -> int:
    row = at.connection.execute("SELECT count(*) FROM replay_orders").fetchone()
    assert row is not None
    return int(row[0])


def test_it_says_what_stands_and_what_will_be_sent_and_a_dry_run_stops_there(
    database_url: str, run: Run
) -> None:
    with bench(database_url, ACK) as at:
        paid = [ended(at, cashback(number)) for number in (1, 2)]
        declined = ended(at, cashback(3, PartnerUserId="nobody"), state="refused")

        said = run("--since", "1h", "--dry-run")
        chosen = document(run("--since", "1h", "--dry-run", "--json"))["chosen"]

        assert said.exit_code == 0
        assert "3 events, received " in said.stdout
        assert all(str(each.event_id) in said.stdout for each in (*paid, declined))
        assert chosen["sums"] == [
            sums(code=102145, events=1),
            sums(code=200, events=2, unconfirmed=2, currency="EUR", amount="2001.00", amount_minor=200_100),
        ]
        assert (chosen["events"], chosen["unconfirmed"], chosen["left_out"]) == (3, 2, [])
        assert [each["cashback_id"] for each in chosen["first"]] == [1, 2, 3]
        assert orders(at) == 0


def test_unconfirmed_events_are_sent_again_and_confirmed_and_the_audit_has_each(
    database_url: str, run: Run
) -> None:
    with service(database_url) as at:
        events = [ended(at, cashback(number)) for number in (1, 2)]
        before = books(at.connection)

        done = document(run("--unconfirmed", "--since", "2h", *DOING, "--json"))

        assert (done["order"]["answered"], done["order"]["failed"], done["order"]["open"]) == (2, 0, 0)
        assert (done["order"]["person"], done["order"]["reason"]) == ("anna@desk", "ticket 7")
        assert [at.receipt(event.message) for event in events] == [("answered", 200, False, None)] * 2
        assert books(at.connection) == before
        subjects = at.connection.execute("SELECT subject FROM audit WHERE action = 'replay'").fetchall()
        assert {subject for (subject,) in subjects} == {str(event.event_id) for event in events}

        # A second run finds nothing to do.
        again = run("--unconfirmed", "--since", "2h", *DOING)
        by_id = run(str(events[0].event_id), *DOING)
        assert (again.exit_code, again.stdout) == (0, "Nothing to send.\n")
        assert (by_id.exit_code, by_id.stdout) == (0, "Nothing to send.\n")
        assert "is answered already" in by_id.stderr
        assert len(at.accepts()) == 2


def test_what_failed_is_listed_with_what_betcore_said_and_may_be_ordered_again(
    database_url: str, run: Run
) -> None:
    with service(database_url, REFUSAL) as at:
        event = ended(at)
        for _ in range(2):
            failed = run(str(event.event_id), *DOING)

            assert failed.exit_code == 1
            assert f"  {event.event_id}  HTTP 400, ErrorCode 103752\n" in failed.stdout
            assert at.receipt(event.message) == ("expired", 200, True, "no answer")
        assert orders(at) == 2

        (failure,) = document(run("--order", "1", "--json"), 1)["order"]["failures"]
        assert failure == {
            "event_id": str(event.event_id),
            "error": "HTTP 400, ErrorCode 103752",
            "tries": 1,
            "sent": 1,
        }


def test_while_an_order_is_open_a_second_run_does_nothing(database_url: str, run: Run) -> None:
    with bench(database_url, PASSING) as at:
        event = ended(at)

        first = document(run(str(event.event_id), *DOING, "--no-wait", "--json"))
        second = run(str(event.event_id), *DOING)
        waited = run("--order", "1", "--wait-seconds", "0")

        assert first["order"]["open"] == 1
        assert (second.exit_code, second.stdout) == (0, "Nothing to send.\n")
        assert "has an open replay already, of order 1" in second.stderr
        assert (orders(at), open_replays(at)) == (1, 1)
        assert waited.exit_code == 1
        assert "It goes on by itself. To look again: cashback replay --order 1" in waited.stdout


def test_what_is_under_way_or_unknown_is_refused_and_the_rest_is_sent(database_url: str, run: Run) -> None:
    with service(database_url) as at:
        gone = ended(at, cashback(1))
        waiting = at.message(cashback(2))
        at.handler.handle(waiting, retries=0)
        nobodys = uuid4()

        result = run("--from", "-", *DOING, stdin=f"{gone.event_id}\n\n{waiting.event_id}\n{nobodys}\n")

        assert result.exit_code == 1
        assert f"{waiting.event_id}: is still under way, nothing to replay" in result.stderr
        assert f"{nobodys}: is not on record" in result.stderr
        assert "1 answered, 0 failed, 0 open" in result.stdout
        assert (at.receipt(waiting) or ())[0] == "settled"
        assert len(at.accepts()) == 1


def test_all_that_a_filter_says_must_hold(database_url: str, run: Run) -> None:
    with bench(database_url, ACK) as at:
        expired = ended(at, cashback(1))
        refused = ended(at, cashback(2), state="refused")
        declined = ended(at, cashback(3, PartnerUserId="nobody"))

        def chosen(*arguments: str) -> set[UUID]:
            printed = document(run(*arguments, "--dry-run", "--json"))["chosen"]["first"]
            return {UUID(each["event_id"]) for each in printed}

        assert chosen("--state", "expired") == {expired.event_id, declined.event_id}
        assert chosen("--state", "expired", "--unconfirmed") == {expired.event_id}
        assert chosen("--code", "102145") == {declined.event_id}
        assert chosen("--user", "188509") == {expired.event_id, refused.event_id}
        assert chosen("--cashback", "2") == {refused.event_id}
        assert chosen("--producer", "betcore", "--until", "1h") == set()
        assert chosen("--producer", "edge") == set()
        assert chosen("--since", "1h") == {expired.event_id, refused.event_id, declined.event_id}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--unconfirmed", "--reason", "x"), "without a terminal nobody can be asked"),
        (("--unconfirmed", "--reason", "x", "--json"), "it takes --yes"),
        (("--unconfirmed", "--yes"), "--reason"),
        (("--unconfirmed", "--yes", "--reason", "x" * 501), "500 characters"),
        (("--yes", "--reason", "x"), "say which events"),
        (("--unconfirmed", "--from", "-", "--yes", "--reason", "x"), "say which events"),
        (("--from", "-", "--yes", "--reason", "x"), "line 2: 'no id' is no event id"),
        (("--unconfirmed", "--rate", "201", "--yes", "--reason", "x"), "201"),
    ],
    ids=["no terminal", "JSON", "no reason", "long reason", "nothing", "two ways", "no id", "too fast"],
)
def test_a_wrong_use_does_nothing(database_url: str, run: Run, arguments: tuple[str, ...], said: str) -> None:
    with bench(database_url, ACK) as at:
        event = ended(at)

        result = run(*arguments, stdin=f"{event.event_id}\nno id\n")

        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())
        assert orders(at) == 0


@pytest.mark.parametrize(("answer", "state"), [("y", "answered"), ("n", "expired")])
def test_at_a_terminal_it_asks(database_url: str, tmp_path: Path, answer: str, state: str) -> None:
    with service(database_url) as at:
        event = ended(at)
        terminal, its_end = pty.openpty()
        with (tmp_path / "stdout").open("wb") as stdout, os.fdopen(terminal, "wb", buffering=0) as keyboard:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", "replay", str(event.event_id), "--reason", "ticket 7"],
                cwd=ROOT,
                env=command.environment(database_url=as_role(database_url, OPERATOR)),
                stdin=its_end,
                stdout=stdout,
                stderr=subprocess.PIPE,
            )
            os.close(its_end)
            keyboard.write(f"{answer}\n".encode())
            _, stderr = process.communicate(timeout=END_SECONDS)

        assert b"Send 1 of them again?" in stderr
        assert process.returncode == (0 if answer == "y" else 1)
        assert (at.receipt(event.message) or ())[0] == state
        assert orders(at) == int(answer == "y")


def commands_of(paper: Path) -> list[list[str]]:
    """Return the arguments of the commands in the first block of a paper."""
    block = paper.read_text("utf-8").split("```sh\n", 1)[1].split("```", 1)[0]
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines()]


def test_the_commands_of_the_operating_page_find_replay_and_tell(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.cli.shared.database.configure_logs", lambda _level: None)
    monkeypatch.setenv("CASHBACK_DATABASE_URL", as_role(database_url, OPERATOR))
    with service(database_url) as at:
        event = ended(at)
        said = []
        for arguments in commands_of(ROOT / "docs" / "operating" / "replay.md"):
            given = [str(event.event_id) if each == "EVENT_ID" else each for each in arguments]
            # Here is no terminal.
            asked = given[0] == "replay" and "--dry-run" not in given
            result = CliRunner().invoke(cashback_command, [*given, *(["--yes"] if asked else [])])
            assert result.exit_code == 0, result.output
            said.append(result.stdout)

        assert at.receipt(event.message) == ("answered", 200, False, None)
    found, shown, looked, done, audited = said
    assert all(str(event.event_id) in text for text in (found, shown, looked, audited))
    assert "1 answered, 0 failed, 0 open" in done
    assert "ticket 77" in audited
