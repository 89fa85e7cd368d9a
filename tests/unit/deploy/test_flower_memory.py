"""What Flower holds: the figure of deploy/flowerconfig.py, and that it fits the container."""

import re
import tracemalloc
from typing import Any
from uuid import UUID

import pytest
import yaml
from flower.events import EventsState

from cashback_client.summary import summary_of
from deploy.local.environment import ROOT

TASKS = 1_000
KB = 1_000
# What a Flower without tasks takes, and its pages while they are made.
REST_BYTES = 200 * 2**20


@pytest.fixture
def stated() -> dict[str, float]:
    text = (ROOT / "deploy/flowerconfig.py").read_text("utf-8")
    kilobytes = re.search(r"about ([\d.]+) KB a task", text)
    tasks = re.search(r"^max_tasks = ([\d_]+)$", text, re.MULTILINE)
    assert kilobytes is not None
    assert tasks is not None
    return {"task_bytes": float(kilobytes[1]) * KB, "tasks": int(tasks[1])}


def send(state: EventsState, number: int) -> None:
    """Tell Flower of one event that was settled, as a worker does."""
    task_id = str(UUID(int=number))
    always = {"uuid": task_id, "hostname": "worker-1@ip-10-0-0-12", "pid": 1234, "utcoffset": 0}
    summary = summary_of(
        {"CashbackId": 480 + number, "TransactionType": 1, "Amount": "10.00", "PartnerUserId": "188509"}
    )
    received = {
        "name": "cashback.settle", "args": "()", "kwargs": summary, "root_id": task_id, "parent_id": None,
        "retries": 0, "eta": None, "expires": None,
    }  # fmt: skip
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("task-received", received),
        ("task-started", {}),
        ("task-succeeded", {"result": "None", "runtime": 0.01 + number / KB}),
    ]
    for step, (kind, fields) in enumerate(kinds):
        clock = 3 * number + step
        times = {"clock": clock, "timestamp": 1e9 + clock, "local_received": 1e9 + clock}
        state.event({"type": kind, **always, **times, **fields})


def test_a_task_takes_what_the_configuration_says(stated: dict[str, float]) -> None:
    state = EventsState(max_tasks_in_memory=TASKS, max_workers_in_memory=1)
    tracemalloc.start()
    try:
        for number in range(TASKS):
            send(state, number)
        task_bytes = tracemalloc.get_traced_memory()[0] / TASKS
    finally:
        tracemalloc.stop()

    # The process takes up to a half more than Python's objects: see the figure's comment.
    assert stated["task_bytes"] / 2 < task_bytes < stated["task_bytes"]


def test_all_that_flower_may_hold_fits_its_container(stated: dict[str, float]) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    limit = compose["services"]["flower"]["deploy"]["resources"]["limits"]["memory"]

    assert limit.endswith("m")
    assert stated["tasks"] * stated["task_bytes"] + REST_BYTES < int(limit[:-1]) * 2**20
