"""Settings that the receiver and the worker must agree on."""

from typing import Self

from pydantic import Field, model_validator

from cashback_client.contract import QUEUE, queue_of
from producer.shared.settings.environment import ENV_PREFIX
from producer.shared.settings.partners import MAX_WEIGHT, Partners
from producer.shared.settings.servers import DatabaseSettings, RedisSettings
from producer.shared.settings.tokens import TokenSettings


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
