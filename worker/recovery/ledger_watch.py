"""A thread in every worker that keeps the witness, and looks whether the ledger has lost what it holds.

It is beside the path: nothing waits for it, and whatever fails here is tried again. Decision 27.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from worker.errors import LedgerUnavailable
from worker.ledger.commit_notes import MAX_COMMITS, Commit, CommitNotes
from worker.recovery.broker import BrokerUnavailable
from worker.recovery.rewind import Rewinds
from worker.recovery.witness import RedisWitness

# Nobody waits for the witness: one call of Redis for all commits of this time.
PAUSE_SECONDS: Final = 1.0
COMPARE_SECONDS: Final = 60.0
# A pool that has lost its connections makes new ones one by one: one comparison for them all.
RECONNECT_SECONDS: Final = 5.0
# Of the pauses between comparisons, so that workers do not compare in step.
_JITTER: Final = 0.2
_AFTER_FAILURE_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class LedgerWatch:
    """Passes on what was committed; compares at start, after each reconnect to PostgreSQL, and each minute.

    While a comparison is due nothing is put on record, so that what a rewound ledger commits does not push
    out what it has lost. `connections_made` counts the connections that were ever made to PostgreSQL.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        notes: CommitNotes,
        witness: RedisWitness,
        rewinds: Rewinds,
        connections_made: Callable[[], int],
        random: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notes = notes
        self._witness = witness
        self._rewinds = rewinds
        self._connections_made = connections_made
        self._random = random
        self._monotonic = monotonic
        self._held: list[Commit] = []
        self._compared_at = -math.inf
        self._compare_after_seconds = 0.0
        self._connections_compared = -1
        self._is_failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self, *, timeout_seconds: float) -> None:
        """Put on record what was committed last, for at most `timeout_seconds`."""
        self._stopping.set()
        self._thread.join(timeout_seconds)

    def round(self) -> None:
        """Compare if it is time to, and put on record what was committed since the last round.

        Raises LedgerUnavailable and BrokerUnavailable; up to MAX_COMMITS nothing is forgotten by that.
        """
        self._held = [*self._held, *self._notes.take()][-MAX_COMMITS:]
        connections, now = self._connections_made(), self._monotonic()
        since_seconds = now - self._compared_at
        is_new = connections != self._connections_compared
        if is_new and since_seconds < RECONNECT_SECONDS:
            return
        if is_new or since_seconds >= self._compare_after_seconds:
            self._rewinds.compare(self._held)
            self._compared_at, self._connections_compared = now, connections
            self._compare_after_seconds = COMPARE_SECONDS * (1 - _JITTER + 2 * _JITTER * self._random())
        if self._held:
            self._witness.add(self._held)
            self._held = []

    def _run(self) -> None:
        pause_seconds = 0.0
        while not self._stopping.wait(pause_seconds):
            pause_seconds = PAUSE_SECONDS if self._works() else _AFTER_FAILURE_SECONDS
        self._works()

    def _works(self) -> bool:
        """Do one round; say, once for all failures in a row, why it fails."""
        try:
            self.round()
        except (LedgerUnavailable, BrokerUnavailable) as error:
            if not self._is_failing:
                _log.warning("ledger_watch_waits", reason=error.reason, error=str(error))
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The thread must outlive any surprise: without it no rewind would be noticed.
            _log.exception("ledger_watch_failed")
        else:
            self._is_failing = False
            return True
        self._is_failing = True
        return False
