"""`migrate` makes the roles, or holds those that it finds to what they are there for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from producer.shared.preconditions.postgres import RECORDS, SETTLES, check_postgres
from tests.support import command
from tests.support.books import SOUND, audit
from tests.support.roles import drop_role, dropped_roles, new_prefix, refusal, roles_of, url_as
from worker.schema.migrate import Applied, migrate
from worker.schema.roles import (
    OPERATOR,
    OWNER,
    RECEIVER,
    ROLES,
    WORKER,
    RoleMissing,
    RoleNames,
    RoleTooMighty,
    SchemaMissing,
)

NO_MORE = {
    "SUPERUSER": "is a superuser",
    "CREATEROLE": "makes roles",
    "CREATEDB": "makes roles or databases",
    "REPLICATION": "replicates",
    "BYPASSRLS": "passes row security by",
}
MEMBERSHIPS = {
    "postgres": "can become postgres, which is a superuser",
    "pg_write_all_data": "is a member of pg_write_all_data",
    "pg_read_all_data": "is a member of pg_read_all_data",
    "pg_execute_server_program": "is a member of pg_execute_server_program",
    "pg_signal_backend": "is a member of pg_signal_backend",
    "{names}_owner": "is a member of the owner",
    "{names}_receiver": "may call [a-z_]+",
}
OTHER_WAYS = {
    "ALTER SCHEMA public OWNER TO {worker}": "owns schema public|may make things",
    "ALTER DATABASE {database} OWNER TO {worker}": "owns database|pg_database_owner",
    "GRANT CREATE ON SCHEMA public TO {worker}": "may make things in the schema public",
    "CREATE FUNCTION are_payable(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT true'; "
    "ALTER FUNCTION are_payable(integer, integer) OWNER TO {worker}": "owns function are_payable",
    "ALTER ROLE {worker} SET session_replication_role = replica": "without triggers",
    "ALTER ROLE {worker} IN DATABASE {database} SET session_replication_role = replica": "without triggers",
    "ALTER DATABASE {database} SET session_replication_role = replica": "without triggers",
    "GRANT SET ON PARAMETER session_replication_role TO {worker}": "may switch triggers off",
    "GRANT INSERT ON entries TO PUBLIC": "may write to the table entries",
    "GRANT UPDATE (balance_minor) ON accounts TO PUBLIC": "may write to the table accounts",
    "GRANT SELECT ON tokens_03 TO PUBLIC": "may read the table tokens_03",
    "GRANT USAGE ON SEQUENCE transactions_transaction_id_seq TO PUBLIC": "may take numbers",
    "GRANT EXECUTE ON FUNCTION token_of(uuid) TO PUBLIC": "may call token_of",
}
GRANTED_BY_HAND = {
    "GRANT INSERT ON schema_versions TO {receiver}": "INSERT INTO schema_versions VALUES (9999, 'mine')",
    "GRANT TRUNCATE ON tokens_03 TO {receiver}": "TRUNCATE tokens_03",
    "GRANT UPDATE (balance_minor) ON accounts TO {receiver}": "UPDATE accounts SET balance_minor = 1",
    "GRANT ALL ON SEQUENCE entries_entry_id_seq TO {receiver}": "SELECT nextval('entries_entry_id_seq')",
    "GRANT EXECUTE ON FUNCTION give_up_event(uuid) TO {receiver}": "SELECT give_up_event(gen_random_uuid())",
    "GRANT SELECT ON tokens TO {receiver}": "SELECT * FROM tokens",
}


def run(database_url: str, statement: str, **names: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        [(database,)] = connection.execute("SELECT current_database()").fetchall()
        identifiers = {key: sql.Identifier(name) for key, name in {**names, "database": database}.items()}
        for part in statement.split("; "):
            connection.execute(sql.SQL(part).format(**identifiers))


@contextmanager
def found(database_url: str, statement: str) -> Iterator[RoleNames]:
    """Have a worker's role been made beforehand, and then done with as the statement says."""
    with dropped_roles(database_url, new_prefix()) as names:
        worker = names.name(WORKER)
        run(database_url, "CREATE ROLE {worker} LOGIN", worker=worker)
        run(database_url, statement, worker=worker)
        try:
            yield names
        finally:
            run(database_url, "ALTER SCHEMA public OWNER TO pg_database_owner")
            run(database_url, "ALTER DATABASE {database} OWNER TO postgres")


def test_the_command_makes_the_roles_with_their_passwords(empty_database_url: str) -> None:
    with dropped_roles(empty_database_url, new_prefix()) as names:
        for _ in range(2):
            ended = command.run(
                "migrate",
                "--json",
                database_url=empty_database_url,
                database_roles=names.prefix,
                worker_role_password="canary-of-the-worker",
            )
            assert (ended.exit_code, ended.stderr) == (0, "")

        with psycopg.connect(empty_database_url) as connection:
            kept: dict[str, str | None] = dict(
                connection.execute(
                    "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE %s", (f"{names.prefix}%",)
                ).fetchall()
            )
    assert sorted(kept) == sorted(map(names.name, (*ROLES, OWNER)))
    assert str(kept[names.name(WORKER)]).startswith("SCRAM-SHA-256$")
    assert kept[names.name(RECEIVER)] is None


def test_what_was_made_once_is_found_again_and_left_as_it_is(database_url: str) -> None:
    with roles_of(database_url) as roles, psycopg.connect(database_url, autocommit=True) as connection:
        asked = "SELECT oid, xmin::text, relacl FROM pg_class ORDER BY oid"
        before = connection.execute(asked).fetchall()

        assert migrate(database_url, roles=roles.names) == Applied((), ())
        assert migrate(database_url) == Applied((), ())

        assert connection.execute(asked).fetchall() == before


