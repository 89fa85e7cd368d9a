"""What the roles of a deployment may do, and what each may not."""

import io
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from producer.shared.preconditions.postgres import RECORDS, SETTLES, check_postgres
from producer.shared.preconditions.verdict import Kind
from tests.support import command
from tests.support.books import SOUND, add_user, audit, balances, new_event, payout, policy, pool_of
from tests.support.receipts import event, recorded_together
from tests.support.roles import Roles, dropped_roles, roles_of, url_as
from worker.accounts.importing import import_accounts
from worker.ledger.ledger import Ledger, SettlementRequest
from worker.schema.files import shipped_files
from worker.schema.migrate import migrate
from worker.schema.roles import CALLS, OPERATOR, READER, RECEIVER, ROLES, WORKER, RoleMissing, RoleTooMighty

CREDIT = (
    "SELECT settle_event('00000000-0000-8000-8000-000000000001', 'forged', 1, now(), 25, 30, 5, "
    "'payout', 1, 'alice', 1000000.00, 0, false, true, true)"
)
BY_HAND = (
    "INSERT INTO transactions (kind, cashback_id, transaction_type, event_id, account_id, amount_minor) "
    "VALUES ('payout', 1, 1, gen_random_uuid(), 1, 100)"
)
WRITES = (
    BY_HAND,
    "INSERT INTO entries (transaction_id, account_id, amount_minor) VALUES (1, 1, 1), (1, 2, -1)",
    "UPDATE accounts SET balance_minor = 100",
    "UPDATE accounts SET status = 'active'",
    "UPDATE receipts SET state = 'answered'",
    "DELETE FROM receipts",
    "INSERT INTO receipts (event_id) VALUES (gen_random_uuid())",
    "DELETE FROM tokens",
    "TRUNCATE tokens_00",
    "INSERT INTO tokens_kept (received_at, event_id, slot, token) VALUES (now(), gen_random_uuid(), -1, 'x')",
    "UPDATE sweep_bound SET bound = 'infinity'",
    "DELETE FROM quarantine",
    "UPDATE quarantine SET message = ''",
    "UPDATE schema_versions SET version = 9999",
    "UPDATE schema_functions SET version = 9999",
    "SELECT nextval('transactions_transaction_id_seq')",
    "SELECT setval('accounts_account_id_seq', 1)",
)
DEFINITIONS = (
    "ALTER TABLE entries DISABLE TRIGGER ALL",
    "ALTER TABLE receipts DISABLE TRIGGER receipts_guard",
    "SET session_replication_role = replica",
    "DROP TABLE entries",
    "CREATE TABLE mine (x integer)",
    "CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER mine BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE SCHEMA mine",
)
INNER = (
    "SELECT record_receipt(gen_random_uuid(), 'x', 1, now(), 25, 30, 5)",
    "SELECT post_payouts(NULL, false)",
    "SELECT post_payout(gen_random_uuid(), 1, 1, NULL, 1, 0, false)",
    "SELECT keep_tokens(0, now(), now(), 1)",
    "SELECT token_of(gen_random_uuid())",
)


@pytest.fixture
def roles(database_url: str) -> Iterator[Roles]:
    """Make the roles of the test's database."""
    with roles_of(database_url) as made:
        yield made


def refusal(url: str, statement: str) -> str | None:
    """Return why PostgreSQL refuses a statement for want of a right; None where it was not for that."""
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            return str(error)
        except psycopg.Error:
            return None
    return None


