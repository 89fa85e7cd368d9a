"""The queues: how long they are, and lists of ours that nobody reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.exceptions import NoPermissionError

from cashback_client.contract import PARTNER_QUEUE_PREFIX, QUEUE, RETRY_QUEUE, queue_of
from cashback_client.envelope import message_in
from worker.doctor.finding import Finding, advice, fault, good, unchecked
from worker.doctor.redis import client
from worker.doctor.settings import PartnerSettings, given, is_given
from worker.queue.transport.held import LANDING, RETURNED
from worker.queue.unread_lists import (
    LIST_ADVICE,
    PARTNER_ADVICE,
    PRIORITY_ADVICE,
    RIGHTS_ADVICE,
    SLIPS,
    of_priority,
    shown,
)

_PART: Final = "queues"
_OURS: Final = (QUEUE, RETRY_QUEUE, RETURNED)
# Of all keys of the server: at some 5,000 a look this is half a second.
_MAX_LOOKS: Final = 200
_KEYS_A_LOOK: Final = 5_000
_MAX_LISTS: Final = 1_000
_MAX_NAMED: Final = 20
# kombu's default queue is many an application's own.
_ANYBODYS: Final = "celery"


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    name: str
    entries: int
    is_ours: bool


def check_queues(timeout_seconds: float) -> list[Finding]:
    """Look at the lengths of our lists, and for messages of ours on other ones."""
    partners = given(PartnerSettings).partners
    read = {*_OURS, *map(queue_of, partners)}
    with client(timeout_seconds) as connected:
        lengths = {name: connected.llen(name) for name in sorted(read)}
        findings = [_lengths(lengths)]
        try:
            names, is_whole = _lists(connected)
        except NoPermissionError:
            why = "this user may not look for lists (SCAN)"
            return [*findings, unchecked(_PART, "foreign_lists", why, RIGHTS_ADVICE)]
        others = [name for name in names if name not in read and not name.startswith(LANDING)]
        found = list(_looked_at(connected, others[:_MAX_LISTS]))
    foreign = list(_foreign(found, priorities=of_priority((QUEUE, RETRY_QUEUE, *map(queue_of, partners)))))
    findings += foreign[:_MAX_NAMED]
    if len(foreign) > _MAX_NAMED:
        findings.append(
            fault(_PART, "foreign_lists", f"and {len(foreign) - _MAX_NAMED} more such lists", LIST_ADVICE)
        )
    if not is_whole or len(others) > _MAX_LISTS:
        what = "Redis has more keys than were looked at"
        findings.append(advice(_PART, "foreign_lists", what, "give the service a Redis of its own"))
    elif not foreign:
        findings.append(
            good(
                _PART,
                "foreign_lists",
                f"no message lies on a list that nobody reads ({len(others)} looked at)",
            )
        )
    return findings


def _lengths(lengths: Mapping[str, Any]) -> Finding:
    return good(_PART, "queue_lengths", ", ".join(f"{name} {length}" for name, length in lengths.items()))


def _lists(connected: "redis.Redis") -> tuple[list[str], bool]:
    """Return the names of the lists, and whether all keys were looked at."""
    names: dict[str, None] = {}
    cursor: Any = 0
    for _ in range(_MAX_LOOKS):
        found: Any = connected.scan(cursor, count=_KEYS_A_LOOK, _type="list")
        cursor, keys = found
        names |= dict.fromkeys(key.decode(errors="surrogateescape") for key in keys)
        if cursor == 0:
            return list(names), True
    return list(names), False


def _looked_at(connected: "redis.Redis", names: list[str]) -> Iterator[_List]:
    for name in names:
        key = name.encode(errors="surrogateescape")
        try:
            entries, ends = connected.llen(key), [connected.lindex(key, -1), connected.lindex(key, 0)]
        except redis.ResponseError:
            # It is not ours to look at, or no list any more.
            continue
        yield _List(name=name, entries=int(entries), is_ours=any(map(_is_message, ends)))


def _is_message(entry: Any) -> bool:  # noqa: ANN401 - what Redis replies
    return isinstance(entry, bytes) and message_in(entry) is not None


def _foreign(lists: list[_List], *, priorities: Mapping[str, str]) -> Iterator[Finding]:
    for each in lists:
        what = f"entries on {shown(each.name)}, which nobody reads: {each.entries}"
        if each.name in priorities:
            queue = priorities[each.name]
            what = f"entries on {shown(each.name)}: {each.entries}; workers bring them to {queue}"
            yield advice(_PART, "foreign_lists", what, PRIORITY_ADVICE)
        elif each.name.startswith(PARTNER_QUEUE_PREFIX):
            yield _of_partner(each, what)
        elif each.is_ours or (each.name in SLIPS and not each.name.startswith(_ANYBODYS)):
            yield fault(_PART, "foreign_lists", what, LIST_ADVICE.replace("(list)", f"'{shown(each.name)}'"))


def _of_partner(each: _List, what: str) -> Finding:
    if is_given("PARTNERS"):
        return fault(_PART, "foreign_lists", what, PARTNER_ADVICE)
    what = f"entries on {shown(each.name)}: {each.entries}; CASHBACK_PARTNERS is not set here"
    return advice(_PART, "foreign_lists", what, "look again with the workers' CASHBACK_PARTNERS")
