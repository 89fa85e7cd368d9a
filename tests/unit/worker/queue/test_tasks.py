"""When a failed run of cashback.settle may let go of its message."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.app.task import Context
from celery.worker.request import create_request_cls
from kombu.transport import virtual
from prometheus_client import CollectorRegistry
from psycopg_pool import ConnectionPool

from cashback_client.contract import OWN_PRODUCER, QUEUE, RETRY_QUEUE, queue_of
from producer.protocol.errors import BadSignature, KeysUnavailable
from tests.support.bad_messages import settle
from worker.domain.settlement import Done, GiveUp, RetryAt, State, Step
from worker.errors import AcceptFailed, BadMessage, DeadlineExceeded, LedgerUnavailable, RefusedByBetcore
from worker.ledger.database import Database, DeadlineConnection
from worker.metrics import MessageStep
from worker.producers import PRODUCER_HEADER, producer_on
from worker.quarantine.writer import Quarantine, QuarantineStore
from worker.queue.entry import EntryMessage, read_entry
from worker.queue.tasks import GivenToAnother, SettleRequest, SettleTask
from worker.queue.transport.held import Holder, Taken

Ended = Callable[[Exception], list[str]]


class Channel(virtual.Channel):  # type: ignore[misc]  # kombu has no types
    """As much of a channel as a message needs: how bodies are encoded, and how many are in hand."""

    def __init__(self) -> None:
        self.closed = True
        self._qos = SimpleNamespace(prefetch_count=1)


TAKEN = Taken.of("1 0 cashback", settle())
HOLDER = Holder(["cashback"], lease_seconds=1)


def never() -> Any:  # noqa: ANN401 - it never returns
    raise AssertionError("no handler is needed to end a run")


@pytest.fixture
def ended() -> Ended:
    """Give what became of the message after a run ended in an error, with a quarantine that cannot write."""
    pool = ConnectionPool("postgresql://unused.test/x", connection_class=DeadlineConnection, open=False)
    quarantine = Quarantine(
        QuarantineStore(Database(pool, timeout_seconds=1)),
        registry=CollectorRegistry(),
        random=lambda: 0.5,
    )
    app = Celery(set_as_current=False)
    task = app.register_task(SettleTask(never, lambda: quarantine, never))

    def end(error: Exception) -> list[str]:
        seen: list[str] = []
        message = EntryMessage(read_entry(TAKEN, HOLDER), channel=Channel())
        request = SettleRequest(
            message,
            on_ack=lambda *_: seen.append("acknowledged"),
            on_reject=lambda _logger, _errors, requeue: seen.append("requeued" if requeue else "deleted"),
            app=app,
            task=task,
        )
        try:
            raise error
        except type(error):
            request.on_success((True, ExceptionInfo(), 0.1))
        return seen

    return end


@pytest.mark.parametrize(
    "error",
    [
        BadMessage(),
        BadSignature(),
        KeysUnavailable(),
        LedgerUnavailable(),
        ZeroDivisionError(),
        KeyError("x"),
    ],
    ids=repr,
)
def test_a_run_that_leaves_nothing_on_record_holds_its_message_until_that_is_kept(
    ended: Ended, error: Exception
) -> None:
    assert ended(error) == []


@pytest.mark.parametrize("error", [DeadlineExceeded(), RefusedByBetcore()], ids=repr)
def test_an_event_whose_end_is_on_record_lets_go_of_its_message(ended: Ended, error: Exception) -> None:
    assert ended(error) == ["acknowledged"]


def test_a_run_that_another_worker_has_by_now_leaves_the_message_alone(ended: Ended) -> None:
    assert ended(GivenToAnother()) == []


class Followed(SettleTask):
    """A task whose retries go nowhere, or fail to."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__(never, never, never)
        self.delays: list[float] = []
        self.counted: list[str] = []
        self._fails = fails

    def count(self, producer: str, steps: Iterable[MessageStep]) -> None:
        self.counted += [f"{producer} {step}" for step in steps]

    def publish_retry(self, request: SettleRequest, *, delay_seconds: float) -> None:
        assert request.kwargs["token"]
        if self._fails:
            raise OSError("away")
        self.delays.append(delay_seconds)


def followed(step: Step, *, fails: bool = False) -> tuple[list[str], Followed]:
    """Return what became of the message after a run came to `step`, and its task."""
    seen: list[str] = []
    app = Celery(set_as_current=False)
    task = app.register_task(Followed(fails=fails))
    request = create_request_cls(SettleRequest, task, Pool(), "here", Events(seen), app=app)(
        EntryMessage(read_entry(TAKEN, HOLDER), channel=Channel()),
        on_ack=lambda *_: seen.append("acknowledged"),
        on_reject=lambda _logger, _errors, requeue: seen.append("requeued" if requeue else "deleted"),
        app=app,
        task=task,
        eventer=Events(seen),
    )
    request.request_dict["run"].came_to = step
    request.on_success((False, "'Done'", 0.1))
    return seen, task


class Pool:
    """As much of a pool as the making of a request class needs."""

    def apply_async(self) -> None:
        raise AssertionError("nothing is run here")


