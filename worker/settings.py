"""Settings of the worker, its sweeper and the operator's command."""

from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from producer.shared.settings.agreed import SharedSettings
from producer.shared.settings.environment import ENV_PREFIX, EnvironmentSettings
from producer.shared.settings.servers import DatabaseSettings
from producer.shared.settings.tokens import split
from worker.betcore.token_endpoint import fits_a_header
from worker.domain.settlement import PAYOUT_TYPE
from worker.schema.settings import NegativeBalance

_LEAST_LEASE_SECONDS: Final = 2.0
_LONGEST_LEASE_SECONDS: Final = 6.0
_LOOKUP_SHARE: Final = 0.25


class RetentionSettings(EnvironmentSettings):
    """How long receipts are kept: who asks for one that is missing has to know."""

    receipt_retention_days: float = Field(
        default=180.0,
        gt=0,
        le=36_500,
        description="How long answered receipts are kept, in days; expired and refused ones stay.",
    )


class CredentialSettings(EnvironmentSettings):
    """What accepts are sent with: credentials for the Token endpoint, or an access token."""

    client_id: str | None = Field(default=None, description="Partner id for BETCORE's Token endpoint.")
    client_secret: SecretStr | None = Field(default=None, description="Secret for BETCORE's Token endpoint.")
    bearer_token: SecretStr | None = Field(
        default=None, description="Static access token for accept, instead of client id and secret."
    )
    token_id_field: str = Field(
        default="PartnerClientId",
        min_length=1,
        description="Name of the id member in the Token endpoint's request.",
    )
    token_secret_field: str = Field(
        default="Secret",
        min_length=1,
        description="Name of the secret member in the Token endpoint's request.",
    )

    @field_validator("bearer_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not fits_a_header(value.get_secret_value()):
            raise ValueError("must be visible ASCII characters alone, as it goes into a header")
        return value


class WorkerSettings(CredentialSettings, RetentionSettings, SharedSettings):
    """Settings of one worker process."""

    cancel_types: Annotated[frozenset[int], NoDecode, BeforeValidator(split)] = Field(
        default=frozenset({-1, -2}), description="TransactionTypes that cancel a payout, separated by commas."
    )
    tax: Literal["record", "withhold"] = Field(
        default="record",
        description="`record`: the user gets Amount and TaxAmount is kept on record; "
        "`withhold`: TaxAmount is posted to a tax account and the user gets the rest.",
    )
    negative_balance: NegativeBalance = "allow"
    cancel_blocked: Literal["allow", "refuse"] = Field(
        default="allow",
        description="Whether a cancel takes money back from a blocked user, too; `refuse` answers 103779.",
    )
    concurrency: int = Field(
        default=16, ge=1, le=500, description="Threads per worker process; run one process per core."
    )
    accept_timeout_seconds: float = Field(
        default=3.0,
        gt=0,
        le=60,
        description="An accept without an answer for this long is sent once more where BETCORE answers later "
        "ones, and in the last moments; the first one goes on waiting until the deadline. In seconds.",
    )
    accepts_in_flight: int = Field(
        default=2_000,
        ge=1,
        le=50_000,
        description="Accepts that may wait for BETCORE's answer at once, per worker process; beyond it "
        "events are credited, and their accepts are sent later. Each takes about 75 KB and a connection.",
    )
    database_timeout_seconds: float = Field(
        default=3.0, gt=0, le=60, description="Longest time for one call of PostgreSQL, in seconds."
    )
    broker_timeout_seconds: float = Field(
        default=3.0, gt=0, le=60, description="Longest time for one call of Redis, in seconds."
    )
    backoff_base_seconds: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="First ceiling of the full-jitter backoff between attempts, in seconds.",
    )
    backoff_cap_seconds: float = Field(
        default=5.0, gt=0, le=300, description="Highest ceiling of the backoff, in seconds."
    )
    sweep_interval_seconds: float = Field(
        default=1.0, gt=0, le=60, description="Pause between two looks for overdue events, in seconds."
    )
    sweep_limit: int = Field(
        default=200, ge=1, le=10_000, description="Overdue events taken at once, per worker process."
    )
    token_retention_days: float = Field(
        default=30.0,
        ge=1,
        le=180,
        description="How long tokens are kept, in days, and up to a week longer; "
        "those of expired and refused events stay.",
    )
    snapshot_warning_seconds: float = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="Above this age, in seconds, the log names who holds PostgreSQL's oldest snapshot.",
    )
    quarantine_retention_days: float = Field(
        default=30.0, gt=0, le=36_500, description="How long quarantined messages are kept, in days."
    )
    quarantine_rows: int = Field(
        default=100_000, ge=1, le=10_000_000, description="At most this many quarantined messages are kept."
    )
    shutdown_grace_seconds: float = Field(
        default=10.0, gt=0, le=600, description="After SIGTERM: time to finish what is in hand, in seconds."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="Port of the worker's `/metrics`, `/healthz` and `/readyz`; where another worker has it, "
        "the next free one of the 64 from there on. Unset: none is served.",
    )

    @property
    def lease_seconds(self) -> float:
        """How long after its last sign of life a worker still has what it took off the queues.

        So short that whoever takes it next has most of its time left, and so long that no pause of a process
        that works counts as its end.
        """
        return max(_LEAST_LEASE_SECONDS, min(_LONGEST_LEASE_SECONDS, self.credit_cutoff_seconds / 4))

    @property
    def lookups_at_once(self) -> int:
        """How many of the task threads may wait for keys that are not known: the others settle meanwhile."""
        return max(1, int(_LOOKUP_SHARE * self.concurrency))

    @model_validator(mode="after")
    def _can_authenticate(self) -> Self:
        if self.bearer_token is None and (self.client_id is None or self.client_secret is None):
            raise ValueError(
                f"{ENV_PREFIX}CLIENT_ID and {ENV_PREFIX}CLIENT_SECRET, or {ENV_PREFIX}BEARER_TOKEN, "
                "must be set: without them no accept can be sent"
            )
        return self

    @model_validator(mode="after")
    def _cancels_are_no_payouts(self) -> Self:
        if PAYOUT_TYPE in self.cancel_types:
            raise ValueError(f"{ENV_PREFIX}CANCEL_TYPES must not contain {PAYOUT_TYPE}, which is the payout")
        return self

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.backoff_base_seconds > self.backoff_cap_seconds:
            raise ValueError(
                f"{ENV_PREFIX}BACKOFF_BASE_SECONDS must not exceed {ENV_PREFIX}BACKOFF_CAP_SECONDS"
            )
        return self


class CommandSettings(DatabaseSettings):
    """Settings of the operator's command: the database, and nothing else."""


class ReconcileSettings(CommandSettings, RetentionSettings):
    """Settings of `cashback reconcile`."""
