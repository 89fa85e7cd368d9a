"""The contract between whoever enqueues and the worker: names, the message, BETCORE's codes.

Imports pydantic and the standard library only, so that any service can take it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final, Literal, NoReturn
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

TASK_NAME: Final = "cashback.settle"
QUEUE: Final = "cashback"
RETRY_QUEUE: Final = "cashback.retry"

MAX_TOKEN_CHARS: Final = 16_384
MAX_CASHBACK_ID: Final = 2**63 - 1
# The end of the year 9999, which is where Python's datetime ends.
MAX_RECEIVED_AT_MS: Final = 253_402_300_800_000

# The bits of a UUID that say neither version nor variant, and those that say version 8 (RFC 9562, 4).
_UUID_FREE_BITS: Final = ~(0xF << 76 | 0x3 << 62)
_UUID_8: Final = 0x8 << 76 | 0x2 << 62

_BRIEF_CHARS: Final = 32
_BRIEF_BITS: Final = 100
# What is shown as it is: printable ASCII without = and short. It is nearly all that ever comes.
_BRIEF: Final = re.compile(rf"[!-<>-~]{{0,{_BRIEF_CHARS}}}")
_MASK_SHOWS_CHARS: Final = 2
# What `summary_of` writes: short values, and a user that is masked.
_VALUE: Final = rf"[!-<>-~]{{0,{_BRIEF_CHARS + len('...')}}}"
_MASK: Final = rf"[!-<>-~]{{{_MASK_SHOWS_CHARS}}}\*\*\*[!-<>-~]{{{_MASK_SHOWS_CHARS}}}"
_SUMMARY: Final = re.compile(
    rf"CashbackId={_VALUE} type={_VALUE} amount={_VALUE} user=(?:-|\?|\*\*\*|{_MASK})"
)


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
    refuses a message whose `received_at_ms` lies outside the token's own validity.
    """

    # hide_input_in_errors: the input is the token, and errors are logged.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    version: Literal[1] = 1
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
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return UUID(int=int.from_bytes(digest[:16]) & _UUID_FREE_BITS | _UUID_8)


class DataError(ValueError):
    """The token's `data` claim is not one unambiguous JSON object."""

    reason: Final = "data_unreadable"


def read_data(data: object) -> dict[str, Any]:
    """Read the `data` claim (a JSON document inside a string) with exact decimals.

    Duplicate member names, NaN and infinities are refused: a reader must not have to guess an amount.
    Raises DataError.
    """
    if not isinstance(data, str):
        raise DataError("data is not a string that holds JSON")
    try:
        value = _DATA_DECODER.decode(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"data is not JSON that can be read: {error}") from error
    if not isinstance(value, dict):
        raise DataError("data is not a JSON object")
    return value


def cashback_id_of(data: dict[str, Any]) -> int | None:
    """Return the CashbackId that `data` carries (a positive 64-bit integer), or None.

    A whole number written as a JSON string is taken too. Without a CashbackId no accept can be sent.
    """
    value = data.get("CashbackId")
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= len(str(MAX_CASHBACK_ID))
    ):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= MAX_CASHBACK_ID else None


def received_at_ms_of(entry: bytes | str) -> int | None:
    """Return the `received_at_ms` of an entry of a queue as it lies in Redis; None where it does not say."""
    try:
        _, kwargs, _ = json.loads(base64.b64decode(json.loads(entry)["body"]))
        received_at_ms = kwargs["received_at_ms"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_time = isinstance(received_at_ms, int) and not isinstance(received_at_ms, bool)
    return received_at_ms if is_time and 0 <= received_at_ms < MAX_RECEIVED_AT_MS else None


def summary_of(data: Mapping[str, Any]) -> str:
    """Describe an event in one short line of printable ASCII, for logs and for Flower.

    Takes whatever the data holds, never raises, and masks the user. It never shows the token.
    """
    return (
        f"CashbackId={_brief(data.get('CashbackId'))} type={_brief(data.get('TransactionType'))} "
        f"amount={_brief(data.get('Amount'))} user={_masked(data.get('PartnerUserId'))}"
    )


def is_summary(text: object) -> bool:
    """Whether `text` could be of `summary_of`, and so may be shown; whether it is true is not said."""
    return isinstance(text, str) and _SUMMARY.fullmatch(text) is not None


def celery_options(message: SettleMessage, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which a Celery application enqueues `message`.

    `app.send_task(TASK_NAME, kwargs=message.model_dump(), **celery_options(message, data))`. Without
    them Celery would make up a task id, so that a repeated event ran twice, and would show the token in
    Flower. `data` is the token's data, as `read_data` gives it.
    """
    return {
        "task_id": str(message.event_id),
        "queue": QUEUE,
        "serializer": "json",
        "argsrepr": "()",
        "kwargsrepr": summary_of(data),
        "ignore_result": True,
    }


def _brief(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return "?"
    # Python refuses to write very long integers, and such a number says nothing to a reader.
    if isinstance(value, int) and value.bit_length() > _BRIEF_BITS:
        return "?"
    text = value if isinstance(value, str) else str(value)
    if _BRIEF.fullmatch(text):
        return text
    # Spaces and = go too: a value must not be able to look like another field.
    clean = "".join(
        character if "!" <= character <= "~" and character != "=" else "?"
        for character in text[: _BRIEF_CHARS + 1]
    )
    return clean if len(clean) <= _BRIEF_CHARS else f"{clean[:_BRIEF_CHARS]}..."


def _masked(value: object) -> str:
    text = _brief(value)
    if text in {"-", "?"}:
        return text
    shown = _MASK_SHOWS_CHARS
    return f"{text[:shown]}***{text[-shown:]}" if len(text) > 2 * shown + 1 else "***"


def _refuse_constant(name: str) -> NoReturn:
    raise DataError(f"{name} is no JSON number")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DataError("a member name stands twice")
    return members


_DATA_DECODER: Final = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique_members
)