@pytest.mark.parametrize("attribute", NO_MORE)
def test_a_role_that_somebody_made_with_more_attributes_is_refused(database_url: str, attribute: str) -> None:
    with found(database_url, f"ALTER ROLE {{worker}} {attribute}") as names:
        with pytest.raises(RoleTooMighty, match=f"{names.name(WORKER)} .*{NO_MORE[attribute]}"):
            migrate(database_url, roles=names)

        run(database_url, f"ALTER ROLE {{worker}} NO{attribute}", worker=names.name(WORKER))
        migrate(database_url, roles=names)


@pytest.mark.parametrize("group", MEMBERSHIPS)
@pytest.mark.parametrize("inherits", ["INHERIT", "NOINHERIT"])
def test_a_role_that_can_become_another_one_is_refused(
    empty_database_url: str, group: str, inherits: str
) -> None:
    with dropped_roles(empty_database_url, new_prefix()) as names:
        migrate(empty_database_url, roles=names)
        other = group.format(names=names.prefix)
        run(empty_database_url, f"ALTER ROLE {{worker}} {inherits}", worker=names.name(WORKER))
        run(empty_database_url, "GRANT {other} TO {worker}", other=other, worker=names.name(WORKER))

        with pytest.raises(RoleTooMighty, match=MEMBERSHIPS[group]):
            migrate(empty_database_url, roles=names)

        run(empty_database_url, "REVOKE {other} FROM {worker}", other=other, worker=names.name(WORKER))
        migrate(empty_database_url, roles=names)


@pytest.mark.parametrize("statement", OTHER_WAYS)
def test_a_role_that_has_another_way_is_refused(database_url: str, statement: str) -> None:
    with (
        found(database_url, statement) as names,
        pytest.raises(RoleTooMighty, match=OTHER_WAYS[statement]),
    ):
        migrate(database_url, roles=names)


@pytest.mark.parametrize("grant", GRANTED_BY_HAND)
@pytest.mark.parametrize("option", ["", " WITH GRANT OPTION"])
def test_what_was_granted_to_a_role_by_hand_is_taken_away(database_url: str, grant: str, option: str) -> None:
    with roles_of(database_url) as roles:
        run(database_url, grant + option, receiver=roles.names.name(RECEIVER))
        assert refusal(roles.url(RECEIVER), GRANTED_BY_HAND[grant]) is None

        migrate(database_url, roles=roles.names)

        assert refusal(roles.url(RECEIVER), GRANTED_BY_HAND[grant]) is not None
        assert check_postgres(roles.url(RECEIVER), RECORDS) == []


def test_an_owner_that_somebody_made_a_superuser_is_refused(empty_database_url: str) -> None:
    with dropped_roles(empty_database_url, new_prefix()) as names:
        run(empty_database_url, "CREATE ROLE {owner} SUPERUSER", owner=names.name(OWNER))

        with pytest.raises(RoleTooMighty, match="is a superuser"):
            migrate(empty_database_url, roles=names)


def test_an_owner_that_may_make_no_roles_is_told_what_to_ask_for(empty_database_url: str) -> None:
    name = f"plain_{new_prefix()}"
    run(empty_database_url, "CREATE ROLE {plain} LOGIN; ALTER SCHEMA public OWNER TO {plain}", plain=name)
    try:
        with dropped_roles(empty_database_url, name) as names:
            mine = url_as(empty_database_url, name)
            with pytest.raises(RoleMissing, match="have an administrator run CREATE ROLE"):
                migrate(mine, roles=names)

            # What it asks for is enough.
            for role in map(names.name, ROLES):
                run(empty_database_url, "CREATE ROLE {role} LOGIN", role=role)
            with pytest.raises(RoleMissing, match="GRANT pg_read_all_stats TO"):
                migrate(mine, roles=names)
            for reader in (name, names.name(WORKER)):
                run(empty_database_url, "GRANT pg_read_all_stats TO {reader}", reader=reader)
            migrate(mine, roles=replace(names))

            assert check_postgres(url_as(empty_database_url, names.name(WORKER)), SETTLES) == []
    finally:
        run(empty_database_url, "ALTER SCHEMA public OWNER TO pg_database_owner")
        drop_role(empty_database_url, name)


def test_a_database_that_lets_not_everybody_in_lets_the_roles_in(empty_database_url: str) -> None:
    run(
        empty_database_url,
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC",
    )
    with roles_of(empty_database_url) as roles, psycopg.connect(roles.url(OPERATOR)) as operator:
        operator.execute("SELECT prepare_accounts_import()")

        assert check_postgres(roles.url(WORKER), SETTLES) == []
        assert audit(operator) == SOUND


def test_who_may_not_act_as_the_owner_is_told_whose_the_schema_is(database_url: str) -> None:
    with roles_of(database_url) as roles, pytest.raises(RoleMissing, match="migrate with the URL of"):
        migrate(roles.url(WORKER))


def test_a_url_that_names_no_schema_is_said_so(empty_database_url: str) -> None:
    with (
        dropped_roles(empty_database_url, new_prefix()) as names,
        pytest.raises(SchemaMissing, match="names no schema that stands"),
    ):
        migrate(f"{empty_database_url}?options=-csearch_path%3Dnowhere", roles=names)


def test_a_schema_of_its_own_works_as_well(empty_database_url: str) -> None:
    run(empty_database_url, "CREATE SCHEMA shop")
    with roles_of(f"{empty_database_url}?options=-csearch_path%3Dshop") as roles:
        assert check_postgres(roles.url(WORKER), SETTLES) == []
        assert check_postgres(roles.url(RECEIVER), RECORDS) == []
