"""Lists of Redis that nobody reads: an entry that a sender puts there by a slip lies there for ever.

What kombu puts aside for its priority is ours for certain, and comes to its queue. What lies under other
names may be somebody else's: it is counted and named. A bounded look, at known slips, and for lists of
partners that are not in CASHBACK_PARTNERS. Decisions 41 and 44.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from typing import Any, Final

import structlog

from cashback_client.contract import PARTNER_QUEUE_PREFIX, QUEUE, RETRY_QUEUE, TASK_NAME, queue_of
from worker.metrics import Metrics

LOOK_SECONDS: Final = 10.0
"""A pause between two looks in which whoever reads a list takes what is next on it."""

# What kombu puts between the name of a queue and a priority; others are often told to use a colon.
SEPARATOR: Final = "\x06\x16"
_PRIORITIES: Final = range(1, 10)


def of_priority(queues: Iterable[str]) -> dict[str, str]:
    """Return the lists onto which a Celery or kombu puts messages with a priority, and the queue of each."""
    return {f"{queue}{SEPARATOR}{priority}": queue for queue in queues for priority in _PRIORITIES}


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
_OF_PARTNERS: Final = f"{PARTNER_QUEUE_PREFIX}*"
# Of all keys of the server at one look, some 0.2 ms of its time; the next one goes on from there.
_KEYS_A_LOOK: Final = 1_000
# Lists of partners that nobody reads; each is a label of the metric.
_MAX_FOUND: Final = 64
_MAX_SHOWN_CHARS: Final = 80
_LOOK: Final = resources.files("worker.queue").joinpath("look_at_lists.lua").read_text("utf-8")
PRIORITY_ADVICE: Final = "have the sender set no priority: workers take from one list for each queue"
LIST_ADVICE: Final = f"have the sender put onto {QUEUE}; what is ours there: LMOVE (list) {QUEUE} RIGHT LEFT"
PARTNER_ADVICE: Final = (
    "name the partner in CASHBACK_PARTNERS and start the workers anew, or take its user of Redis away"
)
RIGHTS_ADVICE: Final = "let the user in CASHBACK_REDIS_URL run what deploy/redis/users.conf has for it"

_log = structlog.get_logger(__name__)


class UnreadLists:
    """Looks at the lists, and says what it finds when that changes. For one thread; each worker may have one.

    `ask` gives a client of Redis to a function, and raises where Redis is away. `partners` have lists that
    are read.
    """

    def __init__(
        self,
        ask: Callable[[Callable[[Any], Any]], Any],
        metrics: Metrics,
        *,
        partners: Iterable[str] = (),
    ) -> None:
        self._ask = ask
        queues = [queue_of(partner) for partner in partners]
        self._of_priority = of_priority((QUEUE, RETRY_QUEUE, *queues))
        self._read = {*queues, *self._of_priority}
        self._cursor = b"0"
        self._found: dict[str, None] = {}
        self._unread = metrics.unread_entries
        self._moved = metrics.moved_entries
        self._heads: dict[str, tuple[int, bytes]] = {}
        self._told: dict[str, int] = {}
        self._refused: frozenset[str] = frozenset()

    def look(self) -> None:
        """Look; raises what `ask` does."""
        # Ours as well: where they could not be moved, they are to be named.
        names = [name for name in (*self._of_priority, *SLIPS, *self._found) if name not in self._refused]
        ours = [part for pair in self._of_priority.items() for part in pair]
        arguments = (_MAX_MOVED, len(self._of_priority), self._cursor or b"0", _OF_PARTNERS, _KEYS_A_LOOK)
        lists = [name.encode(errors="surrogateescape") for name in (*ours, *names)]
        cursor, keys, *rest = self._ask(lambda client: client.eval(_LOOK, 0, *arguments, *lists))
        moved, looked = rest[: len(self._of_priority)], rest[len(self._of_priority) :]
        self._tell_moved(moved)
        self._compare(dict(zip(names, zip(looked[::2], looked[1::2], strict=True), strict=True)))
        self._note_found(cursor, keys)

    def _note_found(self, cursor: bytes, keys: Sequence[bytes]) -> None:
        """Have lists of partners that nobody is known to read looked at from the next time on."""
        if not cursor and self._cursor:
            _log.warning("lists_of_partners_not_looked_for", what_to_do=RIGHTS_ADVICE)
        self._cursor = cursor
        # What is gone makes room for others; a list that fills again is found again.
        self._found = {name: None for name in self._found if name in self._heads}
        names = (key.decode(errors="surrogateescape") for key in keys)
        for name in [name for name in names if name not in self._read][: _MAX_FOUND - len(self._found)]:
            self._found[name] = None

    def _tell_moved(self, moved: Sequence[int]) -> None:
        for (name, queue), entries in zip(self._of_priority.items(), moved, strict=True):
            if entries:
                list_name = shown(name)
                self._moved.labels(list=list_name).inc(entries)
                _log.warning(
                    "entries_moved", list=list_name, queue=queue, entries=entries, what_to_do=PRIORITY_ADVICE
                )

    def _compare(self, found: dict[str, tuple[int, bytes]]) -> None:
        """Name what is still the next to be taken after a pause: who reads a list would have taken it."""
        refused = [name for name, (entries, _) in found.items() if entries < 0]
        if refused:
            self._refused |= frozenset(refused)
            _log.warning("lists_not_looked_at", lists=len(refused), what_to_do=RIGHTS_ADVICE)
        heads = {name: head for name, head in found.items() if head[0] > 0}
        unread = {
            name: entries
            for name, (entries, digest) in heads.items()
            if self._heads.get(name, (0, b""))[1] == digest
        }
        self._heads = heads
        for name in unread.keys() | self._told.keys():
            entries = unread.get(name, 0)
            self._unread.labels(list=shown(name)).set(entries)
            if entries and entries != self._told.get(name):
                advice = PARTNER_ADVICE if name in self._found else LIST_ADVICE
                _log.error("entries_nobody_reads", list=shown(name), entries=entries, what_to_do=advice)
        self._told = unread


def shown(name: str) -> str:
    """Return how a list is called where people read it."""
    queue, separator, priority = name.partition(SEPARATOR)
    text = f"{queue} (priority {priority})" if separator else name
    return text.encode("unicode_escape").decode()[:_MAX_SHOWN_CHARS]
