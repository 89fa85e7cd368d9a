"""A worker that runs and cannot go on ends: non-zero, and its last line says why."""

from pathlib import Path

import psycopg
import pytest

from deploy.local.processes import running
from tests.support.worker_process import END_SECONDS, ended, wait_until_it_works, worker_process


def test_what_turns_out_while_it_runs_ends_it_when_it_stays(
    environment: dict[str, str], tmp_path: Path, redis_url: str, database_url: str
) -> None:
    soon = (
        "import producer.shared.preconditions.watch as w; w.LOOK_SECONDS = 0.1\n"
        "import producer.shared.preconditions.postgres as p\nfrom dataclasses import replace\n"
        "before = p.of_state\n"
        "p.of_state = lambda *a: [replace(each, confirm_seconds=1) for each in before(*a)]\n"
    )
    process = worker_process(tmp_path, environment, name="worker", before=soon)
    with running(process):
        wait_until_it_works(process, redis_url)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE schema_versions RENAME TO schema_versions_of_old")

        status = process.wait(timeout_seconds=END_SECONDS)

    assert status == 1
    assert process.log_tail(lines=1).startswith("cashback worker: the database does not have the schema")


@pytest.mark.parametrize(
    ("thread", "broken"),
    [
        ("sweeper", "from worker.recovery.sweeper import Sweeper as T; T.run = dies"),
        ("answered-marks", "from worker.ledger.answered_marks import AnsweredMarks as T; T._run = dies"),
    ],
)
def test_a_worker_one_of_whose_threads_has_died_ends_and_names_it(
    environment: dict[str, str], tmp_path: Path, thread: str, broken: str
) -> None:
    before = f"def dies(*_): raise KeyError('a surprise')\n{broken}\n"

    status, last_line = ended(worker_process(tmp_path, environment, name="worker", before=before))

    assert status == 1
    assert last_line.startswith(f"cashback worker: its thread {thread} has died (KeyError: 'a surprise')")


def test_a_worker_whose_event_loop_meets_a_fault_ends(environment: dict[str, str], tmp_path: Path) -> None:
    before = (
        "from worker.queue.consumer import SettlingConsumer as T\n"
        "def dies(*_): raise RuntimeError('a surprise')\nT.create_task_handler = dies\n"
    )

    status, last_line = ended(worker_process(tmp_path, environment, name="worker", before=before))

    assert status == 1
    assert last_line.startswith("cashback worker: it ends, as it cannot work: RuntimeError: a surprise")


def test_a_process_that_does_not_stop_in_good_order_is_cut_off(
    environment: dict[str, str], tmp_path: Path
) -> None:
    before = (
        "def dies(*_): raise KeyError('a surprise')\n"
        "from worker.recovery.sweeper import Sweeper as T; T.run = dies\n"
        "import time\nfrom worker.runtime import Runtime\n"
        "Runtime.close = lambda self: time.sleep(100_000)\n"
    )
    environment["CASHBACK_SHUTDOWN_GRACE_SECONDS"] = "0.5"

    status, last_line = ended(worker_process(tmp_path, environment, name="worker", before=before))

    assert status == 1
    assert "its thread sweeper has died" in last_line
    assert last_line.endswith("it did not end in 0.5 s and is cut off")


def test_a_worker_that_is_asked_to_stop_ends_well(
    environment: dict[str, str], tmp_path: Path, redis_url: str
) -> None:
    process = worker_process(tmp_path, environment, name="worker")
    with running(process):
        wait_until_it_works(process, redis_url)
        status = process.stop(timeout_seconds=END_SECONDS)

    assert status == 0
    assert "cashback worker:" not in process.log_path.read_text("utf-8")
