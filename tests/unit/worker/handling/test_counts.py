"""What is counted of a producer's message when it has come to its end."""

import time

import pytest

from cashback_client.contract import SettleMessage
from worker.domain.deadline import Deadline
from worker.domain.settlement import Done, GiveUp, RetryAt, State, Step
from worker.errors import AcceptFailed, BadMessage, DeadlineExceeded, RefusedByBetcore
from worker.handling.attempt import Answer, Attempt
from worker.handling.counts import steps_of
from worker.metrics import MessageStep, Metrics

SETTLED, TOO_LATE = MessageStep.SETTLED, MessageStep.TOO_LATE
EXPIRED, REFUSED = GiveUp(DeadlineExceeded()), GiveUp(RefusedByBetcore())


def answer(*, is_late: bool) -> Answer:
    message = SettleMessage(token="a.b.c", received_at_ms=1_795_386_237_585)
    attempt = Attempt(message=message, retries=0, begun_at=0)
    return Answer(attempt=attempt, body=b"", deadline=Deadline(time.monotonic()), is_late=is_late)


@pytest.mark.parametrize(
    ("came_to", "step", "counted"),
    [
        (answer(is_late=False), Done(State.ANSWERED), [SETTLED]),
        (answer(is_late=True), Done(State.ANSWERED), [SETTLED, TOO_LATE]),
        (answer(is_late=False), EXPIRED, [SETTLED]),
        (answer(is_late=True), EXPIRED, [SETTLED, TOO_LATE]),
        (answer(is_late=False), REFUSED, [SETTLED]),
        (answer(is_late=True), RetryAt(1, AcceptFailed()), []),
        (Done(State.ANSWERED), Done(State.ANSWERED), [SETTLED]),
        (EXPIRED, EXPIRED, [SETTLED, TOO_LATE]),
        (GiveUp(BadMessage()), GiveUp(BadMessage()), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_end_is_counted_once_and_as_late_where_its_time_was_over_before_it_was_settled(
    came_to: Step | Answer, step: Step, counted: list[MessageStep]
) -> None:
    assert list(steps_of(came_to, step)) == counted


def test_producers_that_a_worker_does_not_take_from_are_one() -> None:
    metrics = Metrics(("betcore", "edge"))

    for producer in ("betcore", "edge", "edge", "mobile", "tv"):
        metrics.message(producer, SETTLED)

    read = metrics.registry.get_sample_value
    counts = {
        producer: read("cashback_messages_total", {"producer": producer, "step": "settled"})
        for producer in ("betcore", "edge", "mobile", "other")
    }
    assert counts == {"betcore": 1, "edge": 2, "mobile": None, "other": 2}
