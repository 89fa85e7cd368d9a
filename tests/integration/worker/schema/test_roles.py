"""What the roles of a deployment do, and that functions which act as the owner cannot be led astray."""

import io
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from producer.shared.preconditions.postgres import RECORDS, SETTLES, check_postgres
from producer.shared.preconditions.verdict import Kind
from tests.support.books import (
    IMPORT_NOTE,
    SOUND,
    add_user,
    audit,
    balances,
    new_event,
    payout,
    policy,
    pool_of,
)
from tests.support.receipts import event, recorded_together
from tests.support.roles import Roles, roles_of
from worker.accounts.importing import import_accounts
from worker.ledger.ledger import Ledger, SettlementRequest
from worker.schema.files import shipped_files
from worker.schema.privileges import ENTRY_POINTS
from worker.schema.roles import CALLS, OPERATOR, READER, RECEIVER, ROLES, WORKER

APPLY = "SELECT * FROM apply_accounts_import('file', 'digest', 'me', NULL)"
OURS = [name for file in shipped_files().function_files for name in file.functions]


@pytest.fixture
def roles(database_url: str) -> Iterator[Roles]:
    """Make the roles of the test's database."""
    with roles_of(database_url) as made:
        yield made


def test_each_process_does_its_work_with_its_own_role(roles: Roles) -> None:
    # given accounts that the operator imported
    with psycopg.connect(roles.url(OPERATOR), autocommit=True) as operator:
        counts = import_accounts(
            operator,
            io.BytesIO(b"user_id,currency,status,balance\nalice,EUR,active,1.00\nbob,EUR,active,0\n"),
            note=IMPORT_NOTE,
        )
    assert counts.opened == 2

    # when the receiver records, and the worker settles what it recorded, alone and in a group
    received = event(1, cashback_id=1)
    assert recorded_together(roles.url(RECEIVER), [received]) == [None]
    with pool_of(roles.url(WORKER)) as pool:
        ledger = Ledger(pool, policy=policy(), timeout_seconds=60)
        asked = [
            SettlementRequest(
                event=new_event(number), instruction=payout(number, user, "2.50"), attempt_seconds=3
            )
            for number, user in ((2, "alice"), (3, "bob"))
        ]
        alone = ledger.settle(new_event(4), payout(4, "alice", "1"))
        together = ledger.settle_group(asked, deadline=ledger.next_deadline())
        answered = ledger.mark_answered([request.event.event_id for request in asked])

    # then the money has moved, and the reader sees that the books are sound
    assert alone.code == 200
    assert {settlement.code for settlement in together.values()} == {200}
    assert answered == 2
    with psycopg.connect(roles.url(READER)) as reader:
        assert audit(reader) == SOUND
        assert balances(reader, "alice", "bob") == {"alice": 450, "bob": 250}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_calls_its_own_functions_and_no_others(roles: Roles, role: str) -> None:
    with psycopg.connect(roles.url(role)) as connection:
        callable_ = [
            name
            for (name,) in connection.execute(
                "SELECT proname FROM pg_proc "
                "WHERE proname = ANY (%s) AND has_function_privilege(oid, 'EXECUTE')",
                (OURS,),
            )
        ]

    assert sorted(callable_) == sorted(CALLS[role])


def test_what_is_called_acts_as_the_owner_in_its_schema_and_nothing_else_does(roles: Roles) -> None:
    with psycopg.connect(roles.owner_url) as connection:
        definers = connection.execute(
            "SELECT proname, ARRAY(SELECT setting FROM unnest(proconfig) AS setting "
            "WHERE setting LIKE 'search_path=%%') FROM pg_proc WHERE prosecdef AND proname = ANY (%s)",
            (OURS,),
        ).fetchall()
        for_all = connection.execute(
            "SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl "
            "WHERE proname = ANY (%s) AND acl.grantee = 0",
            (OURS,),
        ).fetchall()

    assert {name: tuple(path) for name, path in definers} == dict.fromkeys(
        ENTRY_POINTS, ("search_path=public, pg_temp",)
    )
    assert for_all == []


def test_what_lies_in_a_callers_own_schema_is_not_what_the_functions_use(roles: Roles) -> None:
    with psycopg.connect(roles.owner_url, autocommit=True) as owner:
        add_user(owner, "alice")
    # given a worker's session in which other tables, functions and operators come first
    with psycopg.connect(roles.url(WORKER), autocommit=True) as worker:
        worker.execute("CREATE TEMPORARY TABLE accounts (LIKE pg_class)")
        worker.execute("CREATE TEMPORARY TABLE entries (transaction_id bigint)")
        worker.execute("CREATE TEMPORARY TABLE receipts (event_id uuid)")
        worker.execute(
            "CREATE FUNCTION pg_temp.are_payable(numeric, numeric) RETURNS boolean LANGUAGE plpgsql "
            "AS 'BEGIN RAISE ''mine''; END'"
        )
        worker.execute(
            "CREATE FUNCTION pg_temp.never(numeric, numeric) RETURNS boolean LANGUAGE sql AS 'SELECT false'"
        )
        worker.execute(
            "CREATE OPERATOR pg_temp.> (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = pg_temp.never)"
        )
        worker.execute("SET search_path = pg_temp, pg_catalog")

        # when it settles
        paid = new_event(1)
        [(code,)] = worker.execute(
            "SELECT code FROM public.settle_event(%s, %s, 1, now(), 25, 30, 5, 'payout', 1, 'alice', 1, 0, "
            "false, true, true)",
            (paid.event_id, paid.token),
        ).fetchall()

    # then it is the books that were written, also at the commit
    assert code == 200
    with psycopg.connect(roles.owner_url) as owner:
        assert balances(owner, "alice") == {"alice": 100}


