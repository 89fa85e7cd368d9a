"""The contract between whoever enqueues and the worker: names, the message, BETCORE's codes.

Imports pydantic and the standard library only, so that any service can take it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, DecimalException
from enum import IntEnum
from typing import Any, Final, NoReturn
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from cashback_client.number import read_whole
from cashback_client.summary import summary_of

TASK_NAME: Final = "cashback.settle"
QUEUE: Final = "cashback"
RETRY_QUEUE: Final = "cashback.retry"
PARTNER_QUEUE_PREFIX: Final = "cashback.partner."
"""A partner service's own queue is this and its name; its user of Redis may write there and nowhere else."""

OWN_PRODUCER: Final = "betcore"
"""The producer of what our own receiver took from BETCORE, and of whatever else lies on QUEUE."""
PRODUCER_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
"""What a producer may be called: it is a part of a queue's name and a label of metrics."""

MESSAGE_VERSION: Final = 1
"""The version that is written, and the newest that a worker of the same release takes."""
OLDEST_MESSAGE_VERSION: Final = 1
"""A worker takes the current version and the one before, of which there is none yet."""

MAX_TOKEN_CHARS: Final = 16_384
MAX_CASHBACK_ID: Final = 2**63 - 1
# So few that all can read them, wherever they are called: Python's own limit counts the callers' frames, too.
MAX_DATA_DEPTH: Final = 100
# The end of the year 9999, which is where Python's datetime ends.
MAX_RECEIVED_AT_MS: Final = 253_402_300_800_000

# The bits of a UUID that say neither version nor variant, and those that say version 8 (RFC 9562, 4).
_UUID_FREE_BITS: Final = ~(0xF << 76 | 0x3 << 62)
_UUID_8: Final = 0x8 << 76 | 0x2 << 62


class ErrorCode(IntEnum):
    """ErrorCode values of the accept call, in both directions (BETCORE, cashback accept)."""

    SUCCESS = 200
    USER_NOT_FOUND = 102145
    ERROR_ADDING_TRANSACTION = 102823
    INCORRECT_REQUEST_PARAMETERS = 103752
    REQUEST_DATA_ERROR = 103753
    USER_BLOCKED = 103779
    INCORRECT_AMOUNT = 103801
    TRANSACTION_ALREADY_EXISTS = 103804


class SettleMessage(BaseModel):
    """The keyword arguments of `cashback.settle`: BETCORE's own token and when it was received.

    `received_at_ms` is Unix time in milliseconds, UTC. The deadline counts from it, and the worker
    refuses a message whose `received_at_ms` lies outside the token's own validity. Members may be added
    within a version: what a reader does not know it does not read.
    """

    # hide_input_in_errors: the input is the token, and errors are logged.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)

    version: int = Field(default=MESSAGE_VERSION, ge=OLDEST_MESSAGE_VERSION, le=MESSAGE_VERSION)
    token: str = Field(min_length=1, max_length=MAX_TOKEN_CHARS)
    received_at_ms: int = Field(ge=0, lt=MAX_RECEIVED_AT_MS)

    @property
    def event_id(self) -> UUID:
        """The event's identity, see `event_id_of`."""
        return event_id_of(self.token)

    @property
    def received_at(self) -> datetime:
        """`received_at_ms` as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.received_at_ms / 1000, tz=UTC)


def event_id_of(token: str) -> UUID:
    """Return the id of the event that a token stands for: the same token is the same event.

    The first 128 bits of the token's SHA-256, laid out as a UUID of version 8 (RFC 9562, 5.8). It is
    the key of the receipt and the Celery task id.
    """
    return event_id_of_digest(hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest())


def event_id_of_digest(digest: bytes) -> UUID:
    """Return the same for who has the token's SHA-256 alone."""
    return UUID(int=int.from_bytes(digest[:16]) & _UUID_FREE_BITS | _UUID_8)


