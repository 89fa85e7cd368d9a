"""What partners send and are answered: the models that the document is generated from, too."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from cashback_client.contract import MAX_TOKEN_CHARS

MAX_EVENTS: Final = 1_000
MAX_EVENTS_BODY_BYTES: Final = 2_097_152
"""Twice 1,000 events with BETCORE's usual tokens of a kilobyte; of longer ones a request holds fewer."""

Result = Literal["accepted", "duplicate", "refused", "unavailable"]


class NewEvent(BaseModel):
    """A make that the partner received."""

    # hide_input_in_errors: the input is the token, and what is wrong with it is told.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    token: str = Field(
        min_length=1,
        max_length=MAX_TOKEN_CHARS,
        description="BETCORE's token alone, as it came.",
        json_schema_extra={"format": "make-token"},
    )
    received_at_ms: int | None = Field(
        default=None,
        ge=0,
        # Nanoseconds can be told as such, and nothing that is longer has to be written down.
        lt=10**20,
        description="When the make came in, in milliseconds of Unix time (UTC); left out: now. BETCORE's 30 "
        "seconds count from it.",
    )


class NewEvents(BaseModel):
    """Events that are handed in together; each is answered by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    # One bad event shall not refuse the others: each is looked at by itself.
    events: list[SkipValidation[NewEvent]] = Field(min_length=1, max_length=MAX_EVENTS)


class EventResult(BaseModel):
    """What became of one event of a request."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID | None = Field(description="The event's id; null where there is no token to make it of.")
    result: Result = Field(
        description="`accepted`: it will be settled, or answered 102823. `duplicate`: it was on record "
        "already. `refused`: it was not taken, and sending it again does not help. `unavailable`: send it "
        "again."
    )
    reason: str = Field(description="`ok`, or why, in one word of a fixed list.")
    detail: str = Field(description="The same for people.")


class EventResults(BaseModel):
    """The results, in the order of the events."""

    model_config = ConfigDict(frozen=True)

    events: list[EventResult]


class EventShown(BaseModel):
    """How an event on record stands."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    state: Literal["received", "settled", "answered", "refused", "expired"]
    code: int | None = Field(description="The ErrorCode that BETCORE is told; null until it is decided.")
    received_at: datetime
    settled_at: datetime | None
    closed_at: datetime | None
    unconfirmed: bool = Field(
        description="Money moved, and the event ended without an acknowledgement of BETCORE's."
    )


class Why(BaseModel):
    """Why a request was not taken."""

    model_config = ConfigDict(frozen=True)

    reason: str
    detail: str


class Problem(BaseModel):
    """A request that was not taken, as a whole."""

    model_config = ConfigDict(frozen=True)

    error: Annotated[Why, Field(description="In one word of a fixed list, and for people.")]
