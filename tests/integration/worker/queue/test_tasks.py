"""A real worker takes nothing from a message that would end its event in silence."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery

from tests.support import bad_messages
from tests.support.bad_messages import Bench, message, settle, token

REVOKED_SECONDS = 120.0


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path) as made:
        yield made


def test_an_event_is_settled_although_its_message_has_expired(bench: Bench) -> None:
    bench.start_worker()

    # Celery would acknowledge such a message without a trace.
    bench.push(settle([[], message(token(7)), None], headers={"expires": "2020-01-01T00:00:00+00:00"}))

    bench.wait_for_success(7)


def test_an_event_is_settled_although_its_task_was_revoked(bench: Bench) -> None:
    bench.start_worker()
    task_id = str(uuid4())
    app = Celery("revoker", broker=bench.redis_url, set_as_current=False)
    try:
        # Given a worker that was told of it,
        # Past kombu's pools, which may hold a connection from before a restart of the server.
        with app.connection_for_write() as connection:
            replies = app.control.revoke(
                task_id, reply=True, timeout=REVOKED_SECONDS, limit=1, connection=connection
            )
    finally:
        app.close()
    assert "refused" in json.dumps(replies)

    bench.push(settle([[], message(token(8)), None], headers={"id": task_id, "root_id": task_id}))

    bench.wait_for_success(8)
