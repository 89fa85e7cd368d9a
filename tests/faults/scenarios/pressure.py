"""More than there should be: every message many times over, and five times the load that can be taken."""

import json
from datetime import datetime
from typing import Final
from uuid import uuid4

import psycopg
import redis

from cashback_client.contract import QUEUE, SettleMessage
from producer.copies.publisher import envelope
from tests.faults.proxy import PASS, Behaviour
from tests.faults.rig import STOP_SECONDS
from tests.faults.scene import Scene

COPIES: Final = 5
OVERLOAD: Final = 5
GOOD_SHARE: Final = 0.8
_GOOD_CODES: Final = frozenset({200, 103804})
_CLIENT_SECONDS: Final = 5.0
_CONCURRENCY: Final = 4
# Each call of PostgreSQL takes twice as long.
_FAR_DATABASE: Final = Behaviour(latency_seconds=0.075)
_PROBE_SECONDS: Final = 2.0
_PROBE_RATE_PER_SECOND: Final = 30.0
_RECEIPTS: Final = (
    "SELECT event_id, token_of(event_id), received_at FROM receipts WHERE cashback_id BETWEEN %s AND %s"
)


def duplicates(scene: Scene) -> None:
    """Each message is put onto the queue several times more, at once and again later."""
    with scene.load(seconds=2.0 * scene.form.rounds) as load:
        seen: set[object] = set()
        while load.is_sending:
            scene.pause(0.2)
            _republish(scene, seen)
    _republish(scene, seen)
    _republish(scene, set())


def _republish(scene: Scene, seen: set[object]) -> None:
    ids = scene.cashback_ids
    with (
        psycopg.connect(scene.rig.database_url, autocommit=True) as connection,
        redis.Redis.from_url(scene.rig.valkey.url, socket_timeout=_CLIENT_SECONDS) as client,
        scene.fault(f"each message {COPIES} times more"),
    ):
        for event_id, token, received_at in connection.execute(
            _RECEIPTS, (ids.start, ids.stop - 1)
        ).fetchall():
            if event_id not in seen:
                seen.add(event_id)
                client.lpush(QUEUE, *(_message(token, received_at) for _ in range(COPIES)))


def _message(token: str, received_at: datetime) -> str:
    message = SettleMessage(token=token, received_at_ms=round(received_at.timestamp() * 1_000))
    return json.dumps(envelope(message, summary="(again)", origin="faults", delivery_tag=str(uuid4())))


def overload(scene: Scene) -> None:
    """Five times the capacity, which is measured first: what is received is answered in time all the same.

    The capacity is that of one worker with few threads and a PostgreSQL that is far away, so that neither the
    simulator nor the load is what gives in. Where nothing is refused it was no overload.
    """
    rig = scene.rig
    worker = rig.new_worker(name="worker.small", settings={"CASHBACK_CONCURRENCY": str(_CONCURRENCY)})
    rig.stop_workers()
    rig.worker_database.behave(_FAR_DATABASE)
    try:
        worker.start()
        rig.wait_for_worker(worker)
        capacity = _measure(scene, seconds=_PROBE_SECONDS, rate_per_second=_PROBE_RATE_PER_SECOND)
        scene.wait_for_ends()
        turned_away = scene.figures["turned_away"]
        scene.expect(
            turned_away == 0, f"{turned_away:g} makes were turned away while the capacity was measured"
        )
        scene.least_in_time_share = 1.0
        with scene.fault(f"{OVERLOAD} times the capacity"):
            good = _measure(scene, seconds=scene.form.overload_seconds, rate_per_second=OVERLOAD * capacity)
        scene.wait_for_ends()
        scene.figures |= {"capacity_per_second": capacity, "good_per_second": good}
        scene.expect(
            scene.figures["refused"] > 0, f"{OVERLOAD} times the capacity was none: nothing was refused"
        )
        scene.expect(
            good >= GOOD_SHARE * capacity,
            f"{good:g} good answers a second in the overload, of a capacity of {capacity:g}",
        )
    finally:
        rig.worker_database.behave(PASS)
        worker.stop(timeout_seconds=STOP_SECONDS)
        for own in rig.workers:
            own.start()


def _measure(scene: Scene, *, seconds: float, rate_per_second: float) -> float:
    """Send a load and return how many good answers a second came while it lasted."""
    _, accepts_before = scene.rig.log_totals()
    with scene.load(seconds=seconds, rate_per_second=rate_per_second, resubmits=False):
        scene.pause(seconds)
        accepts = scene.rig.simulator_log(accepts_after=accepts_before, makes_after=2**31)["accepts"]
    good = [accept for accept in accepts if accept["acknowledged"] and accept["error_code"] in _GOOD_CODES]
    return round(len(good) / seconds, 1)
