"""Workers, the operator's command and a partner under their users, where something went wrong before."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from celery import Celery
from kombu import Connection

from cashback_client.contract import (
    QUEUE,
    RETRY_QUEUE,
    TASK_NAME,
    SettleMessage,
    celery_options,
    queue_of,
)
from tests.support import bad_messages, command
from tests.support.bad_messages import Bench, good, token
from tests.support.betcore import ISSUER
from tests.support.held import held
from tests.support.raw_betcore import reply
from tests.support.redis_users import Server
from tests.support.sent_on import WORKERS_KEYS, app_on
from worker.betcore.shared_tokens import RedisTokens
from worker.betcore.token_endpoint import AccessToken
from worker.ledger.commit_notes import Commit
from worker.metrics import Metrics
from worker.queue.transport.held import LEASES, RETURNED, Holder
from worker.queue.unread_lists import SLIPS, UnreadLists, of_priority
from worker.recovery.broker import CeleryBroker
from worker.recovery.witness import RedisWitness

COMMIT = Commit(cashback_id=480, transaction_type=1, event_id=UUID(int=1), transaction_id=1, seen_at_ms=1)
MESSAGE = SettleMessage(token="a.b.c", received_at_ms=1_795_386_237_585)


@pytest.fixture
def bench(server: Server, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(server.valkey.url, database_url, tmp_path) as made:
        made.settings |= {"redis_url": server.url("worker")}
        yield made


@pytest.fixture
def app(server: Server) -> Iterator[Celery]:
    """Lend an app of a worker."""
    app = app_on(server.url("worker"))
    yield app
    app.close()


def end_leases(server: Server) -> None:
    """Let the leases of dead workers have ended, and nobody wait for it."""
    owners: Any = server.operator.zrange(LEASES, 0, -1)
    server.operator.zadd(LEASES, dict.fromkeys(owners, 1))


def test_what_a_killed_worker_had_in_hand_is_settled_by_the_next_one(
    server: Server, database_url: str, tmp_path: Path
) -> None:
    # BETCORE leaves the first accepts without an answer for as long as the first worker lives.
    silent = bad_messages.bench(server.valkey.url, database_url, tmp_path, accept=reply(500))
    with silent as bench:
        bench.settings |= {"redis_url": server.url("worker"), "sweep_interval_seconds": "60"}
        killed = bench.start_worker()
        for cashback_id in (1, 2):
            bench.push(good(cashback_id))
        bench.wait(lambda: held(server.operator) == 2 and len(bench.accepts()) > 1, "it has both in hand")

        killed.kill()
        end_leases(server)
        told = len(bench.accepts())
        bench.start_worker()
        bench.wait(lambda: len(bench.accepts()) > told + 1, "the next one tells BETCORE of them")

        # The sweep may have been first: then they are given back a moment later.
        bench.wait(lambda: "entries_of_a_lost_worker" in bench.log(), "they are given back")
        assert server.refused() == set()


def test_what_a_partner_enqueues_as_the_readme_says_is_credited(bench: Bench, server: Server) -> None:
    bench.start_worker()
    message = SettleMessage(token=token(480), received_at_ms=int(time.time() * 1000))
    partner = Celery("shop", broker=server.url("partner"), set_as_current=False)

    partner.send_task(TASK_NAME, kwargs=message.model_dump(), **celery_options(message, {"CashbackId": 480}))
    partner.close()

    bench.wait_for_success(480)
    bench.wait_until_idle()
    assert server.refused() == set()


@pytest.mark.parametrize("role", ["operator", "worker"])
def test_a_message_is_put_back_from_quarantine(bench: Bench, server: Server, role: str) -> None:
    misled = bench.start_worker(token_issuer="https://another.test")
    event = good(480)
    bench.push(event)
    kept = bench.wait_for_row(event)
    misled.stop()
    bench.start_worker(token_issuer=ISSUER)

    url = server.url("operator" if role == "operator" else "worker")
    ended = command.run(
        *("quarantine", "requeue", str(kept["quarantine_id"])),
        redis_url=url,
        database_url=bench.database_url,
    )

    assert ended.exit_code == 0, ended.stderr
    bench.wait_for_success(480)
    assert server.refused() == set()


def test_a_sweeper_sees_the_queues_and_sends_on_what_is_overdue(server: Server, app: Celery) -> None:
    broker = CeleryBroker(app, keys=WORKERS_KEYS, timeout_seconds=60)
    for queue in (QUEUE, RETRY_QUEUE, RETURNED):
        server.operator.lpush(queue, "entry")
    server.operator.zadd(LEASES, {"host:1:ab@cashback": 1})
    server.operator.hset("cashback.held.host:1:ab@cashback", "1 0 cashback", "entry")

    assert broker.at_head() == []
    assert broker.head_of(QUEUE) == b"entry"
    assert broker.still_has(QUEUE, b"entry")
    assert broker.find([MESSAGE.event_id]).is_complete
    broker.publish(MESSAGE)
    broker.close()

    assert server.operator.llen(RETRY_QUEUE) == 2
    assert server.refused() == set()


def test_commits_are_put_on_record_and_moved_between_the_records(server: Server, app: Celery) -> None:
    witness = RedisWitness(app.pool, timeout_seconds=60)

    witness.add([COMMIT])
    assert witness.newest() == [COMMIT]
    assert witness.move_to_lost([COMMIT]) == 1
    assert witness.lost() == [COMMIT]
    witness.move_back([COMMIT])

    assert server.refused() == set()


def test_workers_share_the_access_token(server: Server) -> None:
    with Connection(server.url("worker")) as connection:
        tokens = RedisTokens(connection.Pool(1), name="7", secret="s", timeout_seconds=60)
        token = AccessToken("text", time.time(), time.time() + 100)

        assert tokens.try_lock()
        tokens.rest(10)
        tokens.write(token, now=time.time())
        assert tokens.read() == token
        tokens.forget("text")
        assert tokens.read() is None

    assert server.refused() == set()


def test_a_worker_may_send_all_that_it_takes_and_gives_back_with(server: Server) -> None:
    holder = Holder([QUEUE], lease_seconds=6)
    holder.ask([QUEUE, RETRY_QUEUE])
    server.operator.lpush(QUEUE, "one", "two", "three")
    with redis.Redis.from_url(server.url("worker"), socket_timeout=60) as client:
        client.execute_command(*holder.keep(6))
        reply = client.execute_command(*holder.take(room=1, is_known=False))
        [taken] = holder.read_taken(reply, sent_at=0)
        landed = holder.landed(client.execute_command(*holder.wait(0.1)))
        client.execute_command(*holder.take(room=1, landed=landed.field, is_known=True))
        client.execute_command(*holder.pause(0.01))
        client.execute_command(*holder.give_back_one(taken))
        client.execute_command(*holder.let_go([landed.field]))
        client.execute_command(*holder.give_back())

    assert server.operator.llen(RETURNED) == 2
    assert server.refused() == set()


def test_a_worker_looks_at_all_lists_that_a_slip_leads_to(server: Server) -> None:
    unknown = queue_of("unknown")
    priorities = of_priority((QUEUE, RETRY_QUEUE, queue_of("edge")))
    for name in (*SLIPS, *priorities, unknown):
        server.operator.lpush(name, "entry")
    metrics = Metrics()
    with redis.Redis.from_url(server.url("worker"), socket_timeout=60) as client:
        lists = UnreadLists(lambda question: question(client), metrics, partners=["edge"])
        for _ in range(3):
            lists.look()

    (family,) = (each for each in metrics.registry.collect() if each.name == "cashback_unread_entries")
    assert [sample.value for sample in family.samples] == [1.0] * (len(SLIPS) + 1)
    lengths = {server.operator.llen(name) for name in (QUEUE, RETRY_QUEUE, queue_of("edge"))}
    assert lengths == {len(priorities) // 3}
    assert server.refused() == set()


def test_flower_clears_away_the_bindings_of_those_that_are_gone(server: Server) -> None:
    server.operator.zadd("_kombu.binding_deadlines", {"of-a-flower-that-is-gone": 1})
    with Connection(server.url("flower")) as connection:
        assert connection.default_channel.sweep_bindings() == 1

    assert server.refused() == set()
