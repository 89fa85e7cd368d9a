"""How the intake stands, and what a person changes of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from worker.errors import NotFound

_READ: Final = """
    SELECT coalesce(paused_until > clock_timestamp(), false) AS paused, paused_until,
        coalesce(greatest(0, extract(epoch FROM paused_until - clock_timestamp())), 0)::float8
            AS seconds_left,
        changed_at, person, reason
    FROM intake
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """How the intake stands by the database's clock; person and reason are of who changed it last."""

    paused: bool
    paused_until: datetime | None
    seconds_left: float
    changed_at: datetime
    person: str | None
    reason: str | None


def read_intake(connection: psycopg.Connection[Any]) -> Intake:
    """Return how it stands. Raises NotFound."""
    with connection.cursor(row_factory=class_row(Intake)) as cursor:
        intake = cursor.execute(_READ).fetchone()
    if intake is None:
        raise NotFound("the table intake is empty: the database is not whole, see docs/operating/backup.md")
    return intake


def pause_intake(connection: psycopg.Connection[Any], person: str, reason: str, *, seconds: float) -> None:
    """Close it for so long from now; it is on record in the audit."""
    connection.execute("SELECT pause_intake(%s, %s, %s)", (person, reason, seconds))


def resume_intake(connection: psycopg.Connection[Any], person: str, reason: str) -> bool:
    """Open it; true if it was closed. It is on record in the audit."""
    [(was_paused,)] = connection.execute("SELECT resume_intake(%s, %s)", (person, reason)).fetchall()
    return bool(was_paused)
