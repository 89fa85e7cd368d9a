"""One sample: the whole path, makes at a steady rate, and a BETCORE that falls ill and becomes well again."""

import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import httpx
import psutil  # type: ignore[import-untyped]  # ships no type information
import psycopg

from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, wait_until
from tests.benchmarks.drive import SLACK_SECONDS, end_of_load, start_load, write_tokens
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.ill.betcore import WELL, Behaviour, IllBetcore, Notes
from tests.benchmarks.measure import Usage
from tests.benchmarks.receiver import OURS, start_receiver
from tests.benchmarks.rig import Rig
from tests.benchmarks.senders import Plan, Result

DEADLINE_SECONDS: Final = 30.0
WARM_UP_SECONDS: Final = 4.0
# So long after the last make everything has an end on record.
_ENDS_SECONDS: Final = DEADLINE_SECONDS + 15.0
_CONNECTIONS: Final = 32
_LOOK_SECONDS: Final = 0.25
_LOOKS: Final = 5
_HTTP_SECONDS: Final = 10.0
_GAUGE: Final = "cashback_waiting_accepts "
_MB: Final = 1024 * 1024
_CREDITS: Final = """
    SELECT cashback_id, extract(epoch FROM created_at)::double precision
    FROM transactions WHERE kind <> 'opening'
"""
_OPEN: Final = "SELECT count(*) FROM receipts WHERE state IN ('received', 'settled')"
_ANSWERED: Final = "SELECT cashback_id FROM receipts WHERE state = 'answered'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What BETCORE has, for how long (None: to the end), and the makes from its beginning on."""

    behaviour: Behaviour
    ill_seconds: float | None = None
    makes_seconds: float
    rate_per_second: float = 60.0
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The first worker at one moment."""

    waiting: int
    rss_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """All that was seen of one sample. Times are of the monotonic clock in seconds.

    `made_at`: when each make was due, by CashbackId, those of the warm-up left out. `credited_at` and
    `answered` are from the books, `acknowledged_at` (the first time) and `arrivals` (CashbackIds of accepts)
    from BETCORE. `before`: the worker's memory without an accept that waits.
    """

    ill_at: float
    well_at: float | None
    made_at: Mapping[int, float]
    refused_at: Sequence[float]
    credited_at: Mapping[int, float]
    answered: frozenset[int]
    acknowledged_at: Mapping[int, float]
    arrivals: Sequence[int]
    token_calls_at: Sequence[float]
    most_open: int
    before: Look
    most: Look
    worker_cpu_seconds: float


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks at the first worker."""

    pid: int
    status_port: int
    most: Look = field(default_factory=lambda: Look(waiting=0, rss_mb=0.0))

    def look(self) -> Look:
        """Look once, and remember when most accepts waited."""
        url = f"http://{LOCALHOST}:{self.status_port}/metrics"
        text = httpx.get(url, timeout=_HTTP_SECONDS, trust_env=False).raise_for_status().text
        waiting = next(line for line in text.splitlines() if line.startswith(_GAUGE)).split()[1]
        rss_mb = psutil.Process(self.pid).memory_info().rss / _MB
        seen = Look(waiting=int(float(waiting)), rss_mb=rss_mb)
        if seen.waiting >= self.most.waiting:
            self.most = seen
        return seen


def run_case(rig: Rig, case: Case) -> Course:
    """Run one case on empty books; raises BenchmarkFailed where they are not what they must be at its end."""
    rig.reset()
    port = free_port()
    keys = str(rig.directory / "jwks.json")
    process = rig.python("ill-betcore", "tests.benchmarks.ill.betcore", str(port), keys)
    rig.wait_http(process, port, "/bench/state")
    betcore = IllBetcore(f"http://{LOCALHOST}:{port}")
    status_ports = [free_port() for _ in range(case.workers)]
    workers = [
        rig.start(f"ill-worker{number}", rig.procfile("worker"), _environment(rig, port, status_port))
        for number, status_port in enumerate(status_ports, 1)
    ]
    web, web_port = start_receiver(rig, OURS)
    for worker in workers:
        rig.wait_worker(worker)
    try:
        watch = Watch(pid=workers[0].pid, status_port=status_ports[0])
        return _Running(rig, case, betcore, workers, watch).run(web_port)
    finally:
        betcore.close()
        with ThreadPoolExecutor() as pool:
            list(pool.map(ManagedProcess.kill, [*workers, web, process]))


