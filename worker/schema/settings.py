"""Settings of `cashback migrate`: the roles that it makes, and the rules that it writes into the database."""

from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, model_validator

from producer.shared.settings.environment import ENV_PREFIX
from producer.shared.settings.servers import DatabaseSettings
from worker.schema.corrections import CorrectionRules

_MOST_MAJOR: Final = 10**13

NegativeBalance = Annotated[
    Literal["allow", "refuse"],
    Field(
        description="Whether a cancel may take a balance below zero; `refuse` answers 102823. An adjustment, "
        "too: for these `cashback migrate` writes it into the database."
    ),
]


class MigrateSettings(DatabaseSettings):
    """Settings of `cashback migrate`."""

    database_roles: str | None = Field(
        default=None,
        pattern=r"^[a-z_][a-z0-9_]{0,39}$",
        description="Prefix of the PostgreSQL roles that `cashback migrate` makes or checks: `cashback` "
        "stands for `cashback_receiver`, `cashback_worker`, `cashback_operator`, `cashback_reader`. "
        "Unset: none.",
    )
    receiver_role_password: SecretStr | None = Field(
        default=None,
        description="Password that `cashback migrate` gives the receiver's role. Unset: none is set.",
    )
    worker_role_password: SecretStr | None = Field(
        default=None,
        description="Password that `cashback migrate` gives the worker's role. Unset: none is set.",
    )
    operator_role_password: SecretStr | None = Field(
        default=None,
        description="Password that `cashback migrate` gives the operator's role. Unset: none is set.",
    )
    reader_role_password: SecretStr | None = Field(
        default=None,
        description="Password that `cashback migrate` gives the reader's role. Unset: none is set.",
    )

    negative_balance: NegativeBalance = "allow"
    adjust_limit: Decimal = Field(
        default=Decimal(100),
        ge=0,
        le=_MOST_MAJOR,
        description="Up to so much one person alone may adjust a balance (`cashback accounts adjust`), in "
        "major units of the account's currency; above it a second one has to approve. `cashback migrate` "
        "writes it into the database.",
    )
    adjust_daily_limit: Decimal = Field(
        default=Decimal(1_000),
        ge=0,
        le=_MOST_MAJOR,
        description="Up to so much one user of the database may adjust alone within 24 hours, up and down "
        "together, in each currency. Written as the limit of one.",
    )
    adjust_approver: Literal["database_user", "person"] = Field(
        default="database_user",
        description="Who is a second person: another user of the database, which PostgreSQL vouches for; or "
        "with `person` also another `CASHBACK_PERSON`, which anybody can say. Written as the limits.",
    )

    @property
    def correction_rules(self) -> CorrectionRules:
        """What a person at the command may do."""
        return CorrectionRules(
            adjust_limit=self.adjust_limit,
            adjust_daily_limit=self.adjust_daily_limit,
            approver=self.adjust_approver,
            may_overdraw=self.negative_balance == "allow",
        )

    @model_validator(mode="after")
    def _passwords_are_somebodys(self) -> Self:
        if self.database_roles is None and self.role_passwords:
            raise ValueError(
                f"{ENV_PREFIX}DATABASE_ROLES must be set where a role's password is: it names the roles"
            )
        return self

    @property
    def role_passwords(self) -> dict[str, str]:
        """The passwords that are set, by role."""
        given = {
            "receiver": self.receiver_role_password,
            "worker": self.worker_role_password,
            "operator": self.operator_role_password,
            "reader": self.reader_role_password,
        }
        return {role: secret.get_secret_value() for role, secret in given.items() if secret is not None}
