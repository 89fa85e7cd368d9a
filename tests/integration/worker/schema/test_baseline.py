"""The baseline makes what the chain of migrations before it made."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from deploy.local.environment import ROOT
from deploy.local.postgres import PostgresServer
from tests.support.catalogue import Catalogue, catalogue_of, differences

SCHEMA = ROOT / "worker/schema"


@contextmanager
def made_of(server: PostgresServer, files: Iterable[Path]) -> Iterator[Catalogue]:
    """Give the catalogue of a database of its own that these files have made."""
    name = sql.Identifier(f"made_{uuid4().hex}")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    with psycopg.connect(server.url_of(name.as_string().strip('"')), autocommit=True) as connection:
        for file in files:
            connection.execute(file.read_bytes())
        yield catalogue_of(connection)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_the_baseline_is_what_the_chain_of_migrations_made(postgres_server: PostgresServer) -> None:
    folders = ("trigger_functions", "tables", "functions")
    baseline_files = [file for folder in folders for file in sorted((SCHEMA / folder).glob("*.sql"))]

    with (
        made_of(postgres_server, sorted(SCHEMA.glob("*.sql"))) as chain,
        made_of(postgres_server, baseline_files) as baseline,
    ):
        assert len(chain["functions"]) == 32
        assert differences(chain, baseline) == []
        assert chain == baseline
