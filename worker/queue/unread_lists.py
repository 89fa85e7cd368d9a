"""Lists of Redis that nobody reads: an entry that a sender puts there by a slip lies there for ever.

What kombu puts aside for its priority is ours for certain, and comes to its queue. What lies under other
names may be somebody else's: it is counted and named. A bounded look at known slips. Decision 41.
"""

from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, Final

import structlog

from cashback_client.contract import QUEUE, RETRY_QUEUE, TASK_NAME
from worker.metrics import Metrics

LOOK_SECONDS: Final = 10.0
"""A pause between two looks in which whoever reads a list takes what is next on it."""

# What kombu puts between the name of a queue and a priority; others are often told to use a colon.
SEPARATOR: Final = "\x06\x16"
_PRIORITIES: Final = range(1, 10)
OF_PRIORITY: Final = {
    f"{queue}{SEPARATOR}{priority}": queue for queue in (QUEUE, RETRY_QUEUE) for priority in _PRIORITIES
}
"""The lists onto which a Celery or kombu puts messages with a priority, and the queue of each."""

_KOMBUS_DEFAULT: Final = "celery"
SLIPS: Final = tuple(
    dict.fromkeys(
        (
            *(_KOMBUS_DEFAULT, *(f"{_KOMBUS_DEFAULT}{SEPARATOR}{priority}" for priority in (3, 6, 9))),
            *(f"{QUEUE}:{priority}" for priority in _PRIORITIES),
            *(
                name
                for each in (QUEUE, RETRY_QUEUE, TASK_NAME)
                for name in (each.capitalize(), each.upper(), each.title())
            ),
            *(f"{QUEUE}{mark}{name}" for mark in "-_:" for name in ("retry", "settle", "queue")),
            *(TASK_NAME, "settle", "CashBack", "cashBack", "cash-back", "cash_back", "cashbacks"),
            *("cashback.queue", f"{QUEUE} ", f"{QUEUE}\n", f"queue:{QUEUE}", f"rq:queue:{QUEUE}"),
        )
    )
)
"""The other lists where messages for us are likely to be by a slip; to look at them takes a right."""

_MAX_MOVED: Final = 1_000
_LOOK: Final = resources.files("worker.queue.scripts").joinpath("look_at_lists.lua").read_text("utf-8")
_PRIORITY_ADVICE: Final = "have the sender set no priority: workers take from one list for each queue"
_LIST_ADVICE: Final = f"have the sender put onto {QUEUE}; what is ours there: LMOVE (list) {QUEUE} RIGHT LEFT"
_RIGHTS_ADVICE: Final = "let the user in CASHBACK_REDIS_URL run what deploy/redis/users.conf has for it"

_log = structlog.get_logger(__name__)


class UnreadLists:
    """Looks at the lists, and says what it finds when that changes. For one thread; each worker may have one.

    `ask` gives a client of Redis to a function, and raises where Redis is away.
    """

    def __init__(self, ask: Callable[[Callable[[Any], Any]], Any], metrics: Metrics) -> None:
        self._ask = ask
        self._unread = metrics.unread_entries
        self._moved = metrics.moved_entries
        self._heads: dict[str, tuple[int, bytes]] = {}
        self._told: dict[str, int] = {}
        self._refused: frozenset[str] = frozenset()

    def look(self) -> None:
        """Look; raises what `ask` does."""
        # Ours as well: where they could not be moved, they are to be named.
        names = [name for name in (*OF_PRIORITY, *SLIPS) if name not in self._refused]
        ours = [part for pair in OF_PRIORITY.items() for part in pair]
        reply = self._ask(lambda client: client.eval(_LOOK, 0, _MAX_MOVED, len(OF_PRIORITY), *ours, *names))
        moved, found = reply[: len(OF_PRIORITY)], reply[len(OF_PRIORITY) :]
        self._tell_moved(moved)
        self._compare(dict(zip(names, zip(found[::2], found[1::2], strict=True), strict=True)))

    def _tell_moved(self, moved: Sequence[int]) -> None:
        for (name, queue), entries in zip(OF_PRIORITY.items(), moved, strict=True):
            if entries:
                shown = _shown(name)
                self._moved.labels(list=shown).inc(entries)
                _log.warning(
                    "entries_moved", list=shown, queue=queue, entries=entries, what_to_do=_PRIORITY_ADVICE
                )

    def _compare(self, found: dict[str, tuple[int, bytes]]) -> None:
        """Name what is still the next to be taken after a pause: who reads a list would have taken it."""
        refused = [name for name, (entries, _) in found.items() if entries < 0]
        if refused:
            self._refused |= frozenset(refused)
            _log.warning("lists_not_looked_at", lists=len(refused), what_to_do=_RIGHTS_ADVICE)
        heads = {name: head for name, head in found.items() if head[0] > 0}
        unread = {
            name: entries
            for name, (entries, digest) in heads.items()
            if self._heads.get(name, (0, b""))[1] == digest
        }
        self._heads = heads
        for name in unread.keys() | self._told.keys():
            entries = unread.get(name, 0)
            self._unread.labels(list=_shown(name)).set(entries)
            if entries and entries != self._told.get(name):
                _log.error(
                    "entries_nobody_reads", list=_shown(name), entries=entries, what_to_do=_LIST_ADVICE
                )
        self._told = unread


def _shown(name: str) -> str:
    queue, separator, priority = name.partition(SEPARATOR)
    return f"{queue} (priority {priority})" if separator else name.replace("\n", "\\n")
