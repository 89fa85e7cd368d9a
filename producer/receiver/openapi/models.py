"""What is sent and answered beside events, as models for the document."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from cashback_client.contract import MAX_TOKEN_CHARS

# Five characters: three parts and two dots.
_LEAST_TOKEN_CHARS: Final = 5
_PATTERN: Final = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"


class Token(
    RootModel[
        Annotated[
            str,
            Field(
                min_length=_LEAST_TOKEN_CHARS,
                max_length=MAX_TOKEN_CHARS,
                pattern=_PATTERN,
                json_schema_extra={"format": "make-token"},
            ),
        ]
    ]
):
    """A JSON Web Token in compact form, signed with RS256 by a published key of BETCORE's."""


class TokenObject(BaseModel):
    """A token as the only member of an object."""

    model_config = ConfigDict(extra="forbid")

    token: Token


class Envelope(BaseModel):
    """BETCORE's answer."""

    model_config = ConfigDict(extra="forbid")

    ErrorCode: int
    Message: str = Field(min_length=1)


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(extra="forbid")

    alive: Literal[True]


class Parts(BaseModel):
    """For each part "ok", or what is wrong with it; `intake` is there while a person has closed it."""

    model_config = ConfigDict(extra="forbid")

    keys: str
    postgresql: str
    redis: str
    intake: str | None = None


class Readiness(BaseModel):
    """Whether makes can be taken."""

    model_config = ConfigDict(extra="forbid")

    ready: bool
    parts: Parts
