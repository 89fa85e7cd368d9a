"""Settings of the servers: PostgreSQL and Redis."""

import os
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from producer.shared.redis.server import RedisServer, read_redis_url
from producer.shared.settings.environment import ENV_PREFIX, EnvironmentSettings, reveal
from producer.shared.settings.urls import DatabaseUrl, RedisUrl


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
