"""Each role against each thing that it must not do."""

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from tests.support.books import add_user, balances, database_of
from tests.support.roles import Roles, refusal, roles_of
from worker.schema.roles import OPERATOR, OWNER, READER, RECEIVER, ROLES, WORKER

CREDIT: Final = (
    "SELECT settle_event('ccdd3516-8ab4-84fa-9764-a526cfb83621', 'forged', 1, now(), 25, 30, 5, "
    "'payout', 1, 'alice', 1000000.00, 0, false, true, true)"
)
PAYOUT: Final = (
    "INSERT INTO transactions (kind, cashback_id, transaction_type, event_id, account_id, amount_minor) "
    "VALUES ('payout', 1, 1, gen_random_uuid(), 1, 100)"
)
MONEY: Final = {
    "post a payout by hand": PAYOUT,
    "post the entries of a payout by hand": (
        "INSERT INTO entries (transaction_id, account_id, amount_minor) "
        "SELECT 1, account_id, CASE kind WHEN 'user' THEN 100 ELSE -100 END FROM accounts "
        "WHERE user_id = 'alice' OR (kind, currency) = ('cashback', 'EUR')"
    ),
    "post entries by hand": "INSERT INTO entries (transaction_id, account_id, amount_minor) VALUES (1, 1, 1)",
    "change an entry": "UPDATE entries SET amount_minor = 1",
    "delete entries": "DELETE FROM entries",
    "empty the books": "TRUNCATE entries, transactions, receipts, adjustments",
    "set a balance": "UPDATE accounts SET balance_minor = 100 WHERE user_id = 'alice'",
    "unblock an account": "UPDATE accounts SET status = 'active'",
    "open an account": "INSERT INTO accounts (kind, user_id, currency, balance_minor) "
    "VALUES ('user', 'mallory', 'EUR', 0)",
    "change a currency": "UPDATE currencies SET exponent = 0",
    "make a receipt by hand": "INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, "
    "deadline_at, next_attempt_at) VALUES (gen_random_uuid(), 1, now(), now() + '1 s', now() + '2 s', now())",
    "say that an event was answered": "UPDATE receipts SET state = 'answered'",
    "give an event more time": "UPDATE receipts SET credit_cutoff_at = 'infinity'",
    "forget receipts": "DELETE FROM receipts",
    "write a token": "INSERT INTO tokens (received_at, event_id, slot, token) "
    "VALUES (now(), gen_random_uuid(), -1, 'x')",
    "write a token into its partition": "INSERT INTO tokens_kept (received_at, event_id, slot, token) "
    "VALUES (now(), gen_random_uuid(), -1, 'x')",
    "empty a week of tokens": "TRUNCATE tokens_00",
    "hide what is open from the sweep": "UPDATE sweep_bound SET bound = 'infinity'",
    "take a message out of quarantine": "DELETE FROM quarantine",
    "change a message in quarantine": "UPDATE quarantine SET message = ''",
    "mark a message by hand": "UPDATE quarantine SET requeued_at = now(), requeue_count = requeue_count + 1",
    "post an adjustment by hand": "SELECT post_adjustment(accounts, 1) FROM accounts WHERE user_id = 'alice'",
    "ask for an adjustment by hand": (
        "INSERT INTO adjustments (adjustment_key, account_id, amount_minor, reason, asked_person) "
        "SELECT 'key', account_id, 1, 'why', 'me' FROM accounts WHERE user_id = 'alice'"
    ),
    "reject an adjustment by hand": "UPDATE adjustments SET state = 'rejected'",
    "raise the limit of adjustments": "UPDATE correction_rules SET adjust_limit = 1000000",
    "be told other rules": "SELECT set_correction_rules(1000000, 1000000, 'person', true, 'me')",
    "write another version": "UPDATE schema_versions SET version = 9999",
    "write another version of the functions": "UPDATE schema_functions SET version = 9999",
    "take a number": "SELECT nextval('transactions_transaction_id_seq')",
    "set the numbers back": "SELECT setval('accounts_account_id_seq', 1)",
    "call what only functions call": "SELECT post_payout(gen_random_uuid(), 1, 1, NULL, 1, 0, false)",
    "post a group past its decision": "SELECT post_payouts(NULL, false)",
    "record alone": "SELECT record_receipt('2d711642-b726-8044-8162-7ca9fbac32f5', 'x', 1, now(), 25, 30, 5)",
    "ask for a token": "SELECT token_of(gen_random_uuid())",
    "read the tokens": "SELECT * FROM tokens",
    "read the tokens of a week": "SELECT * FROM tokens_00",
    "read the tokens that are kept": "SELECT token FROM tokens_kept",
    "hold up the books": "LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE",
    "hold up an account": "SELECT FROM accounts FOR UPDATE",
}
DEFINITIONS: Final = {
    "disable all triggers": "ALTER TABLE entries DISABLE TRIGGER ALL",
    "disable a trigger": "ALTER TABLE receipts DISABLE TRIGGER receipts_guard",
    "run without triggers": "SET session_replication_role = replica",
    "always run without triggers": 'ALTER ROLE "{me}" SET session_replication_role = replica',
    "have all run without triggers": 'ALTER DATABASE "{database}" SET session_replication_role = replica',
    "drop a trigger": "DROP TRIGGER entries_balance ON entries",
    "replace what a trigger calls": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger "
    "LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "add a trigger": "CREATE TRIGGER mine BEFORE INSERT ON entries "
    "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "add a rule": "CREATE RULE mine AS ON INSERT TO entries DO INSTEAD NOTHING",
    "hide rows": "ALTER TABLE receipts ENABLE ROW LEVEL SECURITY",
    "drop a constraint": "ALTER TABLE transactions "
    "DROP CONSTRAINT transactions_cashback_id_transaction_type_key",
    "drop an index": "DROP INDEX transactions_reverses_key",
    "drop a table": "DROP TABLE tokens_00",
    "take a table": 'ALTER TABLE entries OWNER TO "{me}"',
    "take a function": 'ALTER FUNCTION settlement_of(receipts) OWNER TO "{me}"',
    "have a function act as its caller": "ALTER FUNCTION progress_of(uuid[], integer, text) SECURITY INVOKER",
    "unpin a function": "ALTER FUNCTION progress_of(uuid[], integer, text) RESET ALL",
    "drop a function": "DROP FUNCTION settlement_of(receipts)",
    "make a table": "CREATE TABLE public.mine (x integer)",
    "make a function that comes first": "CREATE FUNCTION public.are_payable(integer, integer) "
    "RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "make an operator that comes first": "CREATE OPERATOR public.> "
    "(LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = numeric_gt)",
    "make a schema": "CREATE SCHEMA mine",
}
OTHERS: Final = {
    "become the owner": 'SET ROLE "{owner}"',
    "become another role": 'SET ROLE "{other}"',
    "become the administrator": "SET ROLE postgres",
    "log in as the administrator": "SET SESSION AUTHORIZATION postgres",
    "be more": 'ALTER ROLE "{me}" CREATEROLE',
    "be one of the owners": 'GRANT "{owner}" TO "{me}"',
    "change another's password": "ALTER ROLE \"{other}\" PASSWORD 'mine'",
    "make a role": "CREATE ROLE mine",
    "have things made for it": 'ALTER DEFAULT PRIVILEGES FOR ROLE "{owner}" GRANT INSERT ON TABLES TO "{me}"',
    "run a program": "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'",
    "read a file": "SELECT pg_read_file('postgresql.conf')",
    "write a file": "COPY (SELECT 1) TO '/dev/null'",
    "have the server read its settings again": "SELECT pg_reload_conf()",
    "send everything elsewhere": "CREATE PUBLICATION mine FOR ALL TABLES",
}
NOT_FOR_OTHERS: Final = {
    "credit a million": (CREDIT, {WORKER}),
    "settle a group": ("SELECT * FROM settle_events('[]', 25, 30, false)", {WORKER}),
    "close an event": ("SELECT close_event(gen_random_uuid(), 'refused', '')", {WORKER}),
    "forget what was answered": ("SELECT prune_receipts(0, 1)", {WORKER}),
    "be given overdue events with their tokens": ("SELECT claim_overdue(1, 1, 1, now(), 1)", {WORKER}),
    "record receipts": (
        (
            "SELECT record_receipts(ARRAY['2d711642-b726-8044-8162-7ca9fbac32f5'::uuid], ARRAY['x'], "
            "ARRAY[1::bigint], ARRAY[1::bigint], 1, 2, 1)"
        ),
        {RECEIVER},
    ),
    "ask how events stand": ("SELECT states_of(ARRAY[gen_random_uuid()], NULL)", {RECEIVER}),
    "open accounts": ("SELECT prepare_accounts_import()", {OPERATOR}),
    "read a message in quarantine": ("SELECT message FROM quarantine", {OPERATOR}),
    "mark a message as put back": ("SELECT requeue_message(1, false, 'me', NULL)", {OPERATOR}),
    "block an account": ("SELECT set_account_status('nobody', 'blocked', 'me', 'why')", {OPERATOR}),
    "adjust a balance": ("SELECT adjust_account('key', 'alice', 1, 'me', 'why')", {OPERATOR}),
    "approve an adjustment": ("SELECT decide_adjustment('key', true, 'me', 'why')", {OPERATOR}),
    "read the adjustments": ("SELECT * FROM adjustments", {OPERATOR, READER}),
    "read the receipts": ("SELECT * FROM receipts", {OPERATOR, READER}),
    "read the accounts": ("SELECT * FROM accounts", {OPERATOR, READER}),
    "read the entries": ("SELECT * FROM entries", {OPERATOR, READER}),
    "read the transactions": ("SELECT * FROM transactions", {WORKER, OPERATOR, READER}),
}
STATEMENTS: Final = {
    **MONEY,
    **DEFINITIONS,
    **OTHERS,
    **{name: statement for name, (statement, _) in NOT_FOR_OTHERS.items()},
}


