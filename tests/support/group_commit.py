"""Groups that form when a test says so, on the real ledger."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg

from deploy.local.processes import wait_until
from tests.support.books import add_user, new_event, payout, policy, pool_of
from worker.domain.settlement import Settlement
from worker.ledger.group_commit import GroupCommitLedger
from worker.ledger.ledger import Ledger, VerifiedEvent

NAMES = [f"user-{number}" for number in range(1, 6)]
FIRST = "first"
WAIT_SECONDS = 120
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
LOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
# What posts money stands still here for as long as the gate has a row for its cashback.
GATE = """
CREATE TABLE gate (cashback_id bigint);
GRANT SELECT ON gate TO PUBLIC;
CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM gate WHERE cashback_id = NEW.cashback_id) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER stand_still BEFORE INSERT ON transactions FOR EACH ROW EXECUTE FUNCTION stand_still();
"""


@dataclass
class Scene:
    """Books with a user for each cashback, and a ledger whose groups form when the test says so."""

    connection: psycopg.Connection
    locker: psycopg.Connection
    ledger: GroupCommitLedger
    threads: ThreadPoolExecutor

    def settle(self, name: str, event: VerifiedEvent | None = None) -> Future[Settlement]:
        """Begin to settle a payout of 10.00 to a user."""
        return self.threads.submit(settle, self.ledger, name, event)

    def gather(self, events: dict[str, VerifiedEvent]) -> dict[str, Future[Settlement]]:
        """Have all wait behind a first call that stands still; they are one group when it is let go."""
        self.locker.execute("SELECT FROM accounts WHERE user_id = %s FOR UPDATE", (FIRST,))
        first = self.settle(FIRST)
        self.wait_for(LOCKED, 1)
        calls = {name: self.settle(name, event) for name, event in events.items()}
        wait_until(
            lambda: self.ledger.waiting == len(events),
            what="all wait for the first",
            timeout_seconds=WAIT_SECONDS,
        )
        return {FIRST: first, **calls}

    def let_go(self) -> None:
        """Let the first call go on."""
        self.locker.rollback()

    def wait_for(self, query: str, count: int) -> None:
        """Wait until the server shows this many."""
        wait_until(
            lambda: self.connection.execute(query.encode()).fetchone() == (count,),
            what=query,
            timeout_seconds=WAIT_SECONDS,
        )


def settle(ledger: Ledger, name: str, event: VerifiedEvent | None = None) -> Settlement:
    cashback_id = number_of(name)
    return ledger.settle(event or new_event(cashback_id), payout(cashback_id, name, "10"))


def number_of(name: str) -> int:
    return 99 if name == FIRST else int(name.removeprefix("user-"))


@contextmanager
def scene_on(
    database_url: str,
    *,
    ledger_url: str | None = None,
    timeout_seconds: float = 120.0,
    patience: float = 120.0,
) -> Iterator[Scene]:
    with ExitStack() as stack:
        connection = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        locker = stack.enter_context(psycopg.connect(database_url))
        pool = stack.enter_context(
            pool_of(ledger_url or database_url, size=8, timeout_seconds=timeout_seconds)
        )
        threads = stack.enter_context(ThreadPoolExecutor(8))
        for name in [FIRST, *NAMES]:
            add_user(connection, name)
        ledger = GroupCommitLedger(
            pool, policy=policy(), timeout_seconds=timeout_seconds, patience_seconds=patience
        )
        yield Scene(connection, locker, ledger, threads)


def events_of(*names: str) -> dict[str, VerifiedEvent]:
    return {name: new_event(number_of(name)) for name in names}