def test_each_process_does_its_work_with_its_own_role(roles: Roles) -> None:
    # given accounts that the operator imported
    with psycopg.connect(roles.url(OPERATOR), autocommit=True) as operator:
        counts = import_accounts(
            operator,
            io.BytesIO(b"user_id,currency,status,balance\nalice,EUR,active,1.00\nbob,EUR,active,0\n"),
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
    with psycopg.connect(roles.owner_url) as owner:
        assert audit(owner) == SOUND
        assert balances(owner, "alice", "bob") == {"alice": 450, "bob": 250}
    with psycopg.connect(roles.url(READER)) as reader:
        assert reader.execute("SELECT sum(amount_minor) FROM entries").fetchall() == [(0,)]


@pytest.mark.parametrize("role", ROLES)
def test_no_role_writes_to_a_table_or_changes_what_guards_it(roles: Roles, role: str) -> None:
    url = roles.url(role)

    taken = [statement for statement in (*WRITES, *DEFINITIONS, *INNER) if refusal(url, statement) is None]

    assert taken == []


@pytest.mark.parametrize("role", ROLES)
def test_each_role_calls_its_own_functions_and_no_others(roles: Roles, role: str) -> None:
    ours = [name for file in shipped_files().function_files for name in file.functions]
    with psycopg.connect(roles.url(role)) as connection:
        callable_ = [
            name
            for (name,) in connection.execute(
                "SELECT proname FROM pg_proc "
                "WHERE proname = ANY (%s) AND has_function_privilege(oid, 'EXECUTE')",
                (ours,),
            )
        ]

    assert sorted(callable_) == sorted(CALLS[role])


def test_the_receivers_role_credits_nobody(roles: Roles) -> None:
    with psycopg.connect(roles.owner_url, autocommit=True) as owner:
        add_user(owner, "alice")

    for role in (RECEIVER, OPERATOR, READER):
        assert "settle_event" in (refusal(roles.url(role), CREDIT) or "")
    with psycopg.connect(roles.owner_url) as owner:
        assert balances(owner, "alice") == {"alice": 0}


@pytest.mark.parametrize("role", [RECEIVER, WORKER, READER])
def test_tokens_and_messages_are_read_by_nobody_who_need_not(roles: Roles, role: str) -> None:
    for table in ("tokens", "tokens_00", "tokens_kept", "quarantine"):
        assert refusal(roles.url(role), f"SELECT * FROM {table}") is not None  # noqa: S608 - names of ours


def test_what_lies_in_a_callers_own_schema_is_not_what_the_functions_use(roles: Roles) -> None:
    with psycopg.connect(roles.owner_url, autocommit=True) as owner:
        add_user(owner, "alice")
    # given a worker's session in which other tables and functions come first
    with psycopg.connect(roles.url(WORKER), autocommit=True) as worker:
        worker.execute("CREATE TEMPORARY TABLE accounts (LIKE pg_class)")
        worker.execute("CREATE TEMPORARY TABLE entries (transaction_id bigint)")
        worker.execute("CREATE TEMPORARY TABLE receipts (event_id uuid)")
        worker.execute("SET search_path = pg_temp")
        schema = sql.Identifier("public")

        # when it settles
        paid = new_event(1)
        [(code,)] = worker.execute(
            sql.SQL(
                "SELECT code FROM {}.settle_event(%s, %s, 1, now(), 25, 30, 5, 'payout', 1, 'alice', 1, 0, "
                "false, true, true)"
            ).format(schema),
            (paid.event_id, paid.token),
        ).fetchall()

    # then it is the books that were written, also at the commit
    assert code == 200
    with psycopg.connect(roles.owner_url) as owner:
        assert balances(owner, "alice") == {"alice": 100}


def test_an_import_that_nobody_prepared_is_not_read_with_the_owners_rights(roles: Roles) -> None:
    with psycopg.connect(roles.url(OPERATOR)) as operator:
        operator.execute(
            "CREATE TEMPORARY VIEW imported_accounts AS SELECT 1::bigint AS line_number, 'x' AS user_id, "
            "'EUR'::char(3) AS currency, 'active' AS status, 1::bigint AS balance_minor"
        )
        for call in ("SELECT * FROM check_accounts_import(1)", "SELECT * FROM apply_accounts_import()"):
            with (
                pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="prepare"),
                operator.transaction(),
            ):
                operator.execute(call.encode())


