"""Composition root of the worker: `celery -A worker.app worker` asks this module for `app`.

The app is built when it is first asked for, not at import, and opens nothing before a worker starts.
Decision 5.
"""

from functools import cache

from celery import Celery, signals
from kombu import Exchange, Queue

from cashback_client.contract import QUEUE, RETRY_QUEUE, queue_of
from producer.shared.redis.broker import broker_configuration
from producer.shared.settings.environment import SettingsError, load
from worker.lifecycle import EXIT_BAD_SETTINGS, WorkerProcess, configure_worker_logs, sweeper_step
from worker.process.ending import last_word
from worker.queue.consumer import settling_consumer
from worker.queue.tasks import SettleTask
from worker.settings import WorkerSettings


def create_app(settings: WorkerSettings) -> Celery:
    """Build the Celery app with its task and its configuration; connects nothing."""
    app = Celery("cashback", set_as_current=False)
    app.conf.update(celery_configuration(settings))
    process = WorkerProcess(app, settings)
    app.register_task(SettleTask(process.handler, process.quarantine, process.answering))
    app.conf.worker_consumer = settling_consumer(
        quarantine=process.quarantine,
        able_to_take=process.consumption.able,
        answering=process.answering,
        answers_seconds=settings.shutdown_grace_seconds / 2,
    )
    app.steps["worker"].add(sweeper_step(process))
    return app


def celery_configuration(settings: WorkerSettings) -> dict[str, object]:
    """Celery's configuration; each line that guards an invariant says which."""
    broker = broker_configuration(settings, timeout_seconds=settings.broker_timeout_seconds)
    return {
        **broker,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            **broker["broker_transport_options"],
            "socket_keepalive": True,
            "health_check_interval": 5,
            "lease_seconds": settings.lease_seconds,
            "stop_seconds": settings.shutdown_grace_seconds,
            "weights": settings.queue_weights,
            # How often a worker looks for what others left behind.
            "unacked_restore_interval": 1,
        },
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.1},
        # The default exchange has no bindings that a FLUSHALL could remove: what is published arrives.
        "task_queues": [
            Queue(name, exchange=Exchange(""), routing_key=name)
            for name in (QUEUE, RETRY_QUEUE, *map(queue_of, settings.partners))
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
        last_word(str(error))
        raise SystemExit(EXIT_BAD_SETTINGS) from None
    signals.setup_logging.connect(lambda **_: configure_worker_logs(settings.log_level), weak=False)
    return create_app(settings)


def __getattr__(name: str) -> Celery:
    if name in {"app", "celery"}:
        return _composed()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
