"""The soak itself: the stack, the load, BETCORE's illness, and the looks at all of it."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, LiteralString

import httpx
import psycopg

from deploy.local.demo.run import clear_directory, demo_environment
from deploy.local.errors import ProcessDied
from deploy.local.stack import Stack, StackOptions
from deploy.local.steps import step
from tests.faults.evidence import Fault, gather
from tests.faults.load import USERS, accounts_csv
from tests.faults.outcome import Outcome, judge
from tests.soak.illness import CYCLE, Phase, timed
from tests.soak.load import FIRST_BAD_CASHBACK_ID, FIRST_CASHBACK_ID, PREFIX, Cycles, plan_cycle
from tests.soak.processes import LogLooks, ProcessLooks
from tests.soak.rules import rule_for
from tests.soak.sampler import Sampler
from tests.soak.servers import PostgresLooks, RedisLooks
from tests.soak.verdict import Span

SAMPLES_NAME: Final = "samples.jsonl"
WORKERS: Final = 2
# The product's own defaults.
DEADLINE_SECONDS: Final = 30.0
RESERVE_SECONDS: Final = 5.0
# From its sending to its receipt, which is not the receiver's time to count; BETCORE gives up one that takes
# longer.
_TRANSIT_SECONDS: Final = 5.0
# Beyond the deadline of the last event: the sweep that closes it, on a slow machine.
_GRACE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.5
_TIMEOUT_SECONDS: Final = 60.0
# The whole log of a long soak is some hundreds of megabytes.
_LOG_SECONDS: Final = 1_800.0
# Makes and accepts for each that is planned: what is sent again in ill times.
_LOG_SHARE: Final = 4
_LEAST_PACE: Final = 0.9
_LEAST_IN_TIME: Final = 0.99
_OPEN: Final[LiteralString] = "SELECT count(*) FROM receipts WHERE state IN ('received', 'settled')"
_BAD_ON_RECORD: Final[LiteralString] = "SELECT count(*) FROM receipts WHERE cashback_id >= %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakOptions:
    """How long, how much, how often. The warm-up is a share of the whole that no slope sees."""

    directory: Path
    minutes: float
    rate_per_second: float
    cycle_seconds: float
    sample_seconds: float
    warm_up_share: float
    seed: int

    @property
    def cycles(self) -> int:
        """How many whole cycles are run."""
        return int(60 * self.minutes // self.cycle_seconds)

    @property
    def span(self) -> Span:
        """Which samples count."""
        warm_up_seconds = self.warm_up_share * self.cycles * self.cycle_seconds
        return Span(warm_up_seconds=warm_up_seconds, cycle_seconds=self.cycle_seconds)


def soak(options: SoakOptions, *, say: Callable[[str], None]) -> Outcome:
    """Run it all from an empty directory, and leave the samples there; raises FORESEEN."""
    clear_directory(options.directory)
    say(f"Starting the stack in {options.directory}")
    with Stack(_stack_options(options)) as stack, ExitStack() as cleanup:
        cycles = Cycles(simulator_url=stack.simulator_url)
        names = {name: process.pid for name, process in stack.processes.items()}
        looks = (
            ProcessLooks(names),
            LogLooks({name: stack.log_path(name) for name in names}),
            cleanup.enter_context(PostgresLooks(stack.database_url)),
            cleanup.enter_context(RedisLooks(stack.redis_url)),
        )
        sampler = Sampler(
            looks,
            events=lambda: cycles.events,
            every_seconds=options.sample_seconds,
            path=options.directory / SAMPLES_NAME,
        )
        begun_at = time.time()
        with _sending(cycles):
            with sampler:
                _drive(stack, options, cycles, sampler, say=say)
            sampler.check()
            cycles.join()
        ended_at = time.time()
        say("Waiting until every event has ended")
        _wait_for_ends(stack)
        say("Checking the invariants from outside")
        return _outcome(stack, options, cycles, begun_at=begun_at, ended_at=ended_at)


@contextmanager
def _sending(cycles: Cycles) -> Iterator[None]:
    """Send nothing more when the block fails: the stack is about to go."""
    try:
        yield
    except BaseException:
        cycles.stop()
        raise


def _drive(
    stack: Stack, options: SoakOptions, cycles: Cycles, sampler: Sampler, *, say: Callable[[str], None]
) -> None:
    """Send cycle after cycle, each through all of BETCORE's phases."""
    rng = random.Random(options.seed)  # noqa: S311 -- a replay, no secret
    phases = timed(CYCLE, cycle_seconds=options.cycle_seconds)
    begun = time.monotonic()
    for number in range(options.cycles):
        plan = plan_cycle(
            rng,
            number=number,
            cycle_seconds=options.cycle_seconds,
            rate_per_second=options.rate_per_second,
        )
        begins = begun + number * options.cycle_seconds
        _sleep_until(begins)
        cycles.start(plan)
        for timed_phase in phases:
            _sleep_until(begins + timed_phase.begins_seconds)
            _simulate(stack, timed_phase.phase)
        _sleep_until(begins + options.cycle_seconds)
        sampler.check()
        # An hour later would be late to find one that nothing says how to judge.
        for name in sampler.samples[-1].values:
            rule_for(name)
        for process in stack.dead_processes():
            raise ProcessDied(f"{process.name} ended with status {process.returncode}:\n{process.log_tail()}")
        say(f"cycle {number + 1} of {options.cycles}: {cycles.events} events")


