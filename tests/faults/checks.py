"""The invariants after a scenario, checked from outside. Pure.

Each check returns its findings, one line each; no finding means that the invariant holds. What can be said
of any history is taken from the demo's checks; here is what only faults bring about.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from deploy.local.demo import check
from deploy.local.demo.answers import AnswerKeys
from deploy.local.demo.history import Receipt
from deploy.local.demo.report import answer_latencies_ms
from tests.faults.evidence import Evidence, Fault

# The simulator rounds its times to milliseconds.
_CLOCK_STEP: Final = timedelta(milliseconds=1)


def lost(evidence: Evidence) -> list[str]:
    """Find events that were received and are gone: not on record, or closed as answered untruthfully."""
    receipts = _receipts_by_token(evidence)
    gone = [
        f"the token {token} was received and is not on record"
        for token in sorted(evidence.received_by_ms)
        if token not in receipts
    ]
    keys = AnswerKeys(evidence.history)
    acknowledged = Counter(
        keys.of_accept(accept) for accept in evidence.history.accepts if accept.acknowledged
    )
    answered = Counter(keys.of_receipt(row) for row in receipts.values() if row.state == "answered")
    untrue = [
        f"{n} events are on record as answered with {key}, {acknowledged[key]} accepts were acknowledged"
        for key, n in answered.items()
        if n > acknowledged[key]
    ]
    return gone + untrue


def silent(evidence: Evidence) -> list[str]:
    """Find events that were answered 200 and have no end on record."""
    receipts = _receipts_by_token(evidence)
    findings = []
    for token in sorted(evidence.received_by_ms):
        receipt = receipts.get(token)
        if receipt is None:
            findings.append(f"the token {token} has no end on record: no receipt")
        elif receipt.state not in check.CLOSED:
            findings.append(f"CashbackId {receipt.cashback_id} has no end on record: still {receipt.state}")
    return findings


def double_credits(evidence: Evidence) -> list[str]:
    """Find money that moved more than once, or otherwise than BETCORE ordered."""
    expected = dict.fromkeys(evidence.users, 0)
    for key in {(row.cashback_id, row.transaction_type) for row in evidence.history.transactions}:
        ordered = evidence.ordered.get(key)
        if ordered is not None and ordered.user_id in expected:
            expected[ordered.user_id] += ordered.effect_minor
    return check.double_credits(evidence.history, expected) + check.wrong_books(evidence.history)


def false_success(evidence: Evidence) -> list[str]:
    """Find accepts that are not true: a success without its credit, or an error in spite of one."""
    return check.false_success(evidence.history) + check.error_answers(evidence.history)


def late_credits(evidence: Evidence, *, cutoff_seconds: float) -> list[str]:
    """Find money that moved after its cut-off: the one on record, and the one by BETCORE's clock.

    `cutoff_seconds` counts from receipt, which was not after BETCORE heard of it.
    """
    allowed = timedelta(seconds=cutoff_seconds) + _CLOCK_STEP
    findings = check.late_credits(evidence.history)
    for row in evidence.history.transactions:
        received_by_ms = evidence.received_by_ms.get(row.token_sha256 or "")
        if received_by_ms is None:
            # BETCORE never heard that it was received: only the cut-off on record can be held against it.
            continue
        if row.created_at > datetime.fromtimestamp(received_by_ms / 1000, tz=UTC) + allowed:
            findings.append(f"transaction {row.transaction_id} is later than its cut-off by BETCORE's clock")
    return findings


def late_accepts(evidence: Evidence) -> list[str]:
    """Find accepts that came after BETCORE's time was up."""
    return check.late_accepts(evidence.history)


def answered_in_time(evidence: Evidence) -> int:
    """Count the received events of which BETCORE acknowledged the accept in time, whatever is on record."""
    keys = AnswerKeys(evidence.history)
    acknowledged = Counter(
        keys.of_accept(accept)
        for accept in evidence.history.accepts
        if accept.acknowledged and accept.in_time
    )
    wanted = Counter(
        keys.of_receipt(row)
        for token, row in _receipts_by_token(evidence).items()
        if token in evidence.received_by_ms and row.code is not None
    )
    return (wanted & acknowledged).total()


def recoveries_ms(evidence: Evidence) -> list[int]:
    """Return how long each event that a fault met took from then to its acknowledgement, ascending.

    An event counts from the first fault during its life: from the fault's beginning, or from its own
    where that came later.
    """
    begun_at_ms = {make.token_sha256: make.first_sent_at_ms for make in evidence.history.makes}
    recoveries = []
    for token, latency_ms in answer_latencies_ms(evidence.history).items():
        begun = begun_at_ms[token]
        met = _first_met(evidence.faults, begun_at_ms=begun, ended_at_ms=begun + latency_ms)
        if met is not None:
            recoveries.append(begun + latency_ms - max(begun, met.begun_at_ms))
    return sorted(recoveries)


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Return the nearest-rank percentile of ascending values; None where there are none."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None


def _first_met(faults: Iterable[Fault], *, begun_at_ms: int, ended_at_ms: int) -> Fault | None:
    met = [fault for fault in faults if fault.begun_at_ms < ended_at_ms and fault.ended_at_ms >= begun_at_ms]
    return min(met, key=lambda fault: fault.begun_at_ms) if met else None


def _receipts_by_token(evidence: Evidence) -> dict[str, Receipt]:
    return {row.token_sha256: row for row in evidence.history.receipts}
