"""A Valkey with the users of deploy/redis/users.conf, and what they were refused."""

from dataclasses import dataclass
from typing import Any

import redis

from deploy.local.ports import LOCALHOST
from deploy.local.valkey import ValkeyServer
from deploy.redis.users import Role


@dataclass(frozen=True, slots=True)
class Server:
    """The server, and a client of the operator's."""

    valkey: ValkeyServer
    operator: redis.Redis

    def url(self, role: Role) -> str:
        """Return the URL with the login of a role."""
        assert self.valkey.users is not None
        return self.valkey.users.url(role, self.valkey.url)

    def refused(self) -> set[str]:
        """Return what users were refused since the test began: 'user: command or key'."""
        entries: Any = self.operator.acl_log()
        return {f"{entry['username']}: {entry['object']} ({entry['context']})" for entry in entries}

    def says(self, role: Role, *command: str) -> object:
        """Return the reply to a command of a role, an error where it is one."""
        with redis.Redis.from_url(self.url(role), decode_responses=True, socket_timeout=60) as client:
            try:
                return client.execute_command(*command)
            except redis.ResponseError as error:
                return error

    def dry_run(self, user: str, *command: str) -> object:
        """Return what the server says of a command of a user, without running it."""
        ask: Any = self.operator.execute_command
        return ask("ACL", "DRYRUN", user, *command)

    def would_run(self, user: str, *command: str) -> bool:
        """Whether the server would run a command of a user; it does not."""
        return self.dry_run(user, *command) in ("OK", True)

    @property
    def bare_url(self) -> str:
        """The URL without a login."""
        return f"redis://{LOCALHOST}:{self.valkey.port}/0"
