"""Settings of the receiver."""

from typing import Self

from pydantic import Field, model_validator

from producer.shared.settings.agreed import SharedSettings
from producer.shared.settings.environment import ENV_PREFIX


class ReceiverSettings(SharedSettings):
    """Settings of the receiver."""

    copy_timeout_seconds: float = Field(
        default=2.0,
        gt=0,
        le=30,
        description="Longest wait for one copy (receipt or message) of an event, in seconds.",
    )
    receiver_database_pool_size: int = Field(
        default=8, ge=1, le=200, description="Connections to PostgreSQL per receiver process."
    )
    shed_wait_seconds: float | None = Field(
        default=None,
        gt=0,
        le=600,
        description="A make that is expected to wait longer than this in the queue gets 503, in seconds; "
        "unset: half of the time to the credit cut-off.",
    )
    max_in_flight: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Makes handled at once per receiver process; more get 503.",
    )
    max_connections: int = Field(
        default=2_000,
        ge=1,
        le=100_000,
        description="Connections open at once per receiver process; where a new one has no room, the one is "
        "closed that has waited longest without a request. Fewer where `ulimit -n` allows no more.",
    )
    max_connections_per_address: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Of them, as many may be of one address (of IPv6: one network of 64 bits); unset: half.",
    )
    request_timeout_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Longest time for the head of a request to arrive, and for its body, in seconds; then it "
        "is answered 408, and the connection closed.",
    )

    inner_port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="A second port, for `/healthz`, `/readyz` and `/metrics`; the first one then has makes "
        "and `/healthz` alone. Unset: one port for all.",
    )

    @property
    def longest_wait_seconds(self) -> float:
        """The longest wait in the queue that a new event is still taken for."""
        return self.shed_wait_seconds or self.credit_cutoff_seconds / 2

    @model_validator(mode="after")
    def _what_is_taken_can_be_credited(self) -> Self:
        if self.longest_wait_seconds >= self.credit_cutoff_seconds:
            raise ValueError(
                f"{ENV_PREFIX}SHED_WAIT_SECONDS must be less than the time to the credit cut-off, "
                f"which is {self.credit_cutoff_seconds:g} seconds"
            )
        return self

    @model_validator(mode="after")
    def _copies_end_before_the_deadline(self) -> Self:
        if self.copy_timeout_seconds >= self.deadline_seconds:
            raise ValueError(
                f"{ENV_PREFIX}COPY_TIMEOUT_SECONDS must be less than {ENV_PREFIX}DEADLINE_SECONDS, "
                "or an event could be answered after its deadline"
            )
        return self
