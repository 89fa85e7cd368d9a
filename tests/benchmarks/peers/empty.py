"""The ceiling: an empty Celery task, with the worker's own Celery configuration on a queue of its own.

`celery --app tests.benchmarks.peers.empty worker …` with the options of the Procfile: the same pool, threads,
prefetch, late acknowledgement and task events. The log level is Celery's own default, WARNING: an empty task
says nothing.
"""

from functools import cache
from typing import Final

from celery import Celery
from kombu import Exchange, Queue

from producer.shared.settings.environment import load
from worker.app import celery_configuration
from worker.settings import WorkerSettings

QUEUE: Final = "empty"
TASK: Final = "empty.task"


@cache
def create_app() -> Celery:
    """Build the app from the worker's settings; connects nothing."""
    app = Celery("empty", set_as_current=False)
    app.conf.update(celery_configuration(load(WorkerSettings)))
    app.conf.update(
        task_queues=[Queue(QUEUE, exchange=Exchange(""), routing_key=QUEUE)],
        task_default_queue=QUEUE,
        task_default_routing_key=QUEUE,
    )

    @app.task(name=TASK, shared=False, ignore_result=True)  # type: ignore[untyped-decorator]  # Celery has no types
    def do_nothing(**_: object) -> None:
        """Do nothing."""

    return app


def __getattr__(name: str) -> Celery:
    if name in {"app", "celery"}:
        return create_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
