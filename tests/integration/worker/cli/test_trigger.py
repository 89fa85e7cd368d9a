"""`cashback trigger`: makes of every kind through the whole service, and no word to what is no simulator."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from deploy.local.environment import SIMULATOR_URL, shell_environment
from deploy.local.ports import free_port
from deploy.local.stack import Stack, StackOptions
from deploy.local.stack.up import SAMPLE_ACCOUNTS
from tests.support.output_schemas import assert_fits
from worker.cli import cashback
from worker.cli.simulator.client import SIMULATOR_VARIABLE
from worker.cli.simulator.makes import KINDS

# So long that no event of a slow machine is over before it is settled.
DEADLINE_SECONDS = "240"
WAIT = ("--wait", "240")
ENDS = {
    "payout": [("answered", 200, False)],
    "cancel": [("answered", 200, False), ("answered", 200, False)],
    "duplicate": [("answered", 200, False), ("answered", 103804, False)],
    "resend": [("answered", 200, False), ("answered", 200, False)],
    "blocked": [("answered", 103779, False)],
    "unknown-user": [("answered", 102145, False)],
    "bad-amount": [("answered", 103801, False)],
    "forged": [(None, None, False)],
    "refused": [("refused", 200, True)],
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Have what `make up` runs, but for Flower."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CASHBACK_")}
    options = StackOptions(
        directory=tmp_path_factory.mktemp("trigger") / "var",
        flower=False,
        accounts_csv=SAMPLE_ACCOUNTS,
        environ=environ | {"CASHBACK_DEADLINE_SECONDS": DEADLINE_SECONDS},
    )
    with Stack(options) as stack:
        yield stack


def trigger(stack: Stack, *arguments: str, **environ: str) -> Result:
    """Run the command as in a shell that has evaluated what `make env` prints."""
    shell = {**shell_environment(stack.environ), SIMULATOR_URL: stack.simulator_url, **environ}
    return CliRunner(env=shell).invoke(cashback, ["trigger", *arguments])


def triggered(stack: Stack, *arguments: str) -> list[dict[str, Any]]:
    result = trigger(stack, *arguments, *WAIT, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert_fits("trigger", document)
    makes: list[dict[str, Any]] = document["makes"]
    return makes


@pytest.mark.parametrize(("kind", "ends"), ENDS.items(), ids=ENDS)
def test_a_make_of_each_kind_ends_as_help_says(
    stack: Stack, kind: str, ends: list[tuple[str | None, int | None, bool]]
) -> None:
    makes = triggered(stack, kind)

    assert [(make["state"], make["code"], make["unconfirmed"]) for make in makes] == ends
    assert len({make["cashback_id"] for make in makes}) == 1
    assert (len({make["event_id"] for make in makes}) < len(makes)) == (kind == "resend")
    assert {make["http_status"] for make in makes} == {401 if kind == "forged" else 200}


def test_a_late_one_is_credited_and_betcore_fails_until_its_deadline(stack: Stack) -> None:
    result = trigger(stack, "late", "--wait", "0", "--json")

    document = json.loads(result.stdout)
    assert_fits("trigger", document)
    assert (result.exit_code, document["not_ended"]) == (1, 1)
    (make,) = document["makes"]
    assert make["state"] in {None, "received", "settled"}
    assert set(KINDS) == {*ENDS, "late", "burst"}


def test_a_burst_is_of_many_cashbacks_and_says_in_short_what_came_of_them(stack: Stack) -> None:
    result = trigger(stack, "burst", "--count", "30", "--user", "188509", "--amount", "0.50", *WAIT)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "     30  answered, code 200" in lines
    assert lines[-1].startswith("Next: cashback show ")
    assert all(len(line) <= 80 for line in lines)


class Stranger(BaseHTTPRequestHandler):
    """Says yes in JSON to whatever it is asked."""

    protocol_version = "HTTP/1.0"
    posted: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        body = b'{"service": "cashier", "partner_url": "http://127.0.0.1"}'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.posted.append(self.path)
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_no_simulator_gets_nothing(stack: Stack, stranger: str) -> None:
    for url in (stranger, stack.receiver_url):
        result = trigger(stack, "payout", **{SIMULATOR_VARIABLE: url})

        assert result.exit_code == 1
        assert f"what answers at {url} is no simulated BETCORE, and nothing was sent" in result.stderr
    assert Stranger.posted == []


def test_one_that_is_away_is_said_to_be(stack: Stack) -> None:
    result = trigger(stack, "payout", **{SIMULATOR_VARIABLE: f"http://127.0.0.1:{free_port()}"})

    assert result.exit_code == 1
    assert "cannot be reached, check CASHBACK_SIMULATOR_URL" in result.stderr


@pytest.mark.parametrize("url", ["", "nonsense"])
def test_without_a_url_it_says_what_to_do(stack: Stack, url: str) -> None:
    result = trigger(stack, "payout", **{SIMULATOR_VARIABLE: url})

    assert result.exit_code == (1 if url else 2)
    assert "make up" in result.stderr


def test_the_variable_is_the_stacks() -> None:
    assert SIMULATOR_URL == SIMULATOR_VARIABLE
