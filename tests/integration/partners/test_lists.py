"""Partners' lists with a real worker: each is emptied, and whose events they were is known to their end."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cashback_client.contract import QUEUE, SettleMessage, queue_of
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from tests.support import bad_messages
from tests.support.bad_messages import Bench, good, settle
from tests.support.betcore import cashback, signer
from tests.support.raw_betcore import reply

EDGE, MOBILE = queue_of("edge"), queue_of("mobile")
REFUSED_ONCE = 300
# The bench's deadline is 300 s, and its credit cut-off lies 5 s before it.
LATE_SECONDS = 296.0


class Accepts:
    """Acknowledges each accept, but the first one of REFUSED_ONCE."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused = 0

    def __call__(self, peer: Any, connection: Any, request: Any) -> None:  # noqa: ANN401 - see raw_betcore
        is_it = json.loads(request.body)["Value"]["CashbackId"] == REFUSED_ONCE
        with self._lock:
            self._refused += is_it
            status = 500 if is_it and self._refused == 1 else 200
        reply(status)(peer, connection, request)


@pytest.fixture(scope="module")
def bench(
    valkey_server: ValkeyServer,
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """Lend a worker that takes from two partners' lists."""
    directory = tmp_path_factory.mktemp("lists")
    with bad_messages.bench_of_a_module(
        valkey_server, postgres_server, migrated_template, directory, accept=Accepts()
    ) as made:
        made.start_worker(partners="edge,mobile:2")
        yield made


def counted(bench: Bench, producer: str, step: str) -> float:
    """Return how many of a producer's messages came so far, by the worker's metrics."""
    text = httpx.get(f"http://127.0.0.1:{bench.metrics_port}/metrics").text
    prefix = f'cashback_messages_total{{producer="{producer}",step="{step}"}} '
    [line] = [line for line in text.splitlines() if line.startswith(prefix)]
    return float(line.removeprefix(prefix))


def late(cashback_id: int) -> bytes:
    """Return the entry of an event whose credit cut-off passed a moment ago."""
    at = time.time() - LATE_SECONDS
    token = signer(1).token(at=at, data=cashback(cashback_id))
    return settle([[], SettleMessage(token=token, received_at_ms=int(at * 1000)).model_dump(), None])


def test_each_list_is_emptied_and_its_messages_are_counted_as_its_producers(bench: Bench) -> None:
    before = {
        (producer, step): counted(bench, producer, step)
        for producer in ("betcore", "edge", "mobile")
        for step in ("taken", "settled")
    }
    for number, queue in enumerate((QUEUE, EDGE, EDGE, MOBILE)):
        bench.push(good(number + 1), queue)

    for number in range(4):
        bench.wait_for_success(number + 1)

    more = {"betcore": 1, "edge": 2, "mobile": 1}
    bench.wait(
        lambda: all(counted(bench, *key) == count + more[key[0]] for key, count in before.items()),
        "all are counted",
    )
    assert counted(bench, "other", "taken") == 0


def test_an_event_that_is_sent_again_is_of_the_same_producer(bench: Bench) -> None:
    taken, settled = counted(bench, "edge", "taken"), counted(bench, "edge", "settled")
    own = counted(bench, "betcore", "settled")
    bench.push(good(REFUSED_ONCE), EDGE)

    bench.wait(lambda: counted(bench, "edge", "settled") == settled + 1, "it is settled as its own")

    # Its accept was sent twice, by two messages of which one was taken off its list.
    assert len([body for body in bench.accepts() if f'"CashbackId":{REFUSED_ONCE}' in body]) == 2
    assert counted(bench, "edge", "taken") == taken + 1
    assert counted(bench, "betcore", "settled") == own


def test_what_lay_on_a_list_for_too_long_is_answered_102823_and_counted(bench: Bench) -> None:
    bench.push(late(400), MOBILE)

    bench.wait(
        lambda: any('"CashbackId":400' in body and '"ErrorCode":102823' in body for body in bench.accepts()),
        "BETCORE is told that it came too late",
    )
    bench.wait(lambda: counted(bench, "mobile", "too_late") == 1, "it is counted")
    assert counted(bench, "edge", "too_late") == 0
