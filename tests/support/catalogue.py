"""What a schema consists of, as PostgreSQL describes it itself, to hold one against another."""

from collections.abc import Iterable
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

Catalogue = dict[str, list[tuple[Any, ...]]]
"""Rows, by what they describe, in an order of their own."""

_QUERIES: Final[dict[str, LiteralString]] = {
    "relations": """
        SELECT c.relname, c.relkind, c.relpersistence, c.reloptions, c.relacl::text,
            pg_get_userbyid(c.relowner), c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
            obj_description(c.oid, 'pg_class'),
            (SELECT t.reloptions FROM pg_class AS t WHERE t.oid = c.reltoastrelid),
            CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END
        FROM pg_class AS c
        WHERE c.relnamespace = current_schema()::text::regnamespace""",
    "columns": """
        SELECT c.relname, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
            pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation::text, a.attstorage,
            a.attcompression, a.attstattarget, a.attoptions, a.attacl::text,
            col_description(c.oid, a.attnum)
        FROM pg_class AS c
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = current_schema()::text::regnamespace""",
    "constraints": """
        SELECT o.conrelid::regclass::text, o.conname, o.contype, pg_get_constraintdef(o.oid), o.convalidated,
            o.conenforced, o.condeferrable, o.condeferred, o.connoinherit,
            obj_description(o.oid, 'pg_constraint')
        FROM pg_constraint AS o
        WHERE o.connamespace = current_schema()::text::regnamespace""",
    "indexes": """
        SELECT i.indrelid::regclass::text, c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid,
            i.indisready, i.indisclustered, i.indisreplident, i.indnullsnotdistinct
        FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
        WHERE c.relnamespace = current_schema()::text::regnamespace""",
    "functions": """
        SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid), p.provolatile, p.proisstrict,
            p.prosecdef, p.proleakproof, p.proparallel, p.procost, p.prorows, p.proconfig, p.proacl::text,
            pg_get_userbyid(p.proowner), obj_description(p.oid, 'pg_proc')
        FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::text::regnamespace AND p.prokind <> 'a'""",
    "triggers": """
        SELECT t.tgrelid::regclass::text, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled, t.tgdeferrable,
            t.tginitdeferred, obj_description(t.oid, 'pg_trigger')
        FROM pg_class AS c JOIN pg_trigger AS t ON t.tgrelid = c.oid
        WHERE c.relnamespace = current_schema()::text::regnamespace AND NOT t.tgisinternal""",
    "types": """
        SELECT t.typname, t.typtype, t.typcategory, format_type(t.typbasetype, t.typtypmod), t.typacl::text,
            (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder)
            FROM pg_enum AS e WHERE e.enumtypid = t.oid),
            obj_description(t.oid, 'pg_type')
        FROM pg_type AS t
        WHERE t.typnamespace = current_schema()::text::regnamespace""",
    "sequences": """
        SELECT c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
            s.seqcache, s.seqcycle
        FROM pg_class AS c JOIN pg_sequence AS s ON s.seqrelid = c.oid
        WHERE c.relnamespace = current_schema()::text::regnamespace""",
    "policies, rules and statistics": """
        SELECT 'policy', p.polrelid::regclass::text, p.polname, pg_get_expr(p.polqual, p.polrelid)
        FROM pg_policy AS p
        UNION ALL
        SELECT 'rule', c.relname, r.rulename, pg_get_ruledef(r.oid)
        FROM pg_class AS c JOIN pg_rewrite AS r ON r.ev_class = c.oid
        WHERE c.relnamespace = current_schema()::text::regnamespace
        UNION ALL
        SELECT 'statistics', s.stxrelid::regclass::text, s.stxname, pg_get_statisticsobjdef(s.oid)
        FROM pg_statistic_ext AS s""",
    "schemas, default privileges and extensions": """
        SELECT 'schema', nspname, nspacl::text, obj_description(oid, 'pg_namespace')
        FROM pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL
        SELECT 'default privileges', defaclobjtype::text, defaclacl::text, defaclnamespace::regnamespace::text
        FROM pg_default_acl
        UNION ALL
        SELECT 'extension', extname, extversion, NULL FROM pg_extension""",
}
_TABLES: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::text::regnamespace AND relkind IN ('r', 'p')"""


def catalogue_of(connection: psycopg.Connection) -> Catalogue:
    """Describe all that stands in the connection's schema, and the rows of its tables but for their times."""
    found = {what: _in_order(connection.execute(query)) for what, query in _QUERIES.items()}
    for (table,) in connection.execute(_TABLES).fetchall():
        rows = connection.execute(sql.SQL("SELECT to_jsonb(t) FROM {} AS t").format(sql.Identifier(table)))
        found[f"rows of {table}"] = _in_order(_without_times(row) for (row,) in rows)
    return found


def differences(before: Catalogue, after: Catalogue) -> list[str]:
    """Say what only one of two schemas has: `-` the first, `+` the second."""
    return [
        f"{sign} {what}: {row}"
        for what in sorted(before.keys() | after.keys())
        for sign, ours, theirs in (("-", before, after), ("+", after, before))
        for row in ours.get(what, [])
        if row not in theirs.get(what, [])
    ]


def _in_order(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


def _without_times(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((name, value) for name, value in row.items() if not name.endswith("_at")))