def _outcome(
    stack: Stack, options: SoakOptions, cycles: Cycles, *, begun_at: float, ended_at: float
) -> Outcome:
    with step("reading the simulator's log"):
        log = httpx.get(stack.simulator_url + "/sim/log", timeout=_LOG_SECONDS, trust_env=False).json()
    # One that was turned away by its bearer was not read: it names no event.
    log["accepts"] = [accept for accept in log["accepts"] if accept["cashback_id"] is not None]
    # One for all: a fault for each phase would take the checks long. Recovery is the time to the answer then.
    illness = Fault(
        name="BETCORE is ill", begun_at_ms=round(begun_at * 1_000), ended_at_ms=round(ended_at * 1_000)
    )
    evidence = gather(
        log,
        stack.database_url,
        cashback_ids=range(FIRST_CASHBACK_ID, FIRST_BAD_CASHBACK_ID),
        users=[*(f"{PREFIX}-{number}" for number in range(USERS)), f"{PREFIX}-blocked"],
        faults=[illness],
    )
    seconds = ended_at - begun_at
    makes_per_second = options.cycles * options.cycle_seconds * options.rate_per_second / seconds
    return judge(
        "soak",
        evidence,
        cutoff_seconds=DEADLINE_SECONDS - RESERVE_SECONDS,
        least_in_time_share=_LEAST_IN_TIME,
        unmet=_unmet(stack, options, cycles, makes_per_second=makes_per_second),
        figures={
            "makes_per_second": round(makes_per_second, 1),
            "submissions": cycles.submissions,
            "turned_away": cycles.turned_away,
            "bad_requests": cycles.bad_requests,
            "accepts": log["accepts_total"],
            "ill_phases": options.cycles * sum(phase.is_ill for phase in CYCLE),
        },
        seconds=seconds,
    )


def _unmet(stack: Stack, options: SoakOptions, cycles: Cycles, *, makes_per_second: float) -> list[str]:
    unmet = []
    if makes_per_second < _LEAST_PACE * options.rate_per_second:
        unmet.append(f"{makes_per_second:.1f} makes/s were sent, not {options.rate_per_second:g}")
    if cycles.bad_taken:
        unmet.append(f"{cycles.bad_taken} of {cycles.bad_requests} bad requests were answered with 200")
    if on_record := _count(stack, _BAD_ON_RECORD, (FIRST_BAD_CASHBACK_ID,)):
        unmet.append(f"{on_record} bad requests are on record as events")
    return unmet


def _wait_for_ends(stack: Stack) -> None:
    """Wait until no event is open; what has not ended in its time is left to the checks."""
    ends_at = time.monotonic() + DEADLINE_SECONDS + _GRACE_SECONDS
    while time.monotonic() < ends_at and _count(stack, _OPEN):
        time.sleep(_POLL_SECONDS)


def _count(stack: Stack, query: LiteralString, parameters: tuple[int, ...] = ()) -> int:
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        row = connection.execute(query, parameters).fetchone()
        return 0 if row is None else int(row[0])


def _simulate(stack: Stack, phase: Phase) -> None:
    with step(f"telling the simulator to be {phase.name}"):
        url = stack.simulator_url + "/sim/behaviour"
        reply = httpx.post(url, json=dict(phase.behaviour), timeout=_TIMEOUT_SECONDS, trust_env=False)
        reply.raise_for_status()


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _stack_options(options: SoakOptions) -> StackOptions:
    planned = round(60 * options.minutes * options.rate_per_second)
    return StackOptions(
        directory=options.directory,
        workers=WORKERS,
        accounts_csv=accounts_csv([PREFIX]),
        simulator_arguments=(
            *("--accept-limit-seconds", str(DEADLINE_SECONDS + _TRANSIT_SECONDS)),
            *("--log-limit", str(_LOG_SHARE * planned + 1_000)),
            *("--make-timeout-seconds", str(_TRANSIT_SECONDS)),
        ),
        environ=demo_environment(os.environ)
        | {
            "CASHBACK_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
            "CASHBACK_ANSWER_RESERVE_SECONDS": str(RESERVE_SECONDS),
            # As it is by default: the demo lets every make in.
            "CASHBACK_SHED_WAIT_SECONDS": "",
        },
    )
