"""Who tries to log in to Flower: how many failed from an address."""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from producer.shared.addresses import Address, source_of

MAX_FAILURES: Final = 20
LOCKED_SECONDS: Final = 300.0
MAX_ADDRESSES: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class _Failures:
    count: int
    ends_at: float
    refused: int = 0


class FailedLogins:
    """Counts failed logins by address, and closes the login to one with too many for a while.

    A known user's password is as good as any other there: what is not looked at cannot be guessed.
    """

    def __init__(self, *, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._clock = clock
        self._say = say
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def locked_seconds(self, address: Address) -> int:
        """Return for how long no login from this address is looked at, in seconds, 0 where it is."""
        found = self._failures.get(source_of(address))
        if found is None or found.count < MAX_FAILURES or (left := found.ends_at - self._clock()) <= 0:
            return 0
        self._failures[source_of(address)] = _Failures(
            count=found.count, ends_at=found.ends_at, refused=found.refused + 1
        )
        return math.ceil(left)

    def note(self, address: Address) -> None:
        """Count a login that failed, and say it."""
        source, now = source_of(address), self._clock()
        before = self._failures.pop(source, None)
        goes_on = before is not None and now < before.ends_at
        count = before.count + 1 if before is not None and goes_on else 1
        self._failures[source] = _Failures(count=count, ends_at=now + LOCKED_SECONDS)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        text = f"failed login from {address}, {count} of {MAX_FAILURES}"
        if count >= MAX_FAILURES:
            text += f": no login from {source} is looked at for {LOCKED_SECONDS:.0f} s"
        if before is not None and before.refused:
            text += f" ({before.refused} were refused unseen since the last)"
        self._say(text)
