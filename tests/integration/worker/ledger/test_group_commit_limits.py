"""Group commit: nobody is held longer than its own limit, and nobody by somebody else."""

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from deploy.local.processes import wait_until
from tests.support.books import add_user, balances, policy, pool_of
from tests.support.group_commit import FIRST, LOCKED, NAMES, WAIT_SECONDS, scene_on, settle
from worker.domain.deadline import Deadline
from worker.domain.settlement import Settlement
from worker.errors import LedgerUnavailable
from worker.ledger.database import DeadlineConnection
from worker.ledger.group_commit import GroupCommitLedger
from worker.ledger.ledger import SettlementRequest


def test_a_call_that_hangs_does_not_hold_up_those_behind_it(database_url: str) -> None:
    with scene_on(database_url, patience=0.05) as scene:
        scene.locker.execute("SELECT FROM accounts WHERE user_id = %s FOR UPDATE", (FIRST,))
        first = scene.settle(FIRST)
        scene.wait_for(LOCKED, 1)

        assert scene.settle("user-1").result(WAIT_SECONDS).code == 200

        assert not first.done()
        scene.let_go()
        assert first.result(WAIT_SECONDS).code == 200


class HangingLedger(GroupCommitLedger):
    """A ledger whose groups are on their way for as long as the test says."""

    def __init__(self, pool: ConnectionPool[DeadlineConnection], *, timeout_seconds: float) -> None:
        super().__init__(pool, policy=policy(), timeout_seconds=timeout_seconds, patience_seconds=60.0)
        self.members = 0
        self.let_go = threading.Event()

    def settle_group(
        self, requests: Sequence[SettlementRequest], *, deadline: Deadline
    ) -> dict[UUID, Settlement]:
        self.members = len(requests)
        assert self.let_go.wait(WAIT_SECONDS)
        return super().settle_group(requests, deadline=deadline)


def test_a_member_ends_at_its_own_limit_even_while_its_group_is_on_its_way(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pool_of(database_url, size=4) as pool,
        ThreadPoolExecutor(4) as threads,
    ):
        for name in NAMES:
            add_user(connection, name)
        ledger = HangingLedger(pool, timeout_seconds=5.0)
        lead = ledger.take_lead()
        assert lead is not None
        waiting = {threads.submit(settle, ledger, name) for name in NAMES[:3]}
        wait_until(lambda: ledger.waiting == 3, what="all wait", timeout_seconds=WAIT_SECONDS)
        ledger.end_lead(lead)
        wait_until(lambda: ledger.members == 3, what="the group is off", timeout_seconds=WAIT_SECONDS)

        ended = wait(waiting, timeout=WAIT_SECONDS, return_when=FIRST_EXCEPTION).done
        while len(ended) < 2:
            ended |= wait(waiting - ended, timeout=WAIT_SECONDS, return_when=FIRST_EXCEPTION).done
        leaders = waiting - ended

        assert {type(call.exception()) for call in ended} == {LedgerUnavailable}
        assert len(leaders) == 1
        ledger.let_go.set()
        assert {type(call.exception(WAIT_SECONDS)) for call in leaders} == {LedgerUnavailable}


def test_who_gave_up_waiting_is_not_settled_behind_its_back_and_blocks_nobody(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pool_of(database_url) as pool,
    ):
        for name in NAMES:
            add_user(connection, name)
        ledger = GroupCommitLedger(pool, policy=policy(), timeout_seconds=4.0, patience_seconds=60.0)
        lead = ledger.take_lead()
        assert lead is not None

        with pytest.raises(LedgerUnavailable, match="was not asked"):
            settle(ledger, "user-1")
        ledger.end_lead(lead)

        assert settle(ledger, "user-2").code == 200
        assert balances(connection, "user-1", "user-2") == {"user-1": 0, "user-2": 1000}