class Events:
    """Notes what Flower is told."""

    enabled = True

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def send(self, kind: str, **fields: object) -> None:
        self._seen.append(f"{kind} {fields.get('result') or fields.get('exception')}")


def test_a_run_that_came_to_its_end_is_a_success() -> None:
    seen, task = followed(Done(State.ANSWERED))

    assert task.counted == ["betcore settled"]
    assert seen == ["acknowledged", "task-succeeded 'answered'"]


def test_a_run_that_is_to_be_tried_again_goes_on_as_another_message() -> None:
    seen, task = followed(RetryAt(1.5, AcceptFailed("HTTP 503")))

    assert seen == ["acknowledged", "task-retried AcceptFailed('HTTP 503')"]
    assert task.delays == [1.5]
    assert task.counted == []


def test_a_retry_that_could_not_be_published_gives_the_message_back() -> None:
    seen, _ = followed(RetryAt(1.5, AcceptFailed("HTTP 503")), fails=True)

    assert seen[0] == "requeued"
    assert "acknowledged" not in seen


def test_a_run_that_gave_up_is_a_failure_with_its_reason() -> None:
    seen, task = followed(GiveUp(DeadlineExceeded("last answer: HTTP 500")))

    assert task.counted == ["betcore settled", "betcore too_late"]
    assert seen == ["acknowledged", "task-failed DeadlineExceeded('last answer: HTTP 500')"]


def test_a_retry_takes_headers_of_the_message_along_and_nothing_that_only_this_process_knows() -> None:
    # Given a message with a header of its sender's own, in the hands of a worker that holds it under a lease
    app = Celery(set_as_current=False)
    task = app.register_task(SettleTask(never, never, never))
    taken = Taken.of("1 0 cashback", settle(headers={"trace": "t1"}))
    message = EntryMessage(read_entry(taken, HOLDER), channel=Channel())
    request = SettleRequest(message, app=app, task=task)

    # When its retry is described
    retry = task.signature_from_request(Context(request.request_dict), (), {}, countdown=1)

    # Then it can be sent, and the sender's header is in it
    assert json.loads(json.dumps(retry.options["headers"]))["trace"] == "t1"


def test_a_retry_takes_nothing_along_that_would_keep_it_from_being_sent_or_read() -> None:
    # Given a message with a priority, and headers that Celery reads when it describes a retry
    app = Celery(set_as_current=False)
    task = app.register_task(SettleTask(never, never, never))
    odd = {"shadow": ["x"], "stamps": 5, "stamped_headers": 5, "timelimit": "soon", "headers": 5}
    envelope = json.loads(settle(headers=odd))
    envelope["properties"]["priority"] = 9
    taken = Taken.of("1 0 cashback", json.dumps(envelope).encode())
    message = EntryMessage(read_entry(taken, HOLDER), channel=Channel())
    request = SettleRequest(message, app=app, task=task)

    # When its retry is described
    retry = task.signature_from_request(Context(request.request_dict), (), {}, countdown=1)

    # Then it is for the one list that is read, and says nothing of them
    assert "priority" not in retry.options
    assert not retry.options["headers"]
    assert not odd.keys() & {name for name, value in retry.options.items() if value}
    assert request.name == task.name


@pytest.mark.parametrize(
    ("queue", "producer"), [(queue_of("edge"), "edge"), (QUEUE, OWN_PRODUCER), (RETRY_QUEUE, "mobile")]
)
def test_a_retry_says_whose_event_it_is_and_believes_no_sender(queue: str, producer: str) -> None:
    # Given a message that names a producer, which a worker alone may do, on the retry queue
    app = Celery(set_as_current=False)
    task = app.register_task(SettleTask(never, never, never))
    taken = Taken.of(f"1 0 {queue}", settle(headers={PRODUCER_HEADER: "mobile"}))
    message = EntryMessage(read_entry(taken, HOLDER), channel=Channel())
    request = SettleRequest(message, app=app, task=task)

    # When its retry is described
    retry = task.signature_from_request(Context(request.request_dict), (), {}, countdown=1)

    # Then it has the producer that its list vouched for
    assert producer_on(RETRY_QUEUE, retry.options["headers"]) == producer
    assert request.request_dict["run"].producer == producer


def test_no_task_is_revoked_whoever_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery(set_as_current=False)
    task = app.register_task(SettleTask(never, never, never))
    message = EntryMessage(read_entry(TAKEN, HOLDER), channel=Channel())
    request = SettleRequest(message, app=app, task=task)
    monkeypatch.setattr("celery.worker.request.revoked_tasks", {request.id})

    assert not request.revoked()


@pytest.mark.parametrize(("queue", "waits"), [("cashback", True), ("cashback.partner.edge", False)])
def test_what_lies_on_a_partners_list_waits_for_no_eta(queue: str, *, waits: bool) -> None:
    app = Celery(set_as_current=False)
    task = app.register_task(SettleTask(never, never, never))
    eta = (datetime.now(tz=UTC) + timedelta(seconds=60)).isoformat()
    message = EntryMessage(
        read_entry(Taken.of(f"1 0 {queue}", settle(headers={"eta": eta})), HOLDER), channel=Channel()
    )

    assert (SettleRequest(message, app=app, task=task).eta is not None) == waits
