"""The witness in Redis: which commits the ledger answered for last, and which of them it has lost.

It is a record for people to be warned by, and nothing is ever settled from it: whoever can write to Redis can
raise a false alarm and no more. Decision 27.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from worker.broker_client import client_of
from worker.ledger.commit_notes import MAX_COMMITS, Commit
from worker.recovery.broker import BrokerUnavailable

if TYPE_CHECKING:
    import redis

# Sorted sets of what `_member` writes, by when it was seen.
COMMITS_KEY: Final = "cashback:commits"
LOST_KEY: Final = "cashback:commits:lost"

_MAX_MEMBER_CHARS: Final = 120


class RedisWitness:
    """The two records, through kombu's pool (so `sentinel://` works); raises BrokerUnavailable, in time."""

    def __init__(self, pool: Any, *, timeout_seconds: float) -> None:  # noqa: ANN401 - kombu has no types
        self._pool = pool
        self._timeout_seconds = timeout_seconds

    def add(self, commits: Iterable[Commit]) -> None:
        """Put commits on record. One that is there already keeps its time; the oldest beyond the limit go."""
        self._add(COMMITS_KEY, commits)

    def newest(self) -> list[Commit]:
        """Return the commits on record."""
        return self._read(COMMITS_KEY)

    def lost(self) -> list[Commit]:
        """Return the commits that the ledger was found not to have."""
        return self._read(LOST_KEY)

    def move_to_lost(self, commits: Iterable[Commit]) -> int:
        """Put commits on the record of what was lost; returns how many were not on it before."""
        commits = list(commits)
        added = self._add(LOST_KEY, commits)
        with self._client() as client:
            client.zrem(COMMITS_KEY, *map(_member, commits))
        return added

    def move_back(self, commits: Iterable[Commit]) -> None:
        """Put commits that were lost on record as they were before.

        In a split brain they are in one ledger and not in the other, which may be the one that stays.
        """
        commits = list(commits)
        self._add(COMMITS_KEY, commits)
        with self._client() as client:
            client.zrem(LOST_KEY, *map(_member, commits))

    def _add(self, key: str, commits: Iterable[Commit]) -> int:
        times = {_member(commit): commit.seen_at_ms for commit in commits}
        with self._client() as client:
            calls = client.pipeline(transaction=True)
            calls.zadd(key, times, nx=True)
            calls.zremrangebyrank(key, 0, -MAX_COMMITS - 1)
            return int(calls.execute()[0])

    def _read(self, key: str) -> list[Commit]:
        with self._client() as client:
            # Typed for every form of the reply at once; withscores has one.
            members: list[Any] = client.zrange(key, -MAX_COMMITS, -1, withscores=True)
        read = (_commit(member, score) for member, score in members)
        return [commit for commit in read if commit is not None]

    @contextmanager
    def _client(self) -> Iterator["redis.Redis"]:
        try:
            with client_of(self._pool, timeout_seconds=self._timeout_seconds) as client:
                yield client
        except OSError as error:
            raise BrokerUnavailable(str(error)) from error


def _member(commit: Commit) -> str:
    return f"{commit.cashback_id}:{commit.transaction_type}:{commit.event_id}:{commit.transaction_id}"


def _commit(member: object, score: float) -> Commit | None:
    """Read a member; None for what we cannot have written."""
    text = member.decode("ascii", "replace") if isinstance(member, bytes) else str(member)
    if len(text) > _MAX_MEMBER_CHARS:
        return None
    try:
        cashback_id, transaction_type, event_id, transaction_id = text.split(":")
        commit = Commit(
            cashback_id=int(cashback_id),
            transaction_type=int(transaction_type),
            event_id=UUID(event_id),
            transaction_id=int(transaction_id),
            seen_at_ms=int(score),
        )
    except (ValueError, OverflowError):
        return None
    return commit if _member(commit) == text and _fits_the_books(commit) else None


def _fits_the_books(commit: Commit) -> bool:
    return (
        0 < commit.cashback_id < 2**63
        and -(2**31) <= commit.transaction_type < 2**31
        and 0 < commit.transaction_id < 2**63
    )