@pytest.fixture(scope="module")
def roles(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Roles]:
    """Roles of books in which alice has nothing; each test leaves them as they are."""
    with database_of(postgres_server, migrated_template) as database_url, roles_of(database_url) as made:
        with psycopg.connect(database_url, autocommit=True) as connection:
            add_user(connection, "alice")
        yield made


def spelt(roles: Roles, statement: str, role: str) -> str:
    with psycopg.connect(roles.owner_url) as connection:
        [(owner, database)] = connection.execute(
            "SELECT pg_get_userbyid(relowner), current_database() FROM pg_class "
            "WHERE oid = to_regclass('entries')"
        ).fetchall()
    other = RECEIVER if role == WORKER else WORKER
    return statement.format(
        me=roles.names.name(role), other=roles.names.name(other), owner=owner, database=database
    )


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("role", ROLES)
def test_no_role_does_what_is_not_its_work(roles: Roles, role: str, name: str) -> None:
    _, theirs = NOT_FOR_OTHERS.get(name, ("", set()))

    refused = refusal(roles.url(role), spelt(roles, STATEMENTS[name], role))

    assert (refused is None) == (role in theirs)


@pytest.mark.parametrize("name", STATEMENTS)
def test_each_of_these_would_work_for_who_may(roles: Roles, name: str) -> None:
    with psycopg.connect(roles.owner_url) as connection:
        # The books' own checks stand behind the rights.
        with contextlib.suppress(psycopg.IntegrityError):
            connection.execute(spelt(roles, STATEMENTS[name], READER).encode())
        connection.rollback()