class _Running:
    """One case while it runs."""

    def __init__(
        self, rig: Rig, case: Case, betcore: IllBetcore, workers: Sequence[ManagedProcess], watch: Watch
    ) -> None:
        self._rig = rig
        self._case = case
        self._betcore = betcore
        self._workers = workers
        self._watch = watch
        self._warm_up = round(case.rate_per_second * WARM_UP_SECONDS)

    def run(self, web_port: int) -> Course:
        """Send the makes, let BETCORE fall ill after the warm-up, and wait for all ends."""
        case = self._case
        makes = self._warm_up + round(case.rate_per_second * case.makes_seconds)
        plan = Plan(
            kind="open",
            port=web_port,
            tokens_path=write_tokens(self._rig, self._rig.tokens(makes, first_cashback_id=1)),
            connections=_CONNECTIONS,
            warm_up=self._warm_up,
            rate_per_second=case.rate_per_second,
        )
        load = start_load(self._rig, plan)
        self._wait_for_warm_up(load)
        before = self._before()
        with Usage({"worker": [worker.pid for worker in self._workers]}) as usage:
            ill_at = time.monotonic()
            self._betcore.behave(case.behaviour)
            well_at = self._until_well(ill_at)
            result = end_of_load(self._rig, load, timeout_seconds=case.makes_seconds + SLACK_SECONDS)
            self._wait_for_ends()
        return self._course(result, before, ill_at=ill_at, well_at=well_at, usage=usage)

    def _wait_for_warm_up(self, load: ManagedProcess) -> None:
        wait_until(
            lambda: self._betcore.state().accepts >= self._warm_up,
            what="the warm-up is answered",
            timeout_seconds=SLACK_SECONDS,
            process=load,
        )

    def _before(self) -> Look:
        looks = [self._watch.look().rss_mb for _ in range(_LOOKS)]
        self._watch.most = Look(waiting=0, rss_mb=0.0)
        return Look(waiting=0, rss_mb=statistics.median(looks))

    def _until_well(self, ill_at: float) -> float | None:
        if self._case.ill_seconds is None:
            return None
        while time.monotonic() < ill_at + self._case.ill_seconds:
            self._watch.look()
            time.sleep(_LOOK_SECONDS)
        self._betcore.behave(WELL)
        return time.monotonic()

    def _wait_for_ends(self) -> None:
        with psycopg.connect(self._rig.database_url, autocommit=True) as connection:

            def is_over() -> bool:
                self._watch.look()
                time.sleep(_LOOK_SECONDS)
                row = connection.execute(_OPEN).fetchone()
                return row is not None and row[0] == 0

            wait_until(is_over, what="every event has its end on record", timeout_seconds=_ENDS_SECONDS)

    def _course(
        self, result: Result, before: Look, *, ill_at: float, well_at: float | None, usage: Usage
    ) -> Course:
        notes, books = self._betcore.notes(), self._rig.books()
        taken = result.statuses.get("200", 0)
        if books.transactions != books.receipts or books.receipts != taken:
            raise BenchmarkFailed(f"{taken} makes were taken, and the books hold {books}")
        epoch = time.time() - time.monotonic()
        with psycopg.connect(self._rig.database_url) as connection:
            credited: dict[int, float] = dict(connection.execute(_CREDITS).fetchall())
            answered = frozenset(number for (number,) in connection.execute(_ANSWERED))
        return Course(
            ill_at=ill_at,
            well_at=well_at,
            made_at={
                number: due_ns / 1e9
                for number, due_ns in enumerate(result.due_ns, 1)
                if number > self._warm_up and due_ns / 1e9 >= ill_at
            },
            refused_at=result.refused_at,
            credited_at={number: at - epoch for number, at in credited.items()},
            answered=answered,
            acknowledged_at=_first_acknowledged(notes),
            arrivals=[number for number, _, _ in self._betcore.arrivals()],
            token_calls_at=[at_ns / 1e9 for at_ns in notes.token_calls],
            most_open=notes.most_open,
            before=before,
            most=self._watch.most,
            worker_cpu_seconds=usage.cpu_seconds["worker"],
        )


def _environment(rig: Rig, betcore_port: int, status_port: int) -> dict[str, str]:
    return {
        **rig.environment(),
        "CASHBACK_BETCORE_URL": f"http://{LOCALHOST}:{betcore_port}",
        "CASHBACK_METRICS_PORT": str(status_port),
    }


def _first_acknowledged(notes: Notes) -> dict[int, float]:
    flat = list(notes.acknowledged)
    first: dict[int, float] = {}
    for cashback_id, at_ns in zip(flat[::2], flat[1::2], strict=True):
        first.setdefault(cashback_id, at_ns / 1e9)
    return first
