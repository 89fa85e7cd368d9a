"""Composition root of the worker: `celery -A worker.app worker` asks this module for `app`.

The app is built when it is first asked for, not at import, and opens nothing before a worker starts.
"""

import sys
from functools import cache
from typing import Any

from celery import Celery, signals
from kombu import Exchange, Queue

from producer.contract import QUEUE, RETRY_QUEUE
from producer.logs import configure_logs
from producer.settings import SettingsError, load
from worker.handler import Handler
from worker.runtime import Runtime
from worker.settings import WorkerSettings
from worker.tasks import SettleTask


class WorkerProcess:
    """Opens the runtime when a worker of this app starts, and closes it after the last task ended."""

    def __init__(self, app: Celery, settings: WorkerSettings) -> None:
        self._app = app
        self._settings = settings
        self._runtime: Runtime | None = None
        signals.worker_init.connect(self._open, weak=False)
        signals.worker_shutdown.connect(self._close, weak=False)

    def handler(self) -> Handler:
        """Return the handler of the running worker."""
        if self._runtime is None:
            raise RuntimeError("the worker is not running")
        return self._runtime.handler

    def _open(self, sender: Any, **_: object) -> None:  # noqa: ANN401 - the signature of Celery's signals
        if sender.app is self._app:
            self._runtime = Runtime.open(self._settings, broker_pool=self._app.pool)

    def _close(self, sender: Any, **_: object) -> None:  # noqa: ANN401 - the signature of Celery's signals
        if sender.app is self._app and self._runtime is not None:
            self._runtime.close()
            self._runtime = None


def create_app(settings: WorkerSettings) -> Celery:
    """Build the Celery app with its task and its configuration; connects nothing."""
    app = Celery("cashback", set_as_current=False)
    app.conf.update(celery_configuration(settings))
    process = WorkerProcess(app, settings)
    app.register_task(SettleTask(process.handler))
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
            "sentinel_kwargs": {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds},
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "socket_keepalive": True,
            "health_check_interval": 5,
            # Far above the deadline: lost messages are recovered by receipts, not by redelivery.
            "visibility_timeout": 3600,
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
        "worker_prefetch_multiplier": 1,
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
    signals.setup_logging.connect(lambda **_: configure_logs(settings.log_level), weak=False)
    return create_app(settings)


def __getattr__(name: str) -> Celery:
    if name in {"app", "celery"}:
        return _composed()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
