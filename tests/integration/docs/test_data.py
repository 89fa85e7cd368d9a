"""docs/data.md says what is read as what: each row goes to a real receiver and through a real worker."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import redis

from cashback_client.contract import DataError, SettleMessage, cashback_id_of, read_data
from deploy.local.environment import ROOT
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from producer.protocol.asked import read_asked
from tests.support.accept_answers import ACK
from tests.support.books import CANCEL_TYPES, database_of
from tests.support.handler_bench import USER, Bench, bench
from tests.support.receiver import RunningReceiver, running_receiver
from worker.domain.settlement import Done, RetryAt, State, read_instruction
from worker.errors import BadMessage, PayoutNotHere

PAPER = ROOT / "docs" / "data.md"
NOTHING = "\u2013"
MEMBERS = {"CashbackId", "PartnerUserId", "TransactionType", "Amount", "TaxAmount"}

cashback_ids = itertools.count(1_000_000)


@dataclass(frozen=True)
class Row:
    """A row of the table: what stands in `data`, and what comes of it."""

    text: str
    read_as: str
    make: int
    accept: str

    @property
    def member(self) -> str:
        """The member that the row is about."""
        found = re.search(r'"(\w+)"', self.text)
        assert found is not None
        return found[1]

    def data(self) -> str:
        """Return the data of a make that is good but for this row."""
        members = {
            "CashbackId": str(next(cashback_ids)),
            "PartnerUserId": f'"{USER}"',
            "TransactionType": "1",
            "Amount": '"10.00"',
            "TaxAmount": '"0"',
        }
        # A name in another spelling stands instead of the right one.
        left = [
            f'"{name}": {value}' for name, value in members.items() if name.lower() != self.member.lower()
        ]
        return "{" + ", ".join([*left, *([] if self.text.startswith("no ") else [self.text])]) + "}"


def rows() -> list[Row]:
    """Return the rows of the table, written out."""
    lines = [line for line in PAPER.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    return [
        Row(written_out(text), written_out(read_as), int(make), accept)
        for text, read_as, make, accept in cells
    ]


def written_out(cell: str) -> str:
    """Return a cell with each `9{5000}` in full."""
    return re.sub(r"(.)\{(\d+)\}", lambda found: found[1] * int(found[2]), cell)


def read_as(row: Row, data: str) -> str:
    """Return what the program reads of the member, as the table writes it."""
    try:
        members = read_data(data)
    except DataError:
        return NOTHING
    cashback_id = cashback_id_of(members)
    read = read_instruction(members, cashback_id=cashback_id or 0, cancel_types=CANCEL_TYPES)
    value = {
        "CashbackId": cashback_id,
        "PartnerUserId": None if read.user_id is None else json.dumps(read.user_id),
        "TransactionType": read.transaction_type,
        "Amount": read.amount,
        "TaxAmount": read.tax,
    }.get(row.member)
    return NOTHING if value is None else str(value)


@dataclass(frozen=True)
class Service:
    """A receiver and a worker on one database."""

    receiver: RunningReceiver
    worker: Bench

    def outcome(self, data: str) -> tuple[int, str]:
        """Send a make and work on it; return the receiver's status and the code that BETCORE hears."""
        token = self.receiver.token(data)
        status = self.receiver.make(json.dumps(token)).status_code
        message = SettleMessage(token=token, received_at_ms=time.time_ns() // 1_000_000)
        if status != 200:
            with pytest.raises(BadMessage):
                self.worker.handle(message)
            return status, NOTHING
        self.check_record(message, data)
        before = len(self.worker.accepts())
        step = self.worker.handle(message)
        if isinstance(step, RetryAt):
            assert isinstance(step.error, PayoutNotHere)
            return status, "waits"
        assert step == Done(State.ANSWERED)
        (accept,) = self.worker.accepts()[before:]
        return status, str(accept["ErrorCode"])

    def check_record(self, message: SettleMessage, data: str) -> None:
        """Hold the receipt, which is not decided yet, to what is read of its data."""
        asked = read_asked(read_data(data))
        (row,) = self.worker.connection.execute(
            "SELECT state, user_id, transaction_type, amount FROM receipts WHERE event_id = %s",
            (message.event_id,),
        ).fetchall()
        assert row == ("received", asked.user_id, asked.transaction_type, asked.amount)


@pytest.fixture(scope="module")
def service(
    postgres_server: PostgresServer, valkey_server: ValkeyServer, migrated_template: str
) -> Iterator[Service]:
    with ExitStack() as stack:
        with redis.Redis.from_url(valkey_server.url) as client:
            client.flushall()
        url = stack.enter_context(database_of(postgres_server, migrated_template))
        receiver = stack.enter_context(running_receiver(redis_url=valkey_server.url, database_url=url))
        yield Service(receiver, stack.enter_context(bench(url, ACK)))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.text[:50])
def test_what_a_member_holds_is_read_as_the_table_says(service: Service, row: Row) -> None:
    data = row.data()

    assert read_as(row, data) == row.read_as
    assert service.outcome(data) == (row.make, row.accept)


def test_the_table_is_about_each_member_and_each_end() -> None:
    table = rows()

    assert {row.member for row in table} >= MEMBERS
    assert {row.accept for row in table} == {"200", "102145", "103753", "103801", "waits", NOTHING}
    assert {row.text for row in table if row.text.startswith("no ")} == {f'no `"{name}"' for name in MEMBERS}
