"""The life of a worker process: it opens the runtime, runs the sweeper beside it, and ends.

Whatever fails ends the process: a worker that is half there takes events that others would settle.
Decision 29.
"""

import logging
import sys
import threading
import time
from functools import partial
from typing import Any, Final, NoReturn

import structlog
from celery import Celery, bootsteps, signals
from celery.worker import state

from producer.shared.logs import configure_logs
from producer.shared.outgoing import check_environment
from producer.shared.postgres.session import refuse_shared_sessions
from producer.shared.preconditions.checks import Checks
from producer.shared.preconditions.checks_off import ChecksOffNote
from producer.shared.preconditions.postgres import SETTLES, check_postgres
from producer.shared.preconditions.verdict import Unmet
from producer.shared.preconditions.watch import PreconditionWatch
from producer.shared.process import calm_collector, connections_allowed
from producer.shared.settings.checks_off import checks_off
from producer.shared.settings.environment import SettingsError
from worker.handling.answering import Answering
from worker.handling.handler import Handler
from worker.ledger.database import Database
from worker.ledger.fitness import why_unfit
from worker.process.ending import EXIT_CANNOT_WORK, CannotWork, Ending, last_word, sentence_of
from worker.process.readiness import OK, STOPPING, Readiness
from worker.process.status import StatusServer, take_port
from worker.process.watchdog import Watchdog
from worker.quarantine.writer import Quarantine
from worker.queue.preconditions import check_redis
from worker.recovery.queue_watch import Consumption
from worker.runtime import THREADS, Runtime
from worker.settings import WorkerSettings

EXIT_BAD_SETTINGS: Final = 2
_SWEEPER: Final = "sweeper"

_log = structlog.get_logger(__name__)


class WorkerProcess:
    """Opens the runtime when a worker of this app starts, and closes it after the last task ended."""

    def __init__(self, app: Celery, settings: WorkerSettings) -> None:
        self._app = app
        self.settings = settings
        self.consumption = Consumption()
        self._ending = Ending(grace_seconds=settings.shutdown_grace_seconds, stop=_stop_celery)
        self._watchdog = Watchdog(on_death=self._ending.begin)
        note = ChecksOffNote(settings.database_url, checks_off(settings), process="worker")
        self._preconditions = PreconditionWatch(
            Checks(
                {
                    "Redis": partial(check_redis, app),
                    "PostgreSQL": note.after(partial(check_postgres, settings.database_url, SETTLES)),
                }
            ),
            on_fatal=self._ending.begin,
        )
        self._readiness: Readiness | None = None
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

    def started(self) -> None:
        """Take note that all is started that an event needs, the sweeper last."""
        self._watchdog.expect(_SWEEPER)
        if self._readiness is not None:
            self._readiness.stage = OK

    def stopping(self) -> None:
        """Take note that what ends from now on was asked to."""
        self._watchdog.close()
        self._preconditions.close()
        if self._readiness is not None:
            self._readiness.stage = STOPPING

    def _open(self, sender: Any, **_: object) -> None:  # noqa: ANN401 - the signature of Celery's signals
        if sender.app is not self._app:
            return
        # Celery sets them up later, and what happens until then would be told in other forms.
        configure_worker_logs(self.settings.log_level)
        self._watchdog.start()
        try:
            self._runtime = self._start()
        except Exception as error:  # noqa: BLE001 - Celery would log it and go on, and settle nothing
            _end_start(error)
        calm_collector()

    def _start(self) -> Runtime:
        check_environment()
        connections_allowed(
            self.settings.accepts_in_flight, database_connections=2 * self.settings.concurrency
        )
        port = self.settings.metrics_port
        listener = None if port is None else take_port(port)
        refuse_shared_sessions(self.settings.database_url)
        self._preconditions.check_start()
        runtime = Runtime.open(self.settings, self._app, self.consumption)
        self._preconditions.start()
        self._watchdog.expect(threading.main_thread().name, self._preconditions.thread_name, *THREADS)
        self._readiness = self._readiness_of(runtime)
        if listener is not None:
            status = StatusServer(
                listener, registry=runtime.handler.metrics.registry, readiness=self._readiness
            )
            status.start()
            self._watchdog.expect(status.thread_name)
        return runtime

    def _readiness_of(self, runtime: Runtime) -> Readiness:
        database = Database(runtime.pool, timeout_seconds=self.settings.database_timeout_seconds)

        def keys() -> str:
            return "none" if runtime.keys.is_empty and not self.settings.verify_fallback else OK

        def threads() -> str:
            missing = self._watchdog.missing()
            return f"{', '.join(missing)} died" if missing else OK

        parts = {"postgresql": lambda: why_unfit(database) or OK, "keys": keys, "threads": threads}
        return Readiness(parts, monotonic=time.monotonic)

    def _close(self, sender: Any, **_: object) -> None:  # noqa: ANN401 - the signature of Celery's signals
        if sender.app is not self._app or self._runtime is None:
            return
        error = sys.exception()
        if isinstance(error, Exception):
            # What Celery calls unrecoverable: it stops while it handles that.
            self._ending.begin(sentence_of(error))
        self.stopping()
        self._runtime.close()
        self._runtime = None
        if self._ending.sentence is not None:
            last_word(self._ending.sentence)


def sweeper_step(process: WorkerProcess) -> type[bootsteps.StartStopStep]:
    """Return the bootstep that runs the sweeper beside the pool, whatever becomes of the consumer."""

    class SweeperStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
        requires = frozenset({"celery.worker.components:Pool"})

        def __init__(self, parent: object, **_: object) -> None:
            super().__init__(parent)
            self._stopping = threading.Event()
            self._thread = threading.Thread(target=self._run, name=_SWEEPER, daemon=True)

        def start(self, _parent: object) -> None:
            self._thread.start()
            process.started()

        def stop(self, _parent: object) -> None:
            process.stopping()
            self._stopping.set()
            self._thread.join(process.settings.shutdown_grace_seconds)

        def _run(self) -> None:
            process.runtime.sweeper.run(self._stopping)

    return SweeperStep


def configure_worker_logs(level: str) -> None:
    """Log as every process does, without Celery's two lines for each task."""
    configure_logs(level)
    # Their two INFO lines for each task say what Flower, the receipts and the metrics say too, and cost a
    # tenth of the worker's time. What fails is still logged.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def _end_start(error: Exception) -> NoReturn:
    if not isinstance(error, CannotWork | Unmet | SettingsError):
        _log.error("start_failed", exc_info=error)
    last_word(sentence_of(error))
    raise SystemExit(EXIT_BAD_SETTINGS if isinstance(error, SettingsError) else EXIT_CANNOT_WORK)


def _stop_celery() -> None:
    """Have Celery's event loop stop in good order, from any thread, and the process end with a fault."""
    state.should_stop = EXIT_CANNOT_WORK