def queue_of(producer: str) -> str:
    """Return the queue of a producer's events; raises ValueError where that is no producer's name."""
    if not PRODUCER_NAME.fullmatch(producer):
        raise ValueError(
            f"{producer[:40]!r} is no producer's name: small letters, digits and inner hyphens, at most 32"
        )
    return QUEUE if producer == OWN_PRODUCER else f"{PARTNER_QUEUE_PREFIX}{producer}"


def producer_of(queue: str) -> str:
    """Return whose events lie on a queue: who may write there is what vouches for the name.

    What is on QUEUE, on the retry queue or on a queue of no producer counts as our own receiver's.
    """
    name = queue.removeprefix(PARTNER_QUEUE_PREFIX)
    return name if name != queue and PRODUCER_NAME.fullmatch(name) else OWN_PRODUCER


class DataError(ValueError):
    """The token's `data` claim is not one unambiguous JSON object."""

    reason: Final = "data_unreadable"


def read_data(data: object) -> dict[str, Any]:
    """Read the `data` claim (a JSON document inside a string) with exact decimals.

    Duplicate member names, NaN and infinities are refused: a reader must not have to guess an amount. So is
    what is nested deeper than MAX_DATA_DEPTH. A number that is too large for Python stands as Decimal("NaN"),
    which is no amount and no whole number: its member alone suffers for it. Raises DataError.
    """
    if not isinstance(data, str):
        raise DataError("data is not a string that holds JSON")
    try:
        value = _decode(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"data is not JSON that can be read: {error}") from error
    if not isinstance(value, dict):
        raise DataError("data is not a JSON object")
    # Each level takes two characters at least.
    if len(data) > 2 * MAX_DATA_DEPTH:
        _refuse_deep(value)
    return value


def cashback_id_of(data: dict[str, Any]) -> int | None:
    """Return the CashbackId that `data` carries (a positive 64-bit integer), or None.

    A whole number in any spelling, see `read_whole`. Without a CashbackId no accept can be sent.
    """
    value = read_whole(data.get("CashbackId"))
    return value if value is not None and 0 < value <= MAX_CASHBACK_ID else None


def celery_options(message: SettleMessage, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which a Celery application enqueues `message`.

    `app.send_task(TASK_NAME, kwargs=message.model_dump(), **celery_options(message, data))`. Without
    them Celery would make up a task id, so that a repeated event ran twice, and would show the token in
    Flower. Nothing is declared: a user of Redis that may LPUSH onto the queue and no more is enough.
    `data` is the token's data, as `read_data` gives it.
    """
    return {
        "task_id": str(message.event_id),
        "queue": QUEUE,
        "declare": [],
        "serializer": "json",
        "argsrepr": "()",
        "kwargsrepr": summary_of(data),
        "ignore_result": True,
    }


def _decode(data: str) -> object:
    try:
        return _DECODER.decode(data)
    except (ValueError, DecimalException):
        # Perhaps for a number alone. To look at each one costs time, and nearly never is there such a number.
        return _CAREFUL_DECODER.decode(data)


def _refuse_deep(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DATA_DEPTH):
        level = [
            member
            for each in level
            for member in (each.values() if isinstance(each, dict) else each)
            if isinstance(member, dict | list)
        ]
    if level:
        raise DataError(f"data is nested deeper than {MAX_DATA_DEPTH} levels")


def _refuse_constant(name: str) -> NoReturn:
    raise DataError(f"{name} is no JSON number")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DataError("a member name stands twice")
    return members


def _if_it_fits(read: Callable[[str], int | Decimal]) -> Callable[[str], int | Decimal]:
    def number(text: str) -> int | Decimal:
        try:
            return read(text)
        except (ValueError, DecimalException):
            return Decimal("NaN")

    return number


_DECODER: Final = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique_members
)
_CAREFUL_DECODER: Final = json.JSONDecoder(
    parse_float=_if_it_fits(Decimal),
    parse_int=_if_it_fits(int),
    parse_constant=_refuse_constant,
    object_pairs_hook=_unique_members,
)
