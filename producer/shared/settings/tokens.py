"""Settings of what is believed: BETCORE's address, its tokens and its keys. Decision 34."""

from ipaddress import ip_address
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from producer.shared.settings.environment import ENV_PREFIX, EnvironmentSettings
from producer.shared.settings.urls import BaseUrl

ANY_CLIENT: Final = "any"


def split(value: object) -> object:
    """Return the parts of a text between its commas; all else as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _client_ids(value: frozenset[str]) -> frozenset[str]:
    if not value:
        raise ValueError(f"names nobody: set it to the client_id of our tokens, or to {ANY_CLIENT!r}")
    if ANY_CLIENT in value and len(value) > 1:
        raise ValueError(f"{ANY_CLIENT!r} stands alone, as it takes the tokens of all partners")
    return value


ClientIds = Annotated[frozenset[str], NoDecode, BeforeValidator(split), AfterValidator(_client_ids)]


class TokenSettings(EnvironmentSettings):
    """What whoever verifies tokens must agree on."""

    betcore_url: BaseUrl = Field(
        description="Base URL of BETCORE's API (`{base_url}` of its pages): `https://`, but on this machine."
    )
    betcore_plain_http: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="`allow`: `CASHBACK_BETCORE_URL` may be `http://` to another machine, such as a "
        "simulator's. Whoever is on the way there can then put keys of its own in the place of BETCORE's.",
    )
    token_client_id: ClientIds = Field(
        description="The `client_id` that make tokens carry for us, such as `PartnerClient-1556`; several, "
        "for a group of brands, separated by commas. BETCORE's keys sign for all its partners: `any` takes "
        "the tokens of each of them, and is said at every start.",
    )
    token_issuer: str | None = Field(
        default=None, description="Expected `iss` of make tokens; unset: not checked."
    )
    token_audience: str | None = Field(
        default=None, description="What `aud` of make tokens must be or contain; unset: not checked."
    )
    token_leeway_seconds: float = Field(
        default=5.0,
        ge=0,
        le=300,
        description="Clock skew allowed on the token's `nbf`, `exp` and `iat`, in seconds.",
    )
    token_max_life_seconds: float = Field(
        default=300.0,
        gt=0,
        le=31_536_000,
        description="Longest time from a token's `nbf` to its `exp`, in seconds; BETCORE's sample has 10.",
    )
    verify_fallback: bool = Field(
        default=False,
        description="Ask BETCORE's Verify endpoint while its published keys cannot be had, at most 5 times a "
        "second in each process.",
    )
    jwks_refresh_seconds: float = Field(
        default=300.0,
        ge=1,
        le=86_400,
        description="How often the published keys are fetched again, in seconds.",
    )
    jwks_max_age_seconds: float = Field(
        default=86_400.0,
        ge=60,
        le=2_592_000,
        description="Keys that could not be fetched for this long, in seconds, are not used: makes get 503.",
    )
    jwks_unknown_key_seconds: float = Field(
        default=10.0,
        ge=0,
        le=3_600,
        description="At most one extra fetch per this many seconds for an unknown `kid`.",
    )
    jwks_timeout_seconds: float = Field(
        default=3.0, gt=0, le=30, description="Longest wait for the keys or the Verify endpoint, in seconds."
    )

    @property
    def client_ids(self) -> frozenset[str] | None:
        """The partners whom a token may be for; None: whomever."""
        return None if ANY_CLIENT in self.token_client_id else self.token_client_id

    @model_validator(mode="after")
    def _nobody_can_stand_in_for_betcore(self) -> Self:
        if self.betcore_plain_http == "refuse" and not _is_safe(self.betcore_url):
            raise ValueError(
                f"{ENV_PREFIX}BETCORE_URL must be https://, or whoever is on the way there could put keys "
                f"of its own in the place of BETCORE's; {ENV_PREFIX}BETCORE_PLAIN_HTTP=allow takes http://"
            )
        return self

    @model_validator(mode="after")
    def _keys_are_fetched_before_they_are_too_old(self) -> Self:
        if self.jwks_refresh_seconds >= self.jwks_max_age_seconds:
            raise ValueError(
                f"{ENV_PREFIX}JWKS_REFRESH_SECONDS must be less than {ENV_PREFIX}JWKS_MAX_AGE_SECONDS, "
                "or the keys would be too old between two fetches"
            )
        return self


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or _is_this_machine(parts.hostname or "")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # The one name that always is (RFC 6761, 6.3).
        return host == "localhost"
