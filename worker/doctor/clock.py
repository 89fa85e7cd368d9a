"""The clocks: this machine's against PostgreSQL's, Redis' and BETCORE's."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from worker.doctor.betcore import asked_for_keys
from worker.doctor.finding import Finding, advice, fault, good, unchecked
from worker.doctor.postgresql import database
from worker.doctor.redis import client

_PART: Final = "clock"
FAULT_SECONDS: Final = 5.0
ADVICE_SECONDS: Final = 1.0
# An HTTP date has whole seconds, rounded down (RFC 9110, 5.6.7).
_DATE_SECONDS: Final = 1.0
_MEND: Final = (
    "let the clocks be kept by NTP on both machines: `timedatectl set-ntp true`, `chronyc tracking`"
)


def check_postgresql(timeout_seconds: float) -> list[Finding]:
    """Compare with PostgreSQL's clock, by which all deadlines are."""
    with database(timeout_seconds) as connection:
        before = time.time()
        [(seconds,)] = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
        after = time.time()
    return [of_clock("PostgreSQL", before=before, after=after, says=(seconds, seconds))]


def check_redis(timeout_seconds: float) -> list[Finding]:
    """Compare with Redis' clock, by which workers' leases are."""
    with client(timeout_seconds) as connected:
        before = time.time()
        whole, micros = connected.time()
        after = time.time()
    seconds = whole + micros / 1_000_000
    return [of_clock("Redis", before=before, after=after, says=(seconds, seconds))]


def check_betcore(timeout_seconds: float) -> list[Finding]:
    """Compare with the `Date` of BETCORE's answer, whatever else the answer is."""
    answer = asked_for_keys(timeout_seconds)
    said = _read_date(answer.date)
    if said is None:
        return [unchecked(_PART, "clock_betcore", "BETCORE's answer has no Date that can be read")]
    # From a cache on the way: so long ago the answer was made (RFC 9111, 5.1).
    said += float(answer.age) if answer.age and answer.age.isdecimal() else 0.0
    says = (said, said + _DATE_SECONDS)
    return [of_clock("BETCORE", before=answer.asked_at, after=answer.answered_at, says=says)]


def of_clock(whose: str, *, before: float, after: float, says: tuple[float, float]) -> Finding:
    """Return what follows from a clock that said a time within `says` between `before` and `after` of ours.

    All in Unix seconds. How far it is off is known but for the way there and back: the least that it can be
    is judged.
    """
    name = f"clock_{whose.lower()}"
    least, most = says[0] - after, says[1] - before
    off = least if least > 0 else most if most < 0 else 0.0
    if abs(off) > FAULT_SECONDS:
        return fault(_PART, name, f"the clock of {whose} and this machine's differ by {_text(off)}", _MEND)
    if abs(off) > ADVICE_SECONDS:
        return advice(_PART, name, f"the clock of {whose} and this machine's differ by {_text(off)}", _MEND)
    return good(
        _PART,
        name,
        f"the clock of {whose} and this machine's agree, within {max(abs(least), abs(most)):.2f} s",
    )


def _text(off: float) -> str:
    return f"{abs(off):.1f} s: this machine is {'behind' if off > 0 else 'ahead'}"


def _read_date(text: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    aware: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp()
