"""The users of `users.conf` with passwords of a run's own: for the stack on one machine, and for tests."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Final, Literal, Self
from urllib.parse import urlsplit

Role = Literal["receiver", "worker", "flower", "partner-edge", "partner", "operator"]

ROLES: Final[tuple[Role, ...]] = ("receiver", "worker", "flower", "partner-edge", "partner", "operator")
# Letters and digits alone, so that they stand in a URL and in a line of users.conf as they are.
_PASSWORD_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class RedisUsers:
    """A password for each role."""

    passwords: Mapping[Role, str]

    @classmethod
    def made_up(cls) -> Self:
        """Return users with random passwords."""
        return cls({role: secrets.token_hex(_PASSWORD_BYTES) for role in ROLES})

    def configuration(self) -> str:
        """Return the lines for Valkey's configuration."""
        text = resources.files("deploy.redis").joinpath("users.conf").read_text("utf-8")
        # What says how the file is used is no line of the server.
        lines = (line for line in text.splitlines(keepends=True) if not line.startswith("#"))
        return Template("".join(lines)).substitute(
            {
                f"CASHBACK_REDIS_{role.upper().replace('-', '_')}_PASSWORD": self.passwords[role]
                for role in ROLES
            }
        )

    def url(self, role: Role, url: str) -> str:
        """Return the URL of a server with the login of a role in it, whatever login it has."""
        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"cashback-{role}:{self.passwords[role]}@{address}").geturl()
