"""The soak's load: that of the fault suite, cycle by cycle, and bad requests beside it."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.faults.load import PAYOUT, Load, LoadMake, plan_load

PREFIX: Final = "soak"
FIRST_CASHBACK_ID: Final = 1_000_000_000
# So far from the good ones that they are told apart by their CashbackId.
FIRST_BAD_CASHBACK_ID: Final = 2_000_000_000
_BAD_SHARE: Final = 0.03
# What no receiver may take. Two of them cost the simulator a new key each: one in twenty.
_CHEAP: Final = (
    *("signature", "payload", "expired", "not_yet", "alg_none", "hs256", "garbage", "empty", "oversized"),
    *("wrong_issuer", "wrong_client"),
)
_DEAR: Final = ("unknown_kid", "wrong_key")
_DEAR_SHARE: Final = 0.05
# A machine that stands still for a minute must not end an hour's soak; the pace at its end tells of it.
_PATIENCE_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CyclePlan:
    """What is sent in one cycle, beside each other; the bad ones are submitted once."""

    good: Sequence[LoadMake]
    bad: Sequence[LoadMake]


def plan_cycle(rng: random.Random, *, number: int, cycle_seconds: float, rate_per_second: float) -> CyclePlan:
    """Draw the load of one cycle, the bad requests as a share of its rate. Pure."""
    makes = round(cycle_seconds * rate_per_second)
    bad = round(makes * _BAD_SHARE)
    return CyclePlan(
        good=plan_load(
            rng,
            prefix=PREFIX,
            first_cashback_id=FIRST_CASHBACK_ID + number * makes,
            makes=makes - bad,
            rate_per_second=(makes - bad) / cycle_seconds,
        ),
        bad=tuple(
            _bad_make(rng, place, number * makes + place, at_seconds=place * cycle_seconds / bad)
            for place in range(bad)
        ),
    )


def _bad_make(rng: random.Random, number: int, cashback_id: int, *, at_seconds: float) -> LoadMake:
    tamper = rng.choice(_DEAR if rng.random() < _DEAR_SHARE else _CHEAP)
    order = {
        "cashback_id": FIRST_BAD_CASHBACK_ID + cashback_id,
        "user_id": f"{PREFIX}-0",
        "transaction_type": PAYOUT,
        "amount": "1.00",
        "tamper": tamper,
    }
    return LoadMake(number=number, at_seconds=at_seconds, order=order)


class Cycles:
    """Sends cycle after cycle; the next one may begin while the last replies of one are awaited."""

    def __init__(self, *, simulator_url: str) -> None:
        self.submissions = 0
        self.turned_away = 0
        self.bad_requests = 0
        self.bad_taken = 0
        self._simulator_url = simulator_url
        self._received = 0
        self._lock = threading.Lock()
        self._running: list[tuple[Load, Load]] = []

    @property
    def events(self) -> int:
        """How many events the receiver has taken so far."""
        with self._lock:
            return self._received + sum(len(good.result.received) for good, _ in self._running)

    def start(self, plan: CyclePlan) -> None:
        """Begin to send a cycle; the one before the last is waited for, so that no more than two are sent."""
        self.join(keep=1)
        good = self._load(plan.good, resubmits=True)
        bad = self._load(plan.bad, resubmits=False)
        with self._lock:
            self._running.append((good, bad))
        good.start()
        bad.start()

    def _load(self, makes: Sequence[LoadMake], *, resubmits: bool) -> Load:
        return Load(
            makes,
            simulator_url=self._simulator_url,
            resubmits=resubmits,
            timeout_seconds=_PATIENCE_SECONDS,
        )

    def stop(self) -> None:
        """Send nothing new."""
        for loads in self._running:
            for load in loads:
                load.stop()

    def join(self, *, keep: int = 0) -> None:
        """Wait for the last replies of all cycles but the last `keep`; raises LoadFailed, httpx.HTTPError."""
        while len(self._running) > keep:
            good, bad = (load.join() for load in self._running[0])
            self.submissions += good.submissions
            self.turned_away += good.turned_away
            self.bad_requests += bad.submissions
            self.bad_taken += len(bad.received)
            with self._lock:
                del self._running[0]
                self._received += len(good.received)
