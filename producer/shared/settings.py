"""Settings of the receiver, and the part of them that every process of the worker shares.

Each is an environment variable with the prefix `CASHBACK_`; README.md lists them all, and a test keeps
that table equal to these classes.
"""

import os
from typing import Any, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings

from producer.shared.environment import ENV_PREFIX, EnvironmentSettings, SettingsError, reveal
from producer.shared.redis.server import RedisServer, read_redis_url
from producer.shared.token_settings import TokenSettings
from producer.shared.urls import DatabaseUrl, RedisUrl

__all__ = ["ENV_PREFIX", "SettingsError", "reveal"]


class DatabaseSettings(EnvironmentSettings):
    """What every process needs, the operator's command too."""

    database_url: DatabaseUrl = Field(repr=False, description="PostgreSQL 14 or later: receipts and ledger.")
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Least level that is logged (JSON on stderr).",
    )


class RedisSettings(EnvironmentSettings):
    """What every process needs that speaks to Redis."""

    redis_url: RedisUrl = Field(
        repr=False,
        description="Redis or Valkey: `redis://`, or by its sentinels `sentinel://` (several, separated "
        "by `;`); over TLS `rediss://` and `sentinels://`. Must run with `maxmemory-policy noeviction`.",
    )
    redis_sentinel_master: str = Field(
        default="mymaster", min_length=1, description="Name of the primary that the sentinels know."
    )
    redis_sentinel_username: str | None = Field(
        default=None, description="User at the sentinels, which is another one than that of the URL."
    )
    redis_sentinel_password: SecretStr | None = Field(
        default=None, description="Password of the sentinels; that of the URL is the server's."
    )
    redis_ca_file: str | None = Field(
        default=None,
        description="Certificates (PEM) of who may vouch for Redis and its sentinels; unset: the system's.",
    )
    redis_cert_file: str | None = Field(
        default=None, description="Certificate (PEM) that is shown to Redis and its sentinels."
    )
    redis_key_file: str | None = Field(default=None, description="Key (PEM) of that certificate.")

    @property
    def redis_server(self) -> RedisServer:
        """What the URL and the files say."""
        files = {
            "ssl_ca_certs": self.redis_ca_file,
            "ssl_certfile": self.redis_cert_file,
            "ssl_keyfile": self.redis_key_file,
        }
        return read_redis_url(self.redis_url, tls_files=files)

    def sentinel_options(self, *, timeout_seconds: float) -> dict[str, Any]:
        """Return redis-py's options of a connection to a sentinel."""
        tls = self.redis_server.tls
        return {
            "username": self.redis_sentinel_username,
            "password": reveal(self.redis_sentinel_password),
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            **({"ssl": True, **tls} if tls is not None else {}),
        }

    @model_validator(mode="after")
    def _files_can_be_used(self) -> Self:
        if (self.redis_cert_file is None) != (self.redis_key_file is None):
            raise ValueError(f"{ENV_PREFIX}REDIS_CERT_FILE and {ENV_PREFIX}REDIS_KEY_FILE go together")
        for name in ("redis_ca_file", "redis_cert_file", "redis_key_file"):
            path = getattr(self, name)
            if path is None:
                continue
            variable = f"{ENV_PREFIX}{name.upper()}"
            if self.redis_server.tls is None:
                raise ValueError(
                    f"{variable} is set, and {ENV_PREFIX}REDIS_URL asks for no TLS: use rediss:// or sentinels://"
                )
            if not os.access(path, os.R_OK):
                raise ValueError(f"{variable}: {path} cannot be read")
        return self


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


Loaded = TypeVar("Loaded", bound=BaseSettings)


def load(settings_class: type[Loaded]) -> Loaded:
    """Read the settings from the environment; raise SettingsError with one sentence per fault."""
    try:
        return settings_class()
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_sentence(fault["loc"], fault["type"], fault["msg"]) for fault in error.errors())
        ) from None


def _sentence(location: tuple[int | str, ...], kind: str, message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    variable = f"{ENV_PREFIX}{str(location[0]).upper()}"
    return f"{variable} is not set" if kind == "missing" else f"{variable}: {text}"
