"""Our worker and the engine's ceiling, both by the worker's command in the Procfile with default settings."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cashback_client.contract import ErrorCode
from deploy.local.environment import ROOT
from deploy.local.processes import ManagedProcess
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.peers import empty, queues
from tests.benchmarks.peers.contender import Progress, wait_for
from tests.benchmarks.rig import Rig

_APP: Final = "--app worker.app "
_STEP_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """This program: the Procfile's worker, its queue filled as the receiver fills it."""

    name: str = "ours"
    settings: tuple[tuple[str, str], ...] = ()
    deadline_seconds: float = queues.DEADLINE_SECONDS

    def reset(self, rig: Rig) -> None:
        """Empty all."""
        rig.reset()

    def start(self, rig: Rig, *, processes: int) -> list[ManagedProcess]:
        """Start the Procfile's worker."""
        environment = {**rig.environment(), **dict(self.settings)}
        return start_celery(rig, rig.procfile("worker"), environment, name=self.name, processes=processes)

    def fill(self, rig: Rig, tokens: Sequence[str], *, first_cashback_id: int) -> None:
        """Record the receipts and push the envelopes."""
        messages = queues.received_now(tokens)
        queues.record_receipts(
            rig.database_url,
            messages,
            first_cashback_id=first_cashback_id,
            deadline_seconds=self.deadline_seconds,
        )
        queues.push(rig.redis_url, queues.receiver_entries(messages))

    def progress(self, rig: Rig, cashbacks: range) -> Progress:
        """Count the accepts."""
        return accepts(rig, cashbacks)

    def check(self, rig: Rig, *, events: int) -> None:
        """Look at the ledger and the receipts."""
        check_books(rig, events=events)


@dataclass(slots=True, kw_only=True)
class Ceiling:
    """The engine alone: an empty task, messages of the same size. Done is what is acknowledged."""

    name: str = "ceiling"
    _first_at: float = field(default=0.0, init=False)

    def reset(self, rig: Rig) -> None:
        """Empty all."""
        rig.reset()

    def start(self, rig: Rig, *, processes: int) -> list[ManagedProcess]:
        """Start the Procfile's worker with the empty task's app."""
        argv = rig.procfile("worker")
        if _APP not in argv[-1]:
            raise BenchmarkFailed(f"the Procfile's worker does not name its app: {argv[-1]}")
        argv[-1] = argv[-1].replace(_APP, f"--app {empty.__name__} ")
        return start_celery(rig, argv, rig.environment(), name=self.name, processes=processes)

    def fill(self, rig: Rig, tokens: Sequence[str], *, first_cashback_id: int) -> None:  # noqa: ARG002 - the protocol's
        """Push the same envelopes, under the empty task's name."""
        messages = queues.received_now(tokens)
        self._first_at = 0.0
        queues.push(rig.redis_url, map(_empty_entry, queues.receiver_entries(messages)), queue=empty.QUEUE)

    def progress(self, rig: Rig, cashbacks: range) -> Progress:
        """Count what is neither waiting nor in hand."""
        now = time.monotonic()
        done = len(cashbacks) - queues.length(rig.redis_url, empty.QUEUE)
        if done > 0 and self._first_at == 0.0:
            self._first_at = now
        return Progress(done=done, first_at=self._first_at, last_at=now)

    def check(self, rig: Rig, *, events: int) -> None:  # noqa: ARG002 - the protocol's
        """See that nothing was done but nothing: BETCORE heard of no event."""
        if rig.betcore.state().accepts:
            raise BenchmarkFailed("the empty task sent accepts")


def start_celery(
    rig: Rig, argv: list[str], environment: dict[str, str], *, name: str, processes: int
) -> list[ManagedProcess]:
    """Start Celery workers named `worker-PID@…` and wait until each consumes."""
    workers = [rig.start(f"{name}.{number}", argv, environment) for number in range(1, processes + 1)]
    for worker in workers:
        rig.wait_worker(worker)
    return workers


def run_step(argv: Sequence[str], environment: Mapping[str, str], *, what: str, content: str = "") -> None:
    """Run a program to its end with `content` as its input; raises BenchmarkFailed where it fails."""
    try:
        run = subprocess.run(
            argv,
            input=content.encode(),
            env=environment,
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=_STEP_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkFailed(f"not within {_STEP_SECONDS:g} s: {what}") from error
    if run.returncode != 0:
        raise BenchmarkFailed(f"not so: {what}\n{run.stderr.decode()[-2000:]}")


def accepts(rig: Rig, cashbacks: range) -> Progress:
    """Return how many of these cashbacks BETCORE has got an accept with success for, by its own clock."""
    state = rig.betcore.state()
    if state.successes < len(cashbacks):
        return Progress(done=state.successes, first_at=state.first_ns / 1e9, last_at=state.last_ns / 1e9)
    return first_accepts(rig.betcore.arrivals(), cashbacks)


def first_accepts(arrivals: Sequence[tuple[int, int, int]], cashbacks: range) -> Progress:
    """Return the progress that arrivals show: the first success of each cashback; others are repeated."""
    firsts: dict[int, int] = {}
    for cashback_id, at_ns, code in arrivals:
        if cashback_id in cashbacks and code == ErrorCode.SUCCESS:
            firsts.setdefault(cashback_id, at_ns)
    moments = firsts.values()
    return Progress(
        done=len(firsts),
        first_at=min(moments, default=0) / 1e9,
        last_at=max(moments, default=0) / 1e9,
        repeated=len(arrivals) - len(firsts),
    )


def check_books(rig: Rig, *, events: int) -> None:
    """Wait until `events` are marked as answered; raise BenchmarkFailed where the books disagree."""
    wait_for(lambda: rig.books().answered >= events, (), what=f"{events} events are answered")
    books = rig.books()
    counts = (books.receipts, books.answered, books.transactions)
    if counts != (events, events, events) or books.entries != 2 * events:
        raise BenchmarkFailed(f"{events} events and {books} do not go together")


def _empty_entry(receiver_entry: bytes) -> bytes:
    entry: dict[str, Any] = json.loads(receiver_entry)
    entry["headers"]["task"] = empty.TASK
    entry["properties"]["delivery_info"]["routing_key"] = empty.QUEUE
    return json.dumps(entry).encode()
