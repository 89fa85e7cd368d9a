"""Random histories of retries, deaths and losses: a settled event that is overdue has a message, and one."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.holder_bench import Worker, give_back_of_others
from tests.support.sent_on import Recovery, recovery

numbers = st.integers(0, 1_000_000)


class Histories(RuleBasedStateMachine):
    """Settled events whose answer is not acknowledged yet, and what becomes of their messages."""

    def __init__(self, at: Recovery, cashback_ids: "list[int]") -> None:
        super().__init__()
        self.at = at
        self.cashback_ids = cashback_ids
        at.client.flushall()
        at.at.connection.execute("UPDATE receipts SET state = 'answered', closed_at = clock_timestamp()")
        self.workers = [at.worker(), at.worker()]
        self.open: set[object] = set()

    @rule(has_message=st.booleans())
    def an_event_is_settled(self, *, has_message: bool) -> None:
        self.cashback_ids[0] += 1
        message = self.at.settled(self.cashback_ids[0])
        self.open.add(message.event_id)
        if has_message:
            self.at.broker.publish(message)

    @rule(number=numbers, room=st.integers(1, 4))
    def a_worker_takes(self, *, number: int, room: int) -> None:
        self.workers[number % 2].take(room)

    @rule(number=numbers)
    def a_worker_dies(self, *, number: int) -> None:
        worker: Worker = self.workers[number % 2]
        worker.take(0)
        self.at.client.zadd("cashback.leases", {worker.holder.key.removeprefix("cashback.held."): 1})
        self.workers[number % 2] = self.at.worker()

    @rule()
    def what_dead_workers_had_is_given_back(self) -> None:
        give_back_of_others(self.at.client)

    @rule()
    def redis_loses_all(self) -> None:
        self.at.client.flushall()
        self.workers = [self.at.worker(), self.at.worker()]

    @precondition(lambda self: self.open)
    @rule()
    def a_sweep_comes_when_all_are_overdue(self) -> None:
        self.at.all_overdue()

        self.at.sweeper.sweep()

        assert set(self.at.messages()) == self.open

    @invariant()
    def no_event_has_two_messages(self) -> None:
        assert all(count == 1 for count in self.at.messages().values())


def test_whatever_happens_an_overdue_event_has_one_message(database_url: str, redis_url: str) -> None:
    with recovery(database_url, redis_url) as at:
        cashback_ids = [0]

        class Here(Histories):
            def __init__(self) -> None:
                super().__init__(at, cashback_ids)

        run_state_machine_as_test(Here, settings=settings(max_examples=40, stateful_step_count=15))
