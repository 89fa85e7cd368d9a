"""One scenario at work: its load, its faults, its moments of chance, and what it expects of the service."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import psycopg

from deploy.local.processes import ManagedProcess
from tests.faults.errors import PointNotReached
from tests.faults.evidence import Aside, Fault
from tests.faults.load import USERS, Load, LoadMake, all_creditable, plan_load
from tests.faults.rig import Rig

CASHBACK_IDS: Final = 10_000_000
_POLL_SECONDS: Final = 0.05
_POINT_SECONDS: Final = 60.0
# Beyond the deadline of the last event: the sweep that closes it, on a slow machine.
_GRACE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How long things take. `outage_seconds` is how long a server is away each time.

    `freeze_seconds` is how long one does not answer: longer than the 3 s that the product waits for one.
    """

    name: str
    deadline_seconds: float
    reserve_seconds: float
    rate_per_second: float
    outage_seconds: float
    freeze_seconds: float
    rounds: int
    kill_makes: int
    kills_at_most: int
    kill_rate_per_second: float
    kill_pauses_seconds: tuple[float, float]
    partner_messages: int
    partner_kills: int
    gone_seconds: float
    overload_seconds: float
    baseline_tasks: int
    baseline_kills: int


SHORT: Final = Form(
    name="short",
    deadline_seconds=10.0,
    reserve_seconds=3.0,
    rate_per_second=50.0,
    outage_seconds=1.2,
    freeze_seconds=3.5,
    rounds=1,
    kill_makes=200,
    kills_at_most=5,
    kill_rate_per_second=50.0,
    kill_pauses_seconds=(0.2, 0.8),
    partner_messages=200,
    partner_kills=2,
    gone_seconds=10.0,
    overload_seconds=4.0,
    baseline_tasks=6_000,
    baseline_kills=6,
)
LONG: Final = Form(
    name="long",
    deadline_seconds=30.0,
    reserve_seconds=5.0,
    # So low that on two cores neither the simulator nor this load is what gives in.
    rate_per_second=40.0,
    outage_seconds=4.0,
    freeze_seconds=6.0,
    rounds=5,
    # One make in twenty repeats a token, and so is no event of its own.
    kill_makes=64_500,
    kills_at_most=200,
    kill_rate_per_second=80.0,
    kill_pauses_seconds=(0.5, 5.0),
    # One in twenty repeats a token here, too.
    partner_messages=64_500,
    partner_kills=70,
    gone_seconds=60.0,
    overload_seconds=60.0,
    baseline_tasks=60_000,
    baseline_kills=60,
)


class Service(Protocol):
    """What any scenario needs of what it breaks, whatever that is built of."""

    @property
    def simulator_url(self) -> str:
        """The simulated BETCORE."""

    @property
    def database_url(self) -> str:
        """PostgreSQL itself, whatever is cut."""

    def log_totals(self) -> tuple[int, int]:
        """Return how many makes and accepts the simulator has logged so far."""

    def simulator_log(self, *, makes_after: int = 0, accepts_after: int = 0) -> dict[str, Any]:
        """Return the simulator's log from these ids on."""

    def heal(self) -> list[str]:
        """Bring back whatever does not work, and return what did not come back by itself."""


RigT = TypeVar("RigT", bound=Service)