def test_a_process_says_at_start_what_its_role_is(roles: Roles) -> None:
    assert check_postgres(roles.url(RECEIVER), RECORDS) == []
    assert check_postgres(roles.url(WORKER), SETTLES) == []

    [mixed_up] = check_postgres(roles.url(RECEIVER), SETTLES)
    [mighty] = check_postgres(roles.owner_url, SETTLES)

    assert (mixed_up.name, mixed_up.kind) == ("postgresql_refused", Kind.FATAL)
    assert (mighty.name, mighty.kind) == ("one_database_role", Kind.ADVICE)


def test_the_command_makes_the_roles_with_their_passwords(database_url: str) -> None:
    with dropped_roles(database_url, f"test_{uuid4().hex[:12]}") as names:
        for _ in range(2):
            ended = command.run(
                "migrate",
                "--json",
                database_url=database_url,
                database_roles=names.prefix,
                worker_role_password="canary-of-the-worker",
            )
            assert ended.exit_code == 0

        with psycopg.connect(database_url) as connection:
            kept: dict[str, str | None] = dict(
                connection.execute(
                    "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE %s", (f"{names.prefix}%",)
                ).fetchall()
            )
    assert sorted(kept) == sorted(map(names.name, ROLES))
    assert str(kept[names.name(WORKER)]).startswith("SCRAM-SHA-256$")
    assert kept[names.name(RECEIVER)] is None


def test_a_role_that_may_do_more_is_refused(roles: Roles) -> None:
    worker = sql.Identifier(roles.names.name(WORKER))
    for more, undo, why in (
        ("ALTER ROLE {} CREATEROLE", "ALTER ROLE {} NOCREATEROLE", "makes roles"),
        (
            "GRANT INSERT ON entries TO {}",
            "REVOKE INSERT ON entries FROM {}",
            "may write to the table entries",
        ),
        ("GRANT TRUNCATE ON tokens_03 TO {}", "REVOKE TRUNCATE ON tokens_03 FROM {}", "tokens_03"),
        (
            "GRANT CREATE ON SCHEMA public TO {}",
            "REVOKE CREATE ON SCHEMA public FROM {}",
            "the schema public",
        ),
    ):
        with psycopg.connect(roles.owner_url, autocommit=True) as owner:
            owner.execute(sql.SQL(more).format(worker))
            try:
                with pytest.raises(RoleTooMighty, match=why):
                    migrate(roles.owner_url, roles=roles.names)
            finally:
                owner.execute(sql.SQL(undo).format(worker))
    migrate(roles.owner_url, roles=roles.names)


def test_an_owner_that_may_make_no_roles_is_told_what_to_ask_for(empty_database_url: str) -> None:
    name = f"plain_{uuid4().hex[:12]}"
    with psycopg.connect(empty_database_url, autocommit=True) as administrator:
        identifier = sql.Identifier(name)
        administrator.execute(sql.SQL("CREATE ROLE {} LOGIN").format(identifier))
        administrator.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(identifier))
        try:
            with dropped_roles(empty_database_url, name) as names:
                mine = url_as(empty_database_url, name)
                with pytest.raises(RoleMissing, match="have an administrator run CREATE ROLE"):
                    migrate(mine, roles=names)

                # What it asks for is enough.
                for role in map(names.name, ROLES):
                    administrator.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
                with pytest.raises(RoleMissing, match="GRANT pg_read_all_stats TO"):
                    migrate(mine, roles=names)
                for reader in (name, names.name(WORKER)):
                    administrator.execute(
                        sql.SQL("GRANT pg_read_all_stats TO {}").format(sql.Identifier(reader))
                    )
                migrate(mine, roles=replace(names))

                assert check_postgres(url_as(empty_database_url, names.name(WORKER)), SETTLES) == []
        finally:
            administrator.execute(sql.SQL("ALTER SCHEMA public OWNER TO pg_database_owner"))
            administrator.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(identifier))
            administrator.execute(sql.SQL("DROP ROLE {}").format(identifier))
