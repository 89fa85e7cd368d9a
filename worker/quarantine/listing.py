"""What an operator does with quarantined messages: look at them, and put them back onto their queue.

Decision 8.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from worker.errors import NotFound, WorkerError

# Not requeued, or back again since: what still waits for an operator.
_OPEN: Final = sql.SQL("(requeued_at IS NULL OR last_seen_at > requeued_at)")


class NotWhole(WorkerError):
    """The message was longer than what is kept of it, so it cannot be put back."""

    reason = "not_whole"


class AlreadyRequeued(WorkerError):
    """The message was put back and has not returned since."""

    reason = "already_requeued"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A quarantined message without its content; all times in UTC, `message_bytes` is its whole length.

    `is_open` says that it waits for an operator: it was not put back, or has come back since.
    """

    quarantine_id: int
    reason: str
    detail: str
    queue: str
    producer: str
    task_id: str | None
    task_name: str | None
    headers: dict[str, Any]
    content_type: str | None
    content_encoding: str | None
    message_bytes: int
    is_whole: bool
    is_open: bool
    seen_count: int
    quarantined_at: datetime
    last_seen_at: datetime
    requeued_at: datetime | None
    requeue_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinePage:
    """Messages, newest first; `next_after` is where the next page begins, None after the last one."""

    messages: tuple[Quarantined, ...]
    next_after: int | None


_COMPUTED: Final = {
    "is_whole": sql.SQL("octet_length(message) = message_bytes AS is_whole"),
    "is_open": sql.SQL("{} AS is_open").format(_OPEN),
}
_COLUMNS: Final = sql.SQL(", ").join(
    _COMPUTED.get(field.name, sql.Identifier(field.name)) for field in fields(Quarantined)
)


def list_quarantined(
    connection: psycopg.Connection[Any], *, reason: str | None, only_open: bool, after: int | None, limit: int
) -> QuarantinePage:
    """Return a page of at most `limit` messages, newest first, those before the id `after`."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if reason is not None:
        conditions.append(sql.SQL("reason = {}").format(reason))
    if only_open:
        conditions.append(_OPEN)
    if after is not None:
        conditions.append(sql.SQL("quarantine_id < {}").format(after))
    query = sql.SQL(
        "SELECT {columns} FROM quarantine WHERE {conditions} ORDER BY quarantine_id DESC LIMIT {limit}"
    ).format(columns=_COLUMNS, conditions=sql.SQL(" AND ").join(conditions), limit=limit + 1)
    with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        found = cursor.execute(query).fetchall()
    messages = tuple(found[:limit])
    return QuarantinePage(
        messages=messages, next_after=messages[-1].quarantine_id if len(found) > limit else None
    )


def read_quarantined(connection: psycopg.Connection[Any], quarantine_id: int) -> Quarantined:
    """Return one message without its content. Raises NotFound."""
    query = sql.SQL("SELECT {} FROM quarantine WHERE quarantine_id = {}").format(_COLUMNS, quarantine_id)
    with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        message = cursor.execute(query).fetchone()
    if message is None:
        raise _not_found(quarantine_id)
    return message


def read_content(connection: psycopg.Connection[Any], quarantine_id: int) -> bytes:
    """Return what is kept of a message, as it stood in its queue: it may hold a token. Raises NotFound."""
    row = connection.execute(
        "SELECT message FROM quarantine WHERE quarantine_id = %s", (quarantine_id,)
    ).fetchone()
    if row is None:
        raise _not_found(quarantine_id)
    return bytes(row[0])


def open_ids(connection: psycopg.Connection[Any], *, reason: str, after: int, limit: int) -> Sequence[int]:
    """Return the next `limit` ids beyond `after`, oldest first, of open and whole messages of this reason."""
    query = sql.SQL(
        "SELECT quarantine_id FROM quarantine WHERE reason = {} AND quarantine_id > {} AND {} "
        "AND octet_length(message) = message_bytes ORDER BY quarantine_id LIMIT {}"
    ).format(reason, after, _OPEN, limit)
    return [row[0] for row in connection.execute(query)]


def requeue(  # noqa: PLR0913 - what is put back where, and who says so
    connection: psycopg.Connection[Any],
    push: Callable[[str, bytes], None],
    quarantine_id: int,
    *,
    person: str,
    because: str | None = None,
    again: bool = False,
) -> None:
    """Put a message back with `push(queue, message)`, byte for byte; its row and the audit say so.

    Raises NotFound, NotWhole and, unless `again`, AlreadyRequeued; and what `push` raises, and then nothing
    is marked or noted. The row stays locked until the message is there: two operators do not send it twice,
    and a worker that rejects it again waits and counts it. A death after the push and before the commit
    leaves a message that was put back and looks as if it was not: better sent twice than never.
    """
    with connection.transaction():
        row = connection.execute(
            "SELECT outcome, queue, message FROM requeue_message(%s, %s, %s, %s)",
            (quarantine_id, again, person, because),
        ).fetchone()
        outcome, queue, message = row or ("not_found", "", b"")
        if outcome == "not_found":
            raise _not_found(quarantine_id)
        if outcome == "not_whole":
            raise NotWhole(f"of quarantined message {quarantine_id} only the beginning is kept")
        if outcome == "already_requeued":
            raise AlreadyRequeued(f"quarantined message {quarantine_id} was put back and has not returned")
        push(queue, bytes(message))


def _not_found(quarantine_id: int) -> NotFound:
    return NotFound(f"no quarantined message {quarantine_id} is on record")
