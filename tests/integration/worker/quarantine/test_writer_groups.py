"""What waits for the writer is kept in groups: few commits for many messages, each for itself."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue

import psycopg
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from cashback_client.contract import QUEUE
from deploy.local.processes import wait_until
from tests.support.books import pool_of
from worker.ledger.database import Database
from worker.quarantine.description import MAX_MESSAGE_BYTES, Description, describe_bytes
from worker.quarantine.writer import MAX_GROUP, MAX_GROUP_BYTES, Quarantine, QuarantineStore

WAIT_SECONDS = 120.0
MANY = 10 * MAX_GROUP
# The transaction that wrote a row stands in it.
GROUPS = "SELECT count(*), sum(octet_length(message)) FROM quarantine GROUP BY xmin::text"
WAITING_FOR_LOCKS = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


class LettingGo:
    """What the messages of one writer do when they are let go of."""

    def __init__(self) -> None:
        self._gone: SimpleQueue[bytes] = SimpleQueue()

    def of(self, description: Description) -> Callable[[], object]:
        return lambda: self._gone.put(description.message)

    def wait(self, messages: int) -> Counter[bytes]:
        """Return what was let go of, once it is so many."""
        return Counter(self._gone.get(timeout=WAIT_SECONDS) for _ in range(messages))

    def is_over(self) -> bool:
        """Whether nothing was let go of but what was waited for."""
        return self._gone.empty()


@contextmanager
def begun_with(database_url: str, waiting: list[Description]) -> Iterator[LettingGo]:
    """Have a writer begin when all of these wait for it."""
    letting_go = LettingGo()
    with pool_of(database_url) as pool:
        store = QuarantineStore(Database(pool, timeout_seconds=30))
        quarantine = Quarantine(store, registry=CollectorRegistry(), random=lambda: 0.5)
        for description in waiting:
            quarantine.keep(description, then=letting_go.of(description))
        quarantine.start()
        try:
            yield letting_go
        finally:
            quarantine.close(timeout_seconds=WAIT_SECONDS)
    assert letting_go.is_over()


def bad(message: bytes) -> Description:
    return describe_bytes(message, reason="unreadable", detail="no JSON", queue=QUEUE)


def many() -> list[Description]:
    return [bad(b"bad %d" % number) for number in range(MANY)]


def rows(database_url: str, query: str) -> list[tuple[int, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchall()


def kept(database_url: str) -> dict[bytes, int]:
    """Return how often each message was seen, by its bytes."""
    with psycopg.connect(database_url) as connection:
        return dict(connection.execute("SELECT message, seen_count FROM quarantine").fetchall())


def test_many_messages_take_few_commits_and_each_is_let_go_of_once(database_url: str) -> None:
    waiting = many()

    with begun_with(database_url, waiting) as letting_go:
        gone = letting_go.wait(MANY)

    assert gone == Counter(each.message for each in waiting)
    assert kept(database_url) == {each.message: 1 for each in waiting}
    assert len(rows(database_url, GROUPS)) <= MANY / MAX_GROUP


def test_a_group_is_bounded_in_number_and_in_bytes(database_url: str) -> None:
    long = [bad(b"%d" % number * MAX_MESSAGE_BYTES) for number in range(8)]

    with begun_with(database_url, [*many(), *long, *many()]) as letting_go:
        letting_go.wait(2 * MANY + len(long))

    groups = rows(database_url, GROUPS)
    assert max(messages for messages, _ in groups) <= MAX_GROUP
    assert max(size for _, size in groups) <= MAX_GROUP_BYTES + MAX_MESSAGE_BYTES


def test_one_that_the_database_refuses_takes_no_other_with_it(database_url: str) -> None:
    good = many()
    poisonous = replace(bad(b"poison"), queue="")  # the table refuses it
    surprising = replace(bad(b"surprise"), detail="\ud800")  # no PostgreSQL takes it

    with begun_with(database_url, [*good[:5], poisonous, *good[5:], surprising]) as letting_go:
        gone = letting_go.wait(MANY)

    assert gone == Counter(each.message for each in good)
    assert kept(database_url) == {each.message: 1 for each in good}
    # Each of the two went with one group.
    assert len(rows(database_url, GROUPS)) <= MANY / MAX_GROUP + 2 * MAX_GROUP


def test_what_is_delivered_again_as_its_acknowledgement_was_lost_has_one_row(database_url: str) -> None:
    with begun_with(database_url, many()) as letting_go:
        letting_go.wait(MANY)
    with begun_with(database_url, many()) as letting_go:
        letting_go.wait(MANY)

    assert kept(database_url) == {each.message: 2 for each in many()}


def test_the_same_message_twice_in_a_group_is_one_row_and_is_let_go_of_twice(database_url: str) -> None:
    with begun_with(database_url, [bad(b"a"), bad(b"b"), bad(b"a")]) as letting_go:
        gone = letting_go.wait(3)

    assert gone == {b"a": 2, b"b": 1}
    assert kept(database_url) == {b"a": 2, b"b": 1}
    assert rows(database_url, "SELECT count(DISTINCT xmin::text) FROM quarantine") == [(1,)]


def wait_for_locks(database_url: str, statements: int) -> None:
    wait_until(
        lambda: rows(database_url, WAITING_FOR_LOCKS) == [(statements,)],
        what=f"{statements} statements wait for a lock",
        timeout_seconds=WAIT_SECONDS,
    )


def test_two_writers_of_the_same_messages_do_not_wait_for_each_other(database_url: str) -> None:
    three = sorted(map(bad, (b"a", b"b", b"c")), key=lambda each: each.digest)
    with begun_with(database_url, three) as letting_go:
        letting_go.wait(3)

    # given two that have begun at both ends, unless they go one way
    with psycopg.connect(database_url) as holding, capture_logs() as logs:
        holding.execute("SELECT FROM quarantine WHERE digest = %s FOR UPDATE", (three[1].digest,))
        with begun_with(database_url, three) as first, begun_with(database_url, three[::-1]) as second:
            wait_for_locks(database_url, 2)
            holding.rollback()
            first.wait(3)
            second.wait(3)

    assert kept(database_url) == {each.message: 3 for each in three}
    assert {line["event"] for line in logs} == {"message_quarantined"}
