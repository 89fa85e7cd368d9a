"""What one call submits, and what came of each token. Pure: the clock is an argument."""

import itertools
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import ValidationError

from cashback_client.contract import MAX_TOKEN_CHARS, DataError, SettleMessage, event_id_of, read_data
from cashback_client.envelope import EntryWriter
from cashback_client.summary import summary_of

MAX_TOKENS: Final = 1_000
"""As many events are submitted by one call."""

Result = Literal["accepted", "duplicate", "refused", "unavailable"]
Given = str | tuple[str, int]
"""A token, or a token and its `received_at_ms`."""

# Three parts of base64url (RFC 7515, 7.1).
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one token.

    - `accepted`: it is submitted, and ends settled, answered or on record. By Redis it is not known whether
      it was there before, so that what is on the queue is `accepted`.
    - `duplicate`: the receiver had it before.
    - `refused`: it is none that could be settled, `reason` and `detail` say why. The same again is the same.
    - `unavailable`: it is not certain that it is submitted: submit it again.
    """

    event_id: UUID
    result: Result
    reason: str = ""
    detail: str = ""

    @property
    def is_submitted(self) -> bool:
        """Whether the promise holds for it: it ends settled, answered or on record."""
        return self.result in {"accepted", "duplicate"}


def taken(tokens: Iterable[Given]) -> list[Given]:
    """Return what a caller gave for tokens, and no more of it than one call can have.

    Raises ValueError for more than MAX_TOKENS, TypeError for what is no token at all.
    """
    if isinstance(tokens, str):
        raise TypeError("many tokens are a list of them, and not a text")
    given = list(itertools.islice(tokens, MAX_TOKENS + 1))
    if len(given) > MAX_TOKENS:
        raise ValueError(f"one call submits {MAX_TOKENS:,} tokens at most")
    if not all(isinstance(each, str) or _is_pair(each) for each in given):
        raise TypeError("a token is a text, or a tuple of a text and its received_at_ms")
    return given


class Submission:
    """The tokens of one call: `messages` are those to be sent, the others are refused beforehand.

    `now_ms` is the time of receipt of those that have none.
    """

    def __init__(self, given: Iterable[Given], *, now_ms: int) -> None:
        self.messages: list[SettleMessage] = []
        self._planned: list[Outcome | SettleMessage] = []
        for each in given:
            planned = _planned(*((each, now_ms) if isinstance(each, str) else each))
            self._planned.append(planned)
            if isinstance(planned, SettleMessage):
                self.messages.append(planned)

    def entries(self, writer: EntryWriter) -> list[bytes]:
        """Return the entries for the queue, as the receiver writes them."""
        return [
            writer.entry(message, event_id=message.event_id, summary=summary_of(_data_in(message.token)))
            for message in self.messages
        ]

    def outcomes(self, of_messages: Sequence[Outcome] | None = None) -> list[Outcome]:
        """Return what became of each token, in their order.

        `of_messages` is what became of the messages; without it all of them were accepted.
        """
        answered = iter(
            of_messages
            if of_messages is not None
            else [Outcome(event_id=message.event_id, result="accepted") for message in self.messages]
        )
        return [each if isinstance(each, Outcome) else next(answered) for each in self._planned]


def _is_pair(given: object) -> bool:
    return isinstance(given, tuple) and [isinstance(each, str) for each in given[:3]] == [True, False]


def _planned(token: str, received_at_ms: int) -> Outcome | SettleMessage:
    if len(token) > MAX_TOKEN_CHARS or not _TOKEN.fullmatch(token):
        return _refused(
            token,
            "no_token",
            f"no JSON Web Token in compact form of at most {MAX_TOKEN_CHARS:,} characters: send BETCORE's "
            "token alone, as it came",
        )
    try:
        return SettleMessage(token=token, received_at_ms=received_at_ms)
    except ValidationError as error:
        faults = "; ".join(fault["msg"] for fault in error.errors())
        return _refused(token, "bad_message", f"received_at_ms is Unix time in milliseconds: {faults}")


def _refused(token: str, reason: str, detail: str) -> Outcome:
    return Outcome(event_id=event_id_of(token), result="refused", reason=reason, detail=detail)


def _data_in(token: str) -> dict[str, Any]:
    """Return the data that a token carries, for people's eyes only: nothing of it is verified."""
    payload = token.split(".")[1]
    try:
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return read_data(claims["data"])
    except (KeyError, TypeError, ValueError, RecursionError, DataError):
        return {}
