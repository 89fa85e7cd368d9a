"""When a server counts as away, and when it is back."""

import pytest
from structlog.testing import capture_logs

from producer.copies.circuit import Circuit
from producer.copies.errors import CopyFailed, CopyTimedOut, ServerUnreachable


class Watched:
    """A circuit, and how often it has opened."""

    def __init__(self) -> None:
        self.openings = 0
        self.circuit = Circuit("receipt", server="PostgreSQL", on_open=self._opened)

    def _opened(self) -> None:
        self.openings += 1


@pytest.mark.parametrize("error", [CopyTimedOut(), ServerUnreachable()])
def test_a_call_that_comes_to_nothing_for_its_servers_sake_shows_it_away_once(error: CopyFailed) -> None:
    watched = Watched()

    for began in (0.0, 0.5, 1.0):
        watched.circuit.failed(error, began=began, now=began + 2)

    assert watched.circuit.is_away
    assert watched.openings == 1


@pytest.mark.parametrize(
    "error", [CopyFailed("a row that cannot be stored"), RuntimeError("a fault of ours")]
)
def test_what_does_not_speak_for_the_server_leaves_it_there(error: Exception) -> None:
    watched = Watched()

    watched.circuit.failed(error, began=0.0, now=2.0)

    assert not watched.circuit.is_away


def test_a_call_that_hangs_while_others_are_served_leaves_it_there() -> None:
    watched = Watched()

    watched.circuit.succeeded(now=1.0)
    watched.circuit.failed(CopyTimedOut(), began=0.5, now=2.5)
    assert not watched.circuit.is_away

    watched.circuit.failed(CopyTimedOut(), began=1.5, now=3.5)
    assert watched.circuit.is_away


def test_the_first_success_brings_it_back_and_it_can_go_again() -> None:
    watched = Watched()
    watched.circuit.failed(CopyTimedOut(), began=0.0, now=2.0)

    watched.circuit.succeeded(now=3.0)
    assert not watched.circuit.is_away

    watched.circuit.failed(CopyTimedOut(), began=4.0, now=6.0)
    assert watched.openings == 2


def test_one_line_says_that_it_went_and_one_that_it_is_back() -> None:
    circuit = Watched().circuit

    with capture_logs() as lines:
        for began in (0.0, 0.5, 1.0):
            circuit.failed(CopyTimedOut("PostgreSQL did not answer in time"), began=began, now=began + 2)
        for now in (12.0, 13.0):
            circuit.succeeded(now=now)

    assert [(line["event"], line["kind"], line["server"]) for line in lines] == [
        ("copy_away", "receipt", "PostgreSQL"),
        ("copy_back", "receipt", "PostgreSQL"),
    ]
    assert lines[1]["away_seconds"] == 10.0
