"""Settings that the receiver and the worker must agree on."""

from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from cashback_client.contract import OWN_PRODUCER, PRODUCER_NAME, QUEUE, queue_of
from producer.shared.settings.environment import ENV_PREFIX
from producer.shared.settings.servers import DatabaseSettings, RedisSettings
from producer.shared.settings.tokens import TokenSettings

MAX_PARTNERS: Final = 32
MAX_WEIGHT: Final = 100


def _read_partners(value: object) -> object:
    """Return the weight of each partner of a text such as `edge,mobile:2`; all else as it is."""
    if not isinstance(value, str):
        return value
    partners: dict[str, int] = {}
    for part in filter(None, map(str.strip, value.split(","))):
        name, _, weight = part.partition(":")
        if not PRODUCER_NAME.fullmatch(name) or name == OWN_PRODUCER:
            raise ValueError(
                f"{part[:40]!r} is no partner: a name has small letters, digits and inner hyphens, at most "
                f"32, and is not {OWN_PRODUCER!r}"
            )
        if weight and not (weight.isascii() and weight.isdigit() and 1 <= int(weight[:9]) <= MAX_WEIGHT):
            raise ValueError(f"{part[:40]!r} has no weight: it is a whole number from 1 to {MAX_WEIGHT}")
        if name in partners:
            raise ValueError(f"{name!r} stands there twice")
        partners[name] = int(weight or 1)
    if len(partners) > MAX_PARTNERS:
        raise ValueError(f"these are {len(partners)} partners: {MAX_PARTNERS} at most")
    return partners


Partners = Annotated[Mapping[str, int], NoDecode, BeforeValidator(_read_partners)]


class SharedSettings(TokenSettings, RedisSettings, DatabaseSettings):
    """What the receiver and the worker must agree on."""

    deadline_seconds: float = Field(
        default=30.0,
        ge=1,
        le=600,
        description="From receipt of make to the last moment of accept, in seconds.",
    )
    answer_reserve_seconds: float = Field(
        default=5.0,
        gt=0,
        le=300,
        description="The credit cut-off lies this many seconds before the deadline: after it no credit "
        "starts.",
    )

    partners: Partners = Field(
        default={},
        description="Partner services that hand in events, separated by commas: `edge,mobile:2`. Each has a "
        "list in Redis, `cashback.partner.edge`, from which workers take by its weight (or by 1).",
    )
    own_weight: int = Field(
        default=8,
        ge=1,
        le=MAX_WEIGHT,
        description="Weight of what the receiver took from BETCORE, beside those of `CASHBACK_PARTNERS`.",
    )

    @property
    def queue_weights(self) -> dict[str, int]:
        """How often workers take from each queue where several have something."""
        return {QUEUE: self.own_weight} | {queue_of(name): weight for name, weight in self.partners.items()}

    @property
    def credit_cutoff_seconds(self) -> float:
        """From receipt to the credit cut-off, in seconds."""
        return self.deadline_seconds - self.answer_reserve_seconds

    @model_validator(mode="after")
    def _cutoff_lies_inside_the_deadline(self) -> Self:
        if self.answer_reserve_seconds >= self.deadline_seconds:
            raise ValueError(
                f"{ENV_PREFIX}ANSWER_RESERVE_SECONDS must be less than {ENV_PREFIX}DEADLINE_SECONDS, "
                "or no event could ever be credited"
            )
        return self
