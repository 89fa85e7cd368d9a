"""PostgreSQL over TLS, as the URL says it: receiver, worker and command verify whom they speak to."""

from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest

from producer.copies.errors import CopyFailed
from producer.copies.receipts.recording import Receipts
from tests.support import command
from tests.support.books import add_user, new_event, payout, policy, pool_of
from tests.support.certificates import Authority
from tests.support.futures import end_of
from tests.support.receipts import event, ids_in, with_receipts
from tests.support.tcp_proxy import through
from tests.support.tls_server import tls_before
from worker.errors import LedgerUnavailable
from worker.ledger.ledger import Ledger

LIMIT_SECONDS = 120.0
# Of a connection that will not be made.
SHORT_SECONDS = 1.0


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


def verified(database_url: str, port: int, root: Path) -> str:
    options = urlencode({"sslmode": "verify-full", "sslrootcert": str(root)})
    return f"{through(database_url, port)}?{options}"


def test_a_server_that_our_authority_vouches_for_is_spoken_to(database_url: str, ours: Authority) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")
    context = ours.server_context(ours.holder("server"))
    with tls_before(urlsplit(database_url).port or 0, context) as tls:
        url = verified(database_url, tls.port, ours.file)

        async def work(receipts: Receipts) -> None:
            await end_of(receipts.record, event(1))

        with_receipts(url, work)
        with pool_of(url) as pool:
            ledger = Ledger(pool, policy=policy(), timeout_seconds=LIMIT_SECONDS)
            assert ledger.settle(new_event(1), payout(1, "ann", "1")).code == 200
        shown = command.run("accounts", "show", "ann", "--json", database_url=url).document
        assert shown["balance"] == "1.00"
        assert command.run("migrate", database_url=url).exit_code == 0
        assert tls.with_tls >= 4
        assert tls.without_tls == 0

    assert event(1).event_id in ids_in(database_url)


@pytest.mark.parametrize("fault", ["another authority", "another name"])
def test_who_cannot_be_verified_is_not_spoken_to(
    fault: str, database_url: str, ours: Authority, tmp_path: Path
) -> None:
    signer = Authority(tmp_path, "theirs") if fault == "another authority" else ours
    address = "127.0.0.2" if fault == "another name" else "127.0.0.1"
    context = signer.server_context(signer.holder("they", address=address))
    with tls_before(urlsplit(database_url).port or 0, context) as tls:
        url = verified(database_url, tls.port, ours.file)

        async def work(receipts: Receipts) -> None:
            with pytest.raises(CopyFailed):
                await end_of(receipts.record, event(1))

        with_receipts(url, work, timeout_seconds=SHORT_SECONDS)
        with pool_of(url) as pool:
            ledger = Ledger(pool, policy=policy(), timeout_seconds=SHORT_SECONDS)
            with pytest.raises(LedgerUnavailable):
                ledger.settle(new_event(1), payout(1, "ann", "1"))
        done = command.run("show", "1", database_url=url)

    assert done.exit_code == 1
    assert done.stderr.startswith("Error: PostgreSQL cannot be reached, check CASHBACK_DATABASE_URL")
    assert "certificate" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert ids_in(database_url) == set()
