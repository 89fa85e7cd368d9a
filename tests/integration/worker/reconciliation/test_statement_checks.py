"""A statement of BETCORE's side against the books: each difference is named by its check, and no other."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from tests.support.reconciled import found, report_on
from worker.reconciliation import loading
from worker.reconciliation.statement_checks import STATEMENT
from worker.reconciliation.statement_form import read_form

TYPED = "cashback_id=ID,type=Kind,user=Player,currency=Cur,amount=Sum,status=State,at=Time"
EARLIER = (datetime.now(UTC) - timedelta(minutes=9)).isoformat()
# Stands for the time at which the statement is written: a test may run long after it was collected.
JUST_NOW = "(just now)"
LONG_AGO = (datetime.now(UTC) - timedelta(days=2)).isoformat()
# What BETCORE would say of the day.
SAME = (
    *(f"{number};1;ann;EUR;10.50;Paid;{EARLIER}" for number in (1, 2, 3, 4, 5)),
    f"2;-1;ann;EUR;-10.50;Paid;{EARLIER}",
)


@dataclass(frozen=True)
class Statement:
    """A statement that is the day's but for some lines, and what it is found to be."""

    name: str
    without: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    finds: dict[str, list[object]] = field(default_factory=dict)
    pending: int = 0
    books: str = ""
    columns: str = TYPED

    def __str__(self) -> str:
        return self.name

    def text(self) -> str:
        lines = [line for line in SAME if not line.startswith(self.without or ("-",))]
        text = "\n".join(["ID;Kind;Player;Cur;Sum;State;Time", *lines, *self.more])
        return text.replace(JUST_NOW, datetime.now(UTC).isoformat())


STATEMENTS = [
    Statement("the same"),
    Statement("without a payout", without=("1;1",), finds={"statement_missing": [1]}),
    Statement("without a cancel", without=("2;-1",), finds={"statement_missing": [2]}),
    Statement(
        "without cancels, as it has no types",
        without=("2;-1",),
        columns=TYPED.replace("type=Kind,", ""),
    ),
    Statement(
        "too early for what was just credited",
        without=("1;1",),
        books="UPDATE transactions SET created_at = now() WHERE cashback_id = 1",
        pending=1,
    ),
    Statement(
        "with what we declined",
        more=(f"6;1;nobody;EUR;1;Paid;{EARLIER}",),
        finds={"statement_not_credited": [6]},
    ),
    Statement("with what we declined, open with them too", more=(f"6;1;nobody;EUR;1;New;{EARLIER}",)),
    Statement(
        "with what is in flight here",
        more=(f"6;1;nobody;EUR;1;Paid;{EARLIER}",),
        books="UPDATE receipts SET state = 'received', code = NULL, closed_at = NULL WHERE cashback_id = 6",
        pending=1,
    ),
    Statement(
        "with what never came",
        more=(f"99;1;zoe;EUR;1;Paid;{EARLIER}", f"98;1;zoe;EUR;1;New;{EARLIER}"),
        finds={"statement_never_seen": [98, 99]},
    ),
    Statement("with what never came and was cancelled", more=(f"99;1;zoe;EUR;1;Void;{EARLIER}",)),
    Statement("with what is of another day", more=(f"99;1;zoe;EUR;1;Paid;{LONG_AGO}",)),
    Statement(
        "with what is only just on its way",
        more=(f"99;1;zoe;EUR;1;Paid;{JUST_NOW}",),
        pending=1,
    ),
    Statement(
        "a cashback whose cancel never came",
        more=(f"1;-1;ann;EUR;10.50;Paid;{EARLIER}",),
        books="UPDATE receipts SET transaction_type = 1 WHERE cashback_id = 1",
        finds={"statement_never_seen": [1]},
    ),
    Statement(
        "other amounts",
        without=("1;1", "2;-1"),
        more=(f"1;1;ann;EUR;10.51;Paid;{EARLIER}", f"2;-1;ann;EUR;-10.5001;Paid;{EARLIER}"),
        finds={"statement_amount": [1, 2]},
    ),
    Statement("the same amount in less digits", without=("1;1",), more=(f"1;1;ann;EUR;10.5;Paid;{EARLIER}",)),
    Statement(
        "another currency",
        without=("1;1",),
        more=(f"1;1;ann;USD;10.50;Paid;{EARLIER}",),
        finds={"statement_currency": [1]},
    ),
    Statement(
        "another user",
        without=("1;1",),
        more=(f"1;1;bob;EUR;10.50;Paid;{EARLIER}",),
        finds={"statement_user": [1]},
    ),
    Statement(
        "cancelled with them",
        without=("1;1", "2;1"),
        more=(f"1;1;ann;EUR;10.50;Void;{EARLIER}", f"2;1;ann;EUR;10.50;Void;{EARLIER}"),
        finds={"statement_cancelled": [1]},
    ),
    Statement(
        "open with them",
        without=("1;1",),
        more=(f"1;1;ann;EUR;10.50;Pending;{EARLIER}",),
        finds={"statement_open": [1]},
    ),
    Statement(
        "open with them and just credited",
        without=("1;1",),
        more=(f"1;1;ann;EUR;10.50;Pending;{EARLIER}",),
        books="UPDATE transactions SET created_at = now() WHERE cashback_id = 1",
        pending=1,
    ),
    Statement(
        "a row twice",
        more=(f"1;1;ann;EUR;10.50;Paid;{EARLIER}",),
        finds={"statement_duplicates": [1]},
    ),
    Statement(
        "what we credited the day before",
        books="UPDATE transactions SET created_at = now() - interval '25 hours' WHERE cashback_id = 1",
    ),
]


@pytest.fixture
def books(day: str) -> Iterator[psycopg.Connection]:
    """Give the day's books as they look some minutes later; nothing that a test does to them stays."""
    with psycopg.connect(day) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("UPDATE transactions SET created_at = created_at - interval '10 minutes'")
        loading.prepare(connection)
        yield connection
        connection.rollback()


@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
def test_what_differs_is_named_by_its_check(books: psycopg.Connection, statement: Statement) -> None:
    if statement.books:
        books.execute(statement.books.encode())
    form = read_form(None, columns=statement.columns, delimiter=None, timezone="UTC")

    loading.load(books, io.BytesIO(statement.text().encode()), form)
    report = report_on(books, checks=STATEMENT, has_types="type" in form.columns)

    assert (found(report), report.pending) == (statement.finds, statement.pending)


def test_a_statement_is_in_the_table_as_it_was_written(books: psycopg.Connection) -> None:
    form = read_form(None, columns=TYPED, delimiter=None, timezone="Europe/Berlin")
    content = (
        b"ID;Kind;Player;Cur;Sum;State;Time\n\n"
        b'1;-2;"\\N;""x""\\";EUR;-0.50;void;2026-11-25T00:00:00\n2;1;;;;new;\n'
    )

    assert loading.load(books, io.BytesIO(content), form) == 2

    rows = books.execute("SELECT * FROM betcore_statement ORDER BY line_number").fetchall()
    at = datetime(2026, 11, 24, 23, tzinfo=UTC)
    assert rows == [
        (3, 1, -2, '\\N;"x"\\', "EUR", Decimal("-0.50"), "cancelled", at),
        (4, 2, 1, None, None, None, "open", None),
    ]


def test_every_check_was_seen_to_find_its_difference() -> None:
    seen = {name for statement in STATEMENTS for name in statement.finds}

    assert seen == {check.name for check in STATEMENT}
