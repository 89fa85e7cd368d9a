"""with_accepts: what is on record of accepts stays in their order, each once, and within its bound."""

from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.postgres import PostgresServer
from tests.support.accepts import sent_accept
from tests.support.books import database_of
from worker.ledger.accepts import accepts_json

MOST: Final = 40
SHOWN: Final = (
    "SELECT array_agg(detail) FROM unnest(with_accepts(accepts_of(%s::json), accepts_of(%s::json))) AS accept"
)
AGAIN: Final = """
SELECT with_accepts(recorded, more) IS NOT DISTINCT FROM recorded
FROM (SELECT accepts_of(%s::json)) AS given (more),
    LATERAL (SELECT with_accepts(accepts_of(%s::json), more)) AS made (recorded)
"""

seconds = st.lists(st.integers(0, 200), unique=True, max_size=5) | st.lists(
    st.integers(0, 200), unique=True, min_size=30, max_size=60
)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer, migrated_template: str) -> Iterator[psycopg.Connection[Any]]:
    with (
        database_of(postgres_server, migrated_template) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        yield connection


def json_of(moments: list[int]) -> str | None:
    return accepts_json([sent_accept(second) for second in sorted(moments)])


@given(before=seconds, more=seconds)
def test_all_are_there_once_in_their_order_or_the_first_and_the_last(
    database: psycopg.Connection[Any], before: list[int], more: list[int]
) -> None:
    before = before[:MOST]
    known = sorted({*before, *more})

    [(details,)] = database.execute(SHOWN, (json_of(before), json_of(more))).fetchall()

    shown = [int(detail.rpartition(" ")[2]) for detail in details or ()]
    assert shown == (known if len(known) <= MOST else known[: MOST // 2] + known[-MOST // 2 :])


@given(before=seconds, more=seconds)
def test_what_is_written_twice_is_there_once(
    database: psycopg.Connection[Any], before: list[int], more: list[int]
) -> None:
    asked = [json_of(each[: MOST // 2]) for each in (more, before)]

    assert database.execute(AGAIN, asked).fetchall() == [(True,)]
