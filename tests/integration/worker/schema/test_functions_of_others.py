"""Functions of a later version and of other people stay, and a worker goes on while functions change."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from deploy.local.processes import wait_until
from tests.support.books import SOUND, add_user, audit, ledger_on, new_event, payout
from tests.support.later_schema import (
    FILES,
    NOTES,
    do,
    edited,
    read,
    with_notes,
)
from worker.ledger.ledger import Ledger, SettlementRequest
from worker.schema.files import FunctionFile, SchemaFiles
from worker.schema.functions import ForeignFunction
from worker.schema.migrate import Applied, UnknownSchemaVersion, migrate


def test_functions_of_a_later_version_are_not_put_back_by_an_older_one(database_url: str) -> None:
    added = FunctionFile(
        "functions/added.sql",
        "CREATE OR REPLACE FUNCTION added() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;",
    )
    functions = (in_place(FILES.functions[0]), *FILES.functions[1:], added)
    migrate(database_url, replace(FILES, functions=functions, functions_version=FILES.functions_version + 1))
    before = read(database_url)

    with pytest.raises(UnknownSchemaVersion, match=r"version \d+ of the functions"):
        migrate(database_url)

    assert read(database_url) == before


def test_a_function_that_a_later_version_dropped_is_not_brought_back_by_an_older(
    database_url: str,
) -> None:
    migrate(database_url, with_notes())
    without = replace(with_notes(), functions=FILES.functions, functions_version=FILES.functions_version + 1)
    migrate(database_url, without)
    before = read(database_url)

    with pytest.raises(UnknownSchemaVersion, match=r"version \d+ of the functions"):
        migrate(database_url, with_notes())

    assert read(database_url) == before


def test_an_overload_of_somebody_elses_stays(database_url: str) -> None:
    overload = "CREATE FUNCTION {}(a text, b text, c text) RETURNS text LANGUAGE sql AS $$ SELECT a $$"
    do(database_url, *(overload.format(name) for name in ("close_event", "count_notes")))

    migrate(database_url, with_notes())
    notes = edited(NOTES, "count_notes() RETURNS bigint", "count_notes() RETURNS numeric")
    migrate(
        database_url, replace(with_notes(notes=notes), functions=(*map(in_place, FILES.functions), notes))
    )
    migrate(database_url, replace(with_notes(), functions=FILES.functions))

    with psycopg.connect(database_url) as connection:
        for name in ("close_event", "count_notes"):
            row = connection.execute(f"SELECT {name}('a', 'b', 'c')".encode()).fetchone()
            assert row == ("a",)


def test_a_function_of_somebody_elses_is_not_replaced(database_url: str) -> None:
    do(database_url, "CREATE FUNCTION count_notes() RETURNS bigint LANGUAGE sql AS $$ SELECT 7::bigint $$")
    before = read(database_url)

    with pytest.raises(ForeignFunction, match=r"count_notes\(\)"):
        migrate(database_url, with_notes())

    assert read(database_url) == before


def test_a_schema_with_an_odd_name_is_no_trouble(database_url: str) -> None:
    do(database_url, 'CREATE SCHEMA "Odd-name"')
    url = f"{database_url}?options=-csearch_path%3D%22Odd-name%22"

    migrate(url, with_notes())

    assert migrate(url, with_notes()) == Applied((), ())


def test_a_database_of_a_later_version_keeps_its_functions(database_url: str) -> None:
    migrate(database_url, with_notes())
    before = read(database_url)

    with pytest.raises(UnknownSchemaVersion):
        migrate(database_url)

    assert read(database_url) == before


def settled_by_hand(ledger: Ledger, cashback_id: int) -> list[int | None]:
    """Settle one event alone and one in a group; return their codes."""
    alone = ledger.settle(new_event(cashback_id), payout(cashback_id, "ann", "10"))
    request = SettlementRequest(
        event=new_event(cashback_id + 1),
        instruction=payout(cashback_id + 1, "ann", "10"),
        attempt_seconds=3.0,
    )
    in_group = ledger.settle_group([request], deadline=ledger.next_deadline())
    return [alone.code, *(each.code for each in in_group.values())]


def in_place(file: FunctionFile) -> FunctionFile:
    return replace(file, sql=file.sql + "-- Changed.\n")


def made_anew(file: FunctionFile) -> FunctionFile:
    return replace(file, sql=re.sub(r"\bp_(hold_seconds|events)\b", r"p_new_\1", file.sql) + "-- Changed.\n")


@pytest.mark.parametrize("change", [in_place, made_anew])
def test_a_worker_goes_on_while_functions_change_and_after(
    database_url: str, change: Callable[[FunctionFile], FunctionFile]
) -> None:
    last = FunctionFile("functions/zz_gate.sql", "SELECT pg_advisory_xact_lock(42);")
    files = SchemaFiles(
        trigger_functions=tuple(map(change, FILES.trigger_functions)),
        tables=FILES.tables,
        functions=(*map(change, FILES.functions), last),
        functions_version=FILES.functions_version,
    )
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as gate,
        ledger_on(database_url, size=1) as ledger,
        ThreadPoolExecutor(1) as threads,
    ):
        add_user(connection, "ann")
        codes = settled_by_hand(ledger, 1)
        gate.execute("SELECT pg_advisory_xact_lock(42)")
        migrating = threads.submit(migrate, database_url, files)
        wait_until(lambda: somebody_waits(connection), what="all but the commit is done", timeout_seconds=60)

        codes += settled_by_hand(ledger, 3)
        gate.rollback()
        applied = migrating.result(60)
        codes += settled_by_hand(ledger, 5)

        assert applied.functions == files.function_files
        assert codes == [200] * 6
        assert audit(connection) == SOUND


def somebody_waits(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted)"
    ).fetchone()
    return row is not None and bool(row[0])
