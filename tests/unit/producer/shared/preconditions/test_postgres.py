"""What PostgreSQL's answers mean for a process that needs it."""

from dataclasses import replace

import psycopg
import pytest

from producer.shared.preconditions.postgres import (
    FUNCTIONS_VERSION,
    TABLES_VERSION,
    PostgresState,
    SchemaVersions,
    of_error,
    of_state,
)
from producer.shared.preconditions.verdict import NEVER, Kind

GOOD = PostgresState(
    version=180_000, encoding="UTF8", is_standby=False, is_read_only=False, has_schema=True, may_write=True
)
CURRENT = SchemaVersions(TABLES_VERSION, FUNCTIONS_VERSION)


def test_a_server_that_has_all_has_no_verdict() -> None:
    assert of_state(GOOD, CURRENT) == []
    assert GOOD.why_no_writes is None


@pytest.mark.parametrize(
    ("state", "name", "kind"),
    [
        (replace(GOOD, version=130_012), "postgresql_version", Kind.FATAL),
        (replace(GOOD, encoding="LATIN1"), "postgresql_encoding", Kind.FATAL),
        (replace(GOOD, has_schema=False, may_write=None), "schema_missing", Kind.FATAL),
        (replace(GOOD, may_write=False), "postgresql_refused", Kind.FATAL),
        (replace(GOOD, is_standby=True), "postgresql_takes_no_writes", Kind.PASSING),
        (replace(GOOD, is_read_only=True), "postgresql_takes_no_writes", Kind.PASSING),
    ],
)
def test_each_thing_that_is_wrong_has_its_verdict(state: PostgresState, name: str, kind: Kind) -> None:
    [verdict] = of_state(state, CURRENT if state.has_schema else None)

    assert (verdict.name, verdict.kind) == (name, kind)
    assert "\n" not in verdict.sentence


def test_a_standby_is_not_judged_by_its_schema() -> None:
    state = replace(GOOD, is_standby=True, has_schema=False)

    assert [verdict.kind for verdict in of_state(state, None)] == [Kind.PASSING]


@pytest.mark.parametrize(
    ("versions", "name"),
    [
        (SchemaVersions(TABLES_VERSION + 1, FUNCTIONS_VERSION), "schema_newer"),
        (SchemaVersions(TABLES_VERSION, FUNCTIONS_VERSION + 1), "schema_newer"),
        (SchemaVersions(TABLES_VERSION - 1, FUNCTIONS_VERSION), "schema_missing"),
        (SchemaVersions(TABLES_VERSION, FUNCTIONS_VERSION - 1), "schema_missing"),
        (SchemaVersions(None, None), "schema_missing"),
    ],
)
def test_a_schema_of_another_version_is_fatal(versions: SchemaVersions, name: str) -> None:
    [verdict] = of_state(GOOD, versions)

    assert (verdict.name, verdict.kind) == (name, Kind.FATAL)
    # A deployment migrates first: what runs by then goes on until its own program is replaced.
    assert (verdict.confirm_seconds == NEVER) == (name == "schema_newer")


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ('FATAL:  password authentication failed for user "cashback"', "postgresql_refused", Kind.FATAL),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "postgresql_refused", Kind.FATAL),
        ("fe_sendauth: no password supplied", "postgresql_refused", Kind.FATAL),
        ('FATAL:  role "nobody" does not exist', "postgresql_refused", Kind.FATAL),
        ('FATAL:  database "nowhere" does not exist', "schema_missing", Kind.FATAL),
        ("FATAL:  the database system is starting up", "postgresql_unreachable", Kind.PASSING),
        ("FATAL:  sorry, too many clients already", "postgresql_unreachable", Kind.PASSING),
        ("Connection refused\n\tIs the server running?", "postgresql_unreachable", Kind.PASSING),
    ],
)
def test_who_is_refused_is_told_from_who_cannot_be_reached(text: str, name: str, kind: Kind) -> None:
    verdict = of_error(psycopg.OperationalError(f"connection failed: {text}"))

    assert (verdict.name, verdict.kind) == (name, kind)
    assert "\n" not in verdict.sentence
