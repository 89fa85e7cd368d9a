"""Settings of the receiver."""

from typing import Literal, Self

from pydantic import Field, model_validator

from producer.shared.settings.agreed import SharedSettings
from producer.shared.settings.environment import ENV_PREFIX
from producer.shared.settings.networks import Networks


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

    failed_verifications_per_second: float = Field(
        default=10.0,
        gt=0,
        le=10_000,
        description="So many makes of one address (of IPv6: one network of 64 bits) whose verification fails "
        "are answered at once, and five times as many at first; each other one is answered a second later. "
        "What BETCORE signed for us is never later for it.",
    )
    trusted_proxies: Networks = Field(
        default=None,
        description="Addresses and networks of the proxies before the receiver, separated by commas: whose "
        "make it is says `CASHBACK_FORWARDED_HEADER` there. Unset: the address of the connection.",
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for",
        description="The header in which those proxies say for whom they ask; the other one is not believed.",
    )
    allowed_networks: Networks = Field(
        default=None,
        description="Addresses and networks that makes may come from, separated by commas; others get 403. "
        "Unset: all.",
    )
    partner_keys: str | None = Field(
        default=None,
        description="The keys of partner services for `/events`: `name SHA256HEX [events_per_second]`, "
        "several separated by `;`; of a key `printf %s KEY | sha256sum`. Unset, and no file either: there "
        "is no `/events`.",
    )
    partner_keys_file: str | None = Field(
        default=None,
        description="A file with one such line for each key, and `#` before comments. It is read again when "
        "it changes; while it cannot be read, the keys that were read last count.",
    )
    partner_events_per_second: float = Field(
        default=200.0,
        gt=0,
        le=100_000,
        description="So many events a second a partner may hand in on `/events` per receiver process where "
        "its key says no other number; more get 429.",
    )
    partner_requests_at_once: int = Field(
        default=8,
        ge=1,
        le=1_000,
        description="Requests with events handled at once per receiver process, half of them of one "
        "partner; more get 503.",
    )
    partner_events_in_flight: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Events of partners that are stored at once per receiver process; others of their "
        "requests wait, and makes wait behind so many at most.",
    )
    inner_port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="A second port, for `/healthz`, `/readyz` and `/metrics`; the first one then has makes, "
        "events and `/healthz` alone. Unset: one port for all.",
    )

    @property
    def longest_wait_seconds(self) -> float:
        """The longest wait in the queue that a new event is still taken for."""
        return self.shed_wait_seconds or self.credit_cutoff_seconds / 2

    @property
    def has_partners(self) -> bool:
        """Whether partner services may have keys."""
        return self.partner_keys is not None or self.partner_keys_file is not None

    @model_validator(mode="after")
    def _keys_are_in_one_place(self) -> Self:
        if self.partner_keys is not None and self.partner_keys_file is not None:
            name = f"{ENV_PREFIX}PARTNER_KEYS"
            raise ValueError(f"{name} and {name}_FILE are both set: which of them counts?")
        return self

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
