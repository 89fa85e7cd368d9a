"""When a process makes connections while statements of earlier ones still run."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from producer.shared.postgres.abandoned import AbandonedConnections, ConnectionsHeldBack

SIZE = 3
CAP_SECONDS = 4.0


@dataclass(eq=False)
class Connection:
    """A connection to a server on which these backends are at work."""

    pid: int
    at_work: set[int] = field(default_factory=set)
    fails: bool = False
    closed: bool = False
    asked: list[Any] = field(default_factory=list)

    @property
    def pgconn(self) -> SimpleNamespace:
        return SimpleNamespace(backend_pid=self.pid)

    def still_running(self, asked: list[int]) -> list[tuple[int]]:
        self.asked.append(asked)
        if self.fails:
            raise psycopg.OperationalError("frozen")
        return [(pid,) for pid in asked if pid in self.at_work]


class Process:
    """What connects, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.kept: list[Connection] = []
        self.abandoned = AbandonedConnections(size=SIZE, monotonic=lambda: self.now, random=lambda: 0.999)

    def connect(self, connection: Connection, *, wait_seconds: float = 0.0) -> Connection:
        with self.abandoned.connecting(wait_seconds=wait_seconds):
            try:
                if asked := self.abandoned.take_in(_psycopg(connection)):
                    self.abandoned.decide(asked, connection.still_running(asked))
            except psycopg.Error:
                connection.closed = True
                raise
        self.kept.append(connection)
        return connection

    def let_go(self, connection: Connection) -> None:
        self.abandoned.let_go(_psycopg(connection).pgconn.backend_pid)
        connection.closed = True

    def seconds_held_back(self, connection: Connection) -> float:
        """Return after how long the next connection is tried, whatever becomes of it."""
        begun = self.now
        while not connection.asked:
            self.now += 0.125
            with suppress(psycopg.Error):
                self.connect(connection)
        return self.now - begun


def _psycopg(connection: Connection) -> "psycopg.Connection[Any]":
    return cast("psycopg.Connection[Any]", connection)


def test_while_nothing_was_let_go_of_nobody_is_asked() -> None:
    process = Process()

    connections = [process.connect(Connection(pid)) for pid in range(SIZE)]

    assert [connection.asked for connection in connections] == [[]] * SIZE


def test_what_still_runs_keeps_its_place() -> None:
    process = Process()
    first, second, _ = (process.connect(Connection(pid)) for pid in range(SIZE))
    process.let_go(first)
    process.let_go(second)

    with pytest.raises(ConnectionsHeldBack, match="of 3 places none is left"):
        process.connect(Connection(9, at_work={0, 1}))
    process.now += CAP_SECONDS

    process.connect(Connection(10, at_work={1}))


def test_the_pauses_grow_to_their_cap_and_begin_anew_when_nothing_runs() -> None:
    process = Process()
    for connection in [process.connect(Connection(pid)) for pid in range(SIZE)]:
        process.let_go(connection)
    with pytest.raises(ConnectionsHeldBack):
        process.connect(Connection(9, at_work={0, 1, 2}))

    pauses = [process.seconds_held_back(Connection(pid, at_work={0, 1, 2})) for pid in range(10, 16)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.5, CAP_SECONDS)

    process.now += CAP_SECONDS
    process.let_go(process.connect(Connection(20)))
    process.connect(Connection(21, at_work={20}))
    assert process.seconds_held_back(Connection(22, at_work={20})) == 0.5


def test_a_server_that_does_not_say_is_asked_with_growing_pauses_too() -> None:
    process = Process()
    process.let_go(process.connect(Connection(0)))
    with pytest.raises(psycopg.OperationalError):
        process.connect(Connection(1, fails=True))

    pauses = [process.seconds_held_back(Connection(pid, fails=True)) for pid in range(2, 5)]

    assert pauses == [0.5, 1.0, 2.0]


def test_one_looks_at_a_time() -> None:
    process = Process()
    process.let_go(process.connect(Connection(0)))

    with process.abandoned.connecting(), pytest.raises(ConnectionsHeldBack, match="not so soon"):
        process.connect(Connection(1))

    process.connect(Connection(2))


def test_who_comes_while_one_looks_goes_on_where_that_finds_nothing() -> None:
    process = Process()
    process.let_go(process.connect(Connection(0)))

    with ThreadPoolExecutor(1) as executor:
        with process.abandoned.connecting():
            other = executor.submit(process.connect, Connection(2), wait_seconds=120)
            first = Connection(1)
            asked = process.abandoned.take_in(_psycopg(first))
            process.abandoned.decide(asked, first.still_running(asked))

        assert other.result(timeout=120).asked == []
