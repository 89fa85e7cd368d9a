"""What one simulator is told at start."""

from dataclasses import dataclass
from typing import Final

DEFAULT_CLIENT_ID: Final = "PartnerClient-1556"
DEFAULT_SECRET: Final = "local-secret"  # noqa: S105 -- a simulator's; it guards nothing
DEFAULT_ISSUER: Final = "https://identity-api.betcore.simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """Settings of one simulator; times are seconds.

    `accept_limit_seconds` is BETCORE's 30 s, counted from the first sending of a make's token.
    `log_limit` bounds makes and accepts each.
    """

    partner_url: str
    client_id: str = DEFAULT_CLIENT_ID
    secret: str = DEFAULT_SECRET
    issuer: str = DEFAULT_ISSUER
    bearer_lifetime_seconds: float = 3_600.0
    make_lifetime_seconds: float = 10.0
    make_timeout_seconds: float = 15.0
    accept_limit_seconds: float = 30.0
    log_limit: int = 100_000
