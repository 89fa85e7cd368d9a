"""Composition root of the worker: `celery -A worker.app worker` asks this module for `app`.

The app is built when it is first asked for, not at import, and opens nothing before a worker starts.
Decision 5.
"""

import logging
import sys
import threading
from functools import cache
from typing import Any

from celery import Celery, bootsteps, signals
from kombu import Exchange, Queue

from producer.client.contract import QUEUE, RETRY_QUEUE
from producer.shared.garbage import calm_collector
from producer.shared.logs import configure_logs
from producer.shared.settings import SettingsError, load
from worker.handling.answering import Answering
from worker.handling.handler import Handler
from worker.quarantine.writer import Quarantine
from worker.queue.consumer import settling_consumer
from worker.queue.tasks import SettleTask
from worker.runtime import Runtime
from worker.settings import WorkerSettings


class WorkerProcess:
    """Opens the runtime when a worker of this app starts, and closes it after the last task ended."""

    def __init__(self, app: Celery, settings: WorkerSettings) -> None:
        self._app = app
        self.settings = settings
        self._runtime: Runtime | None = None
        signals.worker_init.connect(self._open, weak=False)
        signals.worker_shutdown.connect(self._close, weak=False)

    @property
    def runtime(self) -> Runtime:
        """The runtime of the running worker."""
        if self._runtime is None:
            raise RuntimeError("the worker is not running")
        return self._runtime

    def handler(self) -> Handler:
        """Return the handler of the running worker."""
        return self.runtime.handler

    def answering(self) -> Answering:
        """Return what sends the accepts of the running worker."""
        return self.runtime.answering

    def quarantine(self) -> Quarantine:
        """Return the quarantine of the running worker."""
        return self.runtime.quarantine

    def _open(self, sender: Any, **_: object) -> None:  # noqa: ANN401 - the signature of Celery's signals
        if sender.app is self._app:
            self._runtime = Runtime.open(self.settings, self._app)
            calm_collector()

    def _close(self, sender: Any, **_: object) -> None:  # noqa: ANN401 - the signature of Celery's signals
        if sender.app is self._app and self._runtime is not None:
            self._runtime.close()
            self._runtime = None


def sweeper_step(process: WorkerProcess) -> type[bootsteps.StartStopStep]:
    """Return the bootstep that runs the sweeper beside the pool, whatever becomes of the consumer."""

    class SweeperStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
        requires = frozenset({"celery.worker.components:Pool"})

        def __init__(self, parent: object, **_: object) -> None:
            super().__init__(parent)
            self._stopping = threading.Event()
            self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

        def start(self, _parent: object) -> None:
            self._thread.start()

        def stop(self, _parent: object) -> None:
            self._stopping.set()
            self._thread.join(process.settings.shutdown_grace_seconds)

        def _run(self) -> None:
            process.runtime.sweeper.run(self._stopping)

    return SweeperStep


def create_app(settings: WorkerSettings) -> Celery:
    """Build the Celery app with its task and its configuration; connects nothing."""
    app = Celery("cashback", set_as_current=False)
    app.conf.update(celery_configuration(settings))
    process = WorkerProcess(app, settings)
    app.register_task(SettleTask(process.handler, process.quarantine, process.answering))
    app.conf.worker_consumer = settling_consumer(
        quarantine=process.quarantine,
        answering=process.answering,
        answers_seconds=settings.shutdown_grace_seconds / 2,
    )
    app.steps["worker"].add(sweeper_step(process))
    return app


def celery_configuration(settings: WorkerSettings) -> dict[str, object]:
    """Celery's configuration; each line that guards an invariant says which."""
    timeout_seconds = settings.broker_timeout_seconds
    return {
        "broker_url": settings.redis_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "master_name": settings.redis_sentinel_master,
            # Sentinels are asked in turn: one that is away must not cost the time of redis-py's retries.
            "sentinel_kwargs": {
                "socket_timeout": timeout_seconds / 3,
                "socket_connect_timeout": timeout_seconds / 3,
                "retry": None,
            },
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "socket_keepalive": True,
            "health_check_interval": 5,
            "lease_seconds": settings.lease_seconds,
            "stop_seconds": settings.shutdown_grace_seconds,
            # How often a worker looks for what others left behind.
            "unacked_restore_interval": 1,
        },
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.1},
        # The default exchange has no bindings that a FLUSHALL could remove: what is published arrives.
        "task_queues": [
            Queue(name, exchange=Exchange(""), routing_key=name) for name in (QUEUE, RETRY_QUEUE)
        ],
        "task_default_queue": QUEUE,
        "task_default_exchange": "",
        "task_default_routing_key": QUEUE,
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "task_acks_late": True,
        # The threads pool ignores time limits: every attempt is bounded by its own timeouts instead.
        "worker_pool": "threads",
        "worker_concurrency": settings.concurrency,
        "worker_prefetch_multiplier": 2,
        # Retries wait in the worker's memory until they are due; beyond this many they wait in Redis.
        "worker_eta_task_limit": 10_000,
        "worker_send_task_events": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "enable_utc": True,
    }


@cache
def _composed() -> Celery:
    try:
        settings = load(WorkerSettings)
    except SettingsError as error:
        sys.stderr.write(f"cashback worker: {error}\n")
        raise SystemExit(2) from None
    signals.setup_logging.connect(lambda **_: _configure_logs(settings.log_level), weak=False)
    return create_app(settings)


def _configure_logs(level: str) -> None:
    configure_logs(level)
    # Their two INFO lines for each task say what Flower, the receipts and the metrics say too, and cost a
    # tenth of the worker's time. What fails is still logged.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def __getattr__(name: str) -> Celery:
    if name in {"app", "celery"}:
        return _composed()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