@pytest.mark.parametrize("role", [RECEIVER, OPERATOR, READER])
def test_the_url_of_a_receiver_credits_nobody(roles: Roles, role: str) -> None:
    assert "settle_event" in (refusal(roles.url(role), CREDIT) or "")

    with psycopg.connect(roles.owner_url) as owner:
        assert balances(owner, "alice") == {"alice": 0}
        assert owner.execute("SELECT count(*) FROM receipts").fetchall() == [(0,)]


@pytest.mark.parametrize("role", ROLES)
def test_nobody_hands_on_what_it_may(roles: Roles, role: str) -> None:
    with psycopg.connect(roles.url(role)) as connection:
        handed = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
            "AND has_function_privilege(oid, 'EXECUTE WITH GRANT OPTION') UNION ALL "
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND has_table_privilege(oid, 'SELECT WITH GRANT OPTION')"
        ).fetchall()

    assert handed == []


def test_the_owner_is_nobody_who_logs_in_or_rules_the_server(roles: Roles) -> None:
    with psycopg.connect(roles.owner_url) as connection:
        owners = connection.execute(
            "SELECT DISTINCT rolname LIKE %s, rolcanlogin, rolsuper OR rolcreaterole OR rolbypassrls "
            "FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner "
            "WHERE relnamespace = 'public'::regnamespace",
            (f"%\\_{OWNER}",),
        ).fetchall()
        of_functions = connection.execute(
            "SELECT DISTINCT proowner::regrole::text LIKE %s FROM pg_proc "
            "WHERE pronamespace = 'public'::regnamespace",
            (f"%\\_{OWNER}",),
        ).fetchall()

    assert owners == [(True, False, False)]
    assert of_functions == [(True,)]
