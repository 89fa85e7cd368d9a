"""A worker that cannot start ends: within seconds, non-zero, and its last line says why."""

from pathlib import Path

import pytest
import redis

from deploy.local.ports import LOCALHOST, free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import running, wait_until
from tests.support.worker_process import END_SECONDS, ended, worker_process


@pytest.mark.parametrize(("taken", "refused"), [("-@blocking", "blmove"), ("-lpos", "lpos")])
def test_a_redis_whose_user_may_not_do_what_a_worker_does_ends_the_start_with_a_sentence(
    environment: dict[str, str], tmp_path: Path, redis_url: str, taken: str, refused: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", taken)
        try:
            environment["CASHBACK_REDIS_URL"] = redis_url.replace("//", "//plain:secret@")
            status, last_line = ended(worker_process(tmp_path, environment, name="worker"))
        finally:
            client.execute_command("ACL", "DELUSER", "plain")

    assert status == 1
    assert last_line.startswith("cashback worker: Redis refuses the service's user (User plain has no perm")
    assert f"'{refused}'" in last_line
    assert "CASHBACK_REDIS_URL" in last_line


def test_a_proxy_variable_that_cannot_be_read_ends_the_start_with_a_sentence(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment["NO_PROXY"] = "[::1]"

    status, last_line = ended(worker_process(tmp_path, environment, name="worker"))

    assert status == 2
    assert last_line.startswith("cashback worker: NO_PROXY: '[::1]' cannot be read")


def test_a_database_without_the_schema_ends_the_start_with_a_sentence(
    environment: dict[str, str], tmp_path: Path, postgres_server: PostgresServer
) -> None:
    environment["CASHBACK_DATABASE_URL"] = postgres_server.url

    status, last_line = ended(worker_process(tmp_path, environment, name="worker"))

    assert status == 1
    assert last_line.startswith("cashback worker: the database does not have the schema of this program: run")


def test_it_starts_while_its_servers_are_away(environment: dict[str, str], tmp_path: Path) -> None:
    environment["CASHBACK_REDIS_URL"] = f"redis://{LOCALHOST}:{free_port()}/0"
    environment["CASHBACK_DATABASE_URL"] = f"postgresql://{LOCALHOST}:{free_port()}/x"
    process = worker_process(tmp_path, environment, name="worker")

    with running(process):
        wait_until(
            lambda: "Trying again" in process.log_path.read_text("utf-8"),
            what="it looks for Redis",
            timeout_seconds=END_SECONDS,
            process=process,
        )

    begun = process.log_path.read_text("utf-8")
    assert begun.count('"redis_unreachable"') == begun.count('"postgresql_unreachable"') == 1


def test_whatever_fails_in_start_ends_the_process_and_its_traceback_is_not_the_last_word(
    environment: dict[str, str], tmp_path: Path
) -> None:
    broken = (
        "import worker.runtime as r\ndef fails(*_, **__): raise KeyError('a fault')\nr.open_pool = fails\n"
    )

    status, last_line = ended(worker_process(tmp_path, environment, name="worker", before=broken))

    assert status == 1
    assert last_line.startswith("cashback worker: it ends, as it cannot work: KeyError: 'a fault'")


def test_what_celery_cannot_start_ends_the_process_in_the_same_way(
    environment: dict[str, str], tmp_path: Path
) -> None:
    broken = (
        "import celery.concurrency.thread as t\n"
        "def fails(*_, **__): raise KeyError('no pool')\nt.TaskPool.on_start = fails\n"
    )

    status, last_line = ended(worker_process(tmp_path, environment, name="worker", before=broken))

    assert status == 1
    assert last_line.startswith("cashback worker: it ends, as it cannot work: KeyError: 'no pool'")
