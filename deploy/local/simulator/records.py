"""The simulator's log: what it sent, what it was sent, what it answered. Times are Unix milliseconds."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from deploy.local.simulator.actions import Key
from deploy.local.simulator.errors import LogFull, UnknownMake

_CLIENT_ERRORS: Final = range(400, 500)


@dataclass(slots=True, kw_only=True)
class MakeRecord:
    """One sending of a make token. A sending that got no reply has `http_status` null and an `error`."""

    make_id: int
    cashback_id: int
    user_id: str
    transaction_type: int
    amount: str
    tax_amount: str | None
    tamper: str
    body_shape: str
    same_token_as: int | None
    token_sha256: str
    token: str
    sent_at_ms: int
    first_sent_at_ms: int
    replied_at_ms: int | None = None
    http_status: int | None = None
    reply: Any = None
    error: str | None = None

    @property
    def was_turned_away(self) -> bool:
        """Whether the partner rejected it at once (HTTP 4xx): it can have no accept then."""
        return self.http_status is not None and self.http_status in _CLIENT_ERRORS


@dataclass(slots=True, kw_only=True)
class AcceptRecord:
    """One accept that arrived; `amount` and `tax_amount` are its numbers' digits, verbatim.

    `acknowledged`: BETCORE took it, whether or not the partner got to hear of it. `in_time`: null where
    no make is known that it could answer. `delivered`: the answer was not cut off on purpose.
    """

    accept_id: int
    received_at_ms: int
    raw_body: str
    authorized: bool = False
    error_code: int | None = None
    cashback_id: int | None = None
    transaction_type: int | None = None
    user_id: str | None = None
    partner_transaction_id: str | None = None
    amount: str | None = None
    tax_amount: str | None = None
    problem: str | None = None
    in_time: bool | None = None
    late: bool = False
    behaviour: str | None = None
    acknowledged: bool = False
    delivered: bool = False
    answer_status: int | None = None
    answer_code: int | None = None
    answered_at_ms: int | None = None


@dataclass(slots=True)
class Counters:
    """How often the other endpoints were used."""

    tokens_issued: int = 0
    tokens_denied: int = 0
    jwks_served: int = 0
    verifies: int = 0
    redirects_followed: int = 0
    accepts_unlogged: int = 0


@dataclass(slots=True)
class Log:
    """Everything that happened, up to `limit` makes and as many accepts."""

    limit: int
    counters: Counters = field(default_factory=Counters)
    makes: list[MakeRecord] = field(default_factory=list)
    accepts: list[AcceptRecord] = field(default_factory=list)
    _by_cashback: dict[int, list[MakeRecord]] = field(default_factory=dict)

    def next_make_id(self) -> int:
        """Return the id of the next make; raises LogFull."""
        if len(self.makes) >= self.limit:
            raise LogFull(
                f"the log holds its limit of {self.limit} makes; start a new simulator or raise --log-limit"
            )
        return len(self.makes) + 1

    def add_make(self, record: MakeRecord) -> None:
        """Keep a make, before it is sent: its accept may arrive before its reply."""
        self.makes.append(record)
        self._by_cashback.setdefault(record.cashback_id, []).append(record)

    def make(self, make_id: int) -> MakeRecord:
        """Return the make with this id; raises UnknownMake."""
        if not 1 <= make_id <= len(self.makes):
            raise UnknownMake(f"no make has the id {make_id}")
        return self.makes[make_id - 1]

    def open_accept(self, *, received_at_ms: int, raw_body: str) -> AcceptRecord:
        """Keep an accept that has arrived, to be filled in as it is handled; raises LogFull."""
        if len(self.accepts) >= self.limit:
            self.counters.accepts_unlogged += 1
            raise LogFull(
                f"the log holds its limit of {self.limit} accepts; start a new simulator or raise --log-limit"
            )
        record = AcceptRecord(
            accept_id=len(self.accepts) + 1, received_at_ms=received_at_ms, raw_body=raw_body
        )
        self.accepts.append(record)
        return record

    def answerable_since_ms(self, cashback_id: int, transaction_type: int | None) -> tuple[Key, int] | None:
        """Return the key an accept speaks of, and when its youngest token was first sent; None: no make.

        An accept that names no TransactionType (its make's data could not be read) speaks of the CashbackId.
        """
        makes = [
            make
            for make in self._by_cashback.get(cashback_id, ())
            if transaction_type in {None, make.transaction_type} and not make.was_turned_away
        ]
        if not makes:
            return None
        youngest = max(makes, key=lambda make: make.first_sent_at_ms)
        return (cashback_id, youngest.transaction_type), youngest.first_sent_at_ms

    def as_json(self, *, makes_after: int = 0, accepts_after: int = 0) -> dict[str, Any]:
        """Return the log; the two arguments leave out what has been read before, by id."""
        return {
            "makes": [_without_token(make) for make in self.makes[makes_after:]],
            "accepts": [asdict(accept) for accept in self.accepts[accepts_after:]],
            "makes_total": len(self.makes),
            "accepts_total": len(self.accepts),
            **asdict(self.counters),
        }


def _without_token(make: MakeRecord) -> dict[str, Any]:
    members = asdict(make)
    del members["token"]
    return members
