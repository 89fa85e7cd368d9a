"""Settings that somebody has given a database, and what is in force in the sessions of ours."""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

SETTINGS: Final[Mapping[str, str]] = {
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "check_function_bodies": "off",
    "search_path": "nowhere, public",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "statement_timeout": "17s",
    "lock_timeout": "18s",
    "idle_in_transaction_session_timeout": "19s",
    "idle_session_timeout": "20s",
    "transaction_timeout": "21s",
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "on",
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
    "enable_nestloop": "off",
    "jit": "on",
}
"""What each session of ours has otherwise, or need not mind."""


def set_for_database(database_url: str, settings: Mapping[str, str]) -> None:
    """Set these for every session of a database that begins from now on."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        for setting, value in settings.items():
            # A list is to stay one.
            values = sql.SQL(value) if setting == "search_path" else sql.Literal(value)
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), values)
            )


SHOW: Final = "SELECT lower(name), setting FROM pg_settings WHERE lower(name) = ANY (%s)"


def named(rows: list[tuple[Any, ...]]) -> dict[str, str]:
    """Return what `SHOW` found, by the names as they are in SETTINGS."""
    return dict(rows)