def test_a_credit_is_checked_whatever_a_session_puts_off_or_sets(roles: Roles) -> None:
    with psycopg.connect(roles.owner_url, autocommit=True) as owner:
        add_user(owner, "alice")
    forged = new_event(1)

    with psycopg.connect(roles.url(WORKER), autocommit=True) as worker:
        for setting in ("standard_conforming_strings", "array_nulls", "transform_null_equals"):
            worker.execute(sql.SQL("SET {} = {}").format(sql.Identifier(setting), setting.startswith("t")))
        worker.execute("SET TimeZone = 'Pacific/Kiritimati'")
        worker.execute("SET DateStyle = 'German'")
        with worker.transaction():
            worker.execute("SET CONSTRAINTS ALL DEFERRED")
            codes = [
                worker.execute(
                    "SELECT code FROM settle_event(%s, %s, %s, now(), 25, 30, 5, 'payout', 1, %s, %s, 0, "
                    "false, true, true)",
                    (each.event_id, each.token, each.cashback_id, user, amount),
                ).fetchall()
                for each, user, amount in (
                    (forged, "alice", "2.50"),
                    (new_event(1), "alice", "2.50"),
                    (new_event(2), "nobody", "2.50"),
                    (new_event(3), "alice", "-5"),
                )
            ]

    assert codes == [[(200,)], [(103804,)], [(102145,)], [(103801,)]]
    with psycopg.connect(roles.owner_url) as owner:
        assert audit(owner) == SOUND
        assert balances(owner, "alice") == {"alice": 250}


@pytest.mark.parametrize(
    "own",
    [
        (
            "CREATE TEMPORARY VIEW imported_accounts AS SELECT 1::bigint AS line_number, 'x' AS user_id, "
            "'EUR'::char(3) AS currency, 'active' AS status, pg_temp.evil() AS balance_minor"
        ),
        (
            "CREATE TEMPORARY TABLE imported_accounts (line_number bigint, user_id text, currency char(3), "
            "status text, balance_minor bigint GENERATED ALWAYS AS (pg_temp.evil()) STORED)"
        ),
    ],
    ids=["a view", "a table"],
)
def test_an_import_that_nobody_prepared_is_not_read_with_the_owners_rights(roles: Roles, own: str) -> None:
    with psycopg.connect(roles.url(OPERATOR)) as operator:
        operator.execute(
            "CREATE FUNCTION pg_temp.evil() RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT 1::bigint'"
        )
        operator.execute(own.encode())
        for call in ("SELECT * FROM check_accounts_import(1)", "SELECT new_accounts_share()", APPLY):
            with (
                pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="prepare"),
                operator.transaction(),
            ):
                operator.execute(call.encode())
        with pytest.raises(psycopg.errors.DuplicateTable), operator.transaction():
            operator.execute("SELECT prepare_accounts_import()")


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER mine BEFORE INSERT ON imported_accounts FOR EACH ROW EXECUTE FUNCTION pg_temp.evil()",
        "ALTER TABLE imported_accounts ADD CHECK (true)",
        "CREATE RULE mine AS ON INSERT TO imported_accounts DO ALSO NOTHING",
        "CREATE INDEX ON imported_accounts (line_number)",
        "DROP TABLE imported_accounts",
        "SELECT * FROM imported_accounts",
    ],
)
def test_the_table_of_an_import_can_be_filled_and_nothing_else(roles: Roles, change: str) -> None:
    with psycopg.connect(roles.url(OPERATOR)) as operator:
        operator.execute(
            "CREATE FUNCTION pg_temp.evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        )
        operator.execute("SELECT prepare_accounts_import()")

        with pytest.raises(psycopg.errors.InsufficientPrivilege), operator.transaction():
            operator.execute(change.encode())

        operator.execute("INSERT INTO imported_accounts VALUES (1, 'alice', 'EUR', 'active', 100)")
        assert operator.execute("SELECT * FROM check_accounts_import(1)").fetchall() == []
        assert operator.execute(APPLY).fetchall() == [(1, 0, 0)]


def test_a_process_says_at_start_what_its_role_is(roles: Roles) -> None:
    assert check_postgres(roles.url(RECEIVER), RECORDS) == []
    assert check_postgres(roles.url(WORKER), SETTLES) == []

    mixed_up = [
        *check_postgres(roles.url(RECEIVER), SETTLES),
        *check_postgres(roles.url(WORKER), RECORDS),
        *check_postgres(roles.url(READER), SETTLES),
    ]
    [mighty] = check_postgres(roles.owner_url, SETTLES)

    assert {(verdict.name, verdict.kind) for verdict in mixed_up} == {("postgresql_refused", Kind.FATAL)}
    assert len(mixed_up) == 3
    assert (mighty.name, mighty.kind) == ("one_database_role", Kind.ADVICE)
