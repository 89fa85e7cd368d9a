"""Which accepts came too late, on a machine of any speed. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from deploy.local.demo.history import RECEIVED_STATUS, Accept, History, Make

_CLIENT_ERRORS = range(400, 500)


def with_lateness(history: History, *, limit_seconds: float) -> History:
    """Return the history with `in_time` and `late` of each accept told anew, by what is certain.

    The service counts its deadline from the receipt of a make, which was not after BETCORE had its reply. On
    its way an accept may take as long as the slowest make of this run took to and fro: a slow machine is
    nobody's delay.
    """
    received_by_ms = _received_by_ms(history.makes)
    on_the_way_ms = max(
        (received_by_ms.get(make.token_sha256, 0) - make.first_sent_at_ms for make in history.makes),
        default=0,
    )
    makes_of: dict[int, list[Make]] = {}
    for make in history.makes:
        if make.http_status not in _CLIENT_ERRORS:
            makes_of.setdefault(make.cashback_id, []).append(make)
    allowed_ms = round(limit_seconds * 1_000) + max(0, on_the_way_ms)

    def judged(accept: Accept) -> Accept:
        starts_ms = [
            received_by_ms.get(make.token_sha256, make.first_sent_at_ms)
            for make in makes_of.get(accept.cashback_id or 0, ())
            if accept.transaction_type in {None, make.transaction_type}
            and make.first_sent_at_ms <= accept.received_at_ms
        ]
        late = bool(starts_ms) and accept.received_at_ms > max(starts_ms) + allowed_ms
        return replace(accept, in_time=bool(starts_ms) and not late, late=late)

    return replace(history, accepts=tuple(judged(accept) for accept in history.accepts))


def _received_by_ms(makes: Iterable[Make]) -> dict[str, int]:
    """Return when BETCORE first heard that a token was received, by the token's digest."""
    heard: dict[str, int] = {}
    for make in makes:
        if make.http_status == RECEIVED_STATUS and make.replied_at_ms is not None:
            before_ms = heard.get(make.token_sha256, make.replied_at_ms)
            heard[make.token_sha256] = min(before_ms, make.replied_at_ms)
    return heard