class SceneOf(Generic[RigT]):
    """What a scenario is given. Its events have CashbackIds and users of their own."""

    def __init__(self, name: str, *, rig: RigT, form: Form, seed: int, number: int) -> None:
        self.name = name
        self.rig = rig
        self.form = form
        # The same seed and name draw the same load and the same moments, whatever ran before.
        self.rng = random.Random(f"{seed}/{name}")  # noqa: S311 -- a replay, no secret
        self.prefix = name
        self.cashback_ids = range(number * CASHBACK_IDS, (number + 1) * CASHBACK_IDS)
        self.faults: list[Fault] = []
        self.unmet: list[str] = []
        self.figures: dict[str, float] = {}
        self.received: set[str] = set()
        self.queued_by_ms: dict[str, int] = {}
        self.set_aside = Aside()
        # A service that answers nothing keeps every other promise.
        self.least_in_time_share = 0.8
        self._next_cashback_id = self.cashback_ids.start + 1

    @property
    def users(self) -> list[str]:
        """The accounts that this scenario's load pays to."""
        return [*(f"{self.prefix}-{number}" for number in range(USERS)), f"{self.prefix}-blocked"]

    @contextmanager
    def load(
        self,
        *,
        seconds: float,
        rate_per_second: float | None = None,
        resubmits: bool = True,
        only_creditable: bool = False,
    ) -> Iterator[Load]:
        """Draw makes and send them beside the block, for about so long; it ends with the last one's reply."""
        rate = rate_per_second or self.form.rate_per_second
        makes = self.plan(max(1, round(seconds * rate)), rate_per_second=rate)
        if only_creditable:
            makes = all_creditable(makes)
        with self.sending(makes, resubmits=resubmits) as load:
            yield load

    def plan(self, count: int, *, rate_per_second: float) -> tuple[LoadMake, ...]:
        """Draw so many makes."""
        makes = plan_load(
            self.rng,
            prefix=self.prefix,
            first_cashback_id=self._next_cashback_id,
            makes=count,
            rate_per_second=rate_per_second,
        )
        self._next_cashback_id += len(makes)
        return makes

    @contextmanager
    def sending(self, makes: Sequence[LoadMake], *, resubmits: bool = True) -> Iterator[Load]:
        """Send these makes beside the block, which ends when the last one was replied to."""
        load = Load(makes, simulator_url=self.rig.simulator_url, resubmits=resubmits)
        load.start()
        try:
            yield load
        except BaseException:
            load.stop()
            raise
        finally:
            result = load.join()
            self.received |= result.received
            self._add_figures(
                submissions=result.submissions, refused=result.refused, turned_away=result.turned_away
            )

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Record that a fault lasts as long as the block."""
        begun_at_ms = _now_ms()
        try:
            yield
        finally:
            self.faults.append(Fault(name=name, begun_at_ms=begun_at_ms, ended_at_ms=_now_ms()))

    def kill(self, process: ManagedProcess, *, name: str) -> None:
        """Kill a process and start it again; it is not waited for."""
        moment_ms = _now_ms()
        process.kill()
        self.faults.append(Fault(name=name, begun_at_ms=moment_ms, ended_at_ms=moment_ms))
        process.start()

    def pause(self, seconds: float) -> None:
        """Let things go on as they are."""
        time.sleep(seconds)

    def pause_randomly(self, at_least_seconds: float, at_most_seconds: float) -> None:
        """Let things go on up to a random moment, which the seed decides."""
        time.sleep(self.rng.uniform(at_least_seconds, at_most_seconds))

    def expect(self, holds: bool, what: str) -> None:  # noqa: FBT001 -- it reads like an assertion
        """Note what does not hold, beyond the invariants that hold for every scenario."""
        if not holds:
            self.unmet.append(what)

    def wait_for(self, check: Callable[[], bool], *, what: str, seconds: float = _POINT_SECONDS) -> None:
        """Wait until the path has come to a point; raises PointNotReached."""
        ends_at = time.monotonic() + seconds
        while not check():
            if time.monotonic() >= ends_at:
                raise PointNotReached(f"{self.name}: not within {seconds:g} s: {what}")
            time.sleep(_POLL_SECONDS)

    def wait_for_ends(self) -> None:
        """Wait until all received events have ended; what has not in its time is left to the checks."""
        ends_at = time.monotonic() + self.form.deadline_seconds + _GRACE_SECONDS
        with psycopg.connect(self.rig.database_url, autocommit=True) as connection:
            while time.monotonic() < ends_at and not self._all_ended(connection):
                time.sleep(4 * _POLL_SECONDS)

    def expect_all_answered(self) -> None:
        """Note the events that are not on record as answered."""
        with psycopg.connect(self.rig.database_url, autocommit=True) as connection:
            states = connection.execute(
                "SELECT state, count(*) FROM receipts"
                " WHERE state <> 'answered' AND cashback_id BETWEEN %s AND %s GROUP BY state ORDER BY state",
                (self.cashback_ids.start, self.cashback_ids.stop - 1),
            ).fetchall()
        for state, events in states:
            self.expect(False, f"{events} events are on record as {state}, not as answered")

    def _all_ended(self, connection: psycopg.Connection) -> bool:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE state IN ('received', 'settled')), count(*) FROM receipts"
            " WHERE cashback_id BETWEEN %s AND %s",
            (self.cashback_ids.start, self.cashback_ids.stop - 1),
        ).fetchone()
        # There may be more receipts than events: the reply of the receiver was lost for some.
        return row is not None and row[0] == 0 and row[1] >= len(self.received - self.set_aside.tokens)

    def _add_figures(self, **figures: float) -> None:
        for name, value in figures.items():
            self.figures[name] = self.figures.get(name, 0) + value


Scene = SceneOf[Rig]
"""What a scenario on one machine is given: a rig with a proxy on each link."""


def _now_ms() -> int:
    return round(time.time() * 1_000)
