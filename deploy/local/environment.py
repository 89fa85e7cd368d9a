"""What the processes of the stack find in their environment, and what the Procfile says to run."""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from honcho.environ import parse_procfile

from deploy.local.errors import LocalError
from deploy.local.simulator.settings import DEFAULT_CLIENT_ID
from deploy.redis.users import RedisUsers, Role

ROOT: Final = Path(__file__).resolve().parents[2]
REDIS_URL: Final = "CASHBACK_REDIS_URL"
REDIS_SENTINEL_MASTER: Final = "CASHBACK_REDIS_SENTINEL_MASTER"
DATABASE_URL: Final = "CASHBACK_DATABASE_URL"
DATABASE_ROLES: Final = "CASHBACK_DATABASE_ROLES"
CLIENT_ID: Final = "CASHBACK_CLIENT_ID"
TOKEN_CLIENT_ID: Final = "CASHBACK_TOKEN_CLIENT_ID"  # noqa: S105 -- the name of a variable
CLIENT_SECRET: Final = "CASHBACK_CLIENT_SECRET"  # noqa: S105 -- the name of a variable
FLOWER_LOGIN: Final = "CASHBACK_FLOWER_BASIC_AUTH"
SIMULATOR_URL: Final = "CASHBACK_SIMULATOR_URL"
_BETCORE_URL: Final = "CASHBACK_BETCORE_URL"
_BEARER: Final = "CASHBACK_BEARER_TOKEN"
_PREFIX: Final = "CASHBACK_"
_SECRET_BYTES: Final = 15
_DATABASE_ROLES: Final = {
    "web": "receiver",
    "worker": "worker",
    "accounts": "operator",
    "command": "operator",
}
_PROCESSES: Final = frozenset({"release", "web", "worker", "flower"})
_ROLES: Final[Mapping[str, Role]] = {"web": "receiver", "worker": "worker", "flower": "flower"}


class ProcfileIncomplete(LocalError):
    """The Procfile lacks a process that the stack runs."""

    reason = "procfile_incomplete"


def read_procfile(root: Path) -> dict[str, str]:
    """Return the commands of the Procfile under `root` by name; raises ProcfileIncomplete."""
    commands = dict(parse_procfile((root / "Procfile").read_text("utf-8")).processes)
    if missing := _PROCESSES - commands.keys():
        raise ProcfileIncomplete(f"the Procfile lacks {', '.join(sorted(missing))}")
    return commands


def stack_environment(
    environ: Mapping[str, str], *, redis_url: str, database_url: str, betcore_url: str
) -> dict[str, str]:
    """Return the environment of the stack's processes: the caller's, with the stack's addresses.

    Credentials and Flower's login are made up where the caller has none. The tokens that are taken are those
    of the simulated BETCORE. The commands of this Python's own environment come first on the PATH.
    """
    client_id = environ.get(CLIENT_ID) or DEFAULT_CLIENT_ID
    own = {
        REDIS_URL: redis_url,
        DATABASE_URL: database_url,
        _BETCORE_URL: betcore_url,
        CLIENT_ID: client_id,
        # The simulator has one id for both.
        TOKEN_CLIENT_ID: client_id,
        CLIENT_SECRET: environ.get(CLIENT_SECRET) or secrets.token_urlsafe(_SECRET_BYTES),
        FLOWER_LOGIN: environ.get(FLOWER_LOGIN) or f"cashback:{secrets.token_urlsafe(_SECRET_BYTES)}",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }
    # A static bearer of the real BETCORE has no business with the simulated one.
    return {name: value for name, value in environ.items() if name != _BEARER} | own


def process_environment(
    environ: Mapping[str, str], name: str, *, users: RedisUsers | None, port: int | None = None
) -> dict[str, str]:
    """Return the stack's environment as one process has it: on its port, by its own user and role.

    Those are its user of Redis and its role of PostgreSQL. `name` may end with a number: `worker.2`. Without
    `users`, or a role among them, it has the stack's URL of Redis.
    """
    role = _ROLES.get(name.partition(".")[0])
    own = with_database_role(environ, name)
    if port is not None:
        own["PORT"] = str(port)
    if users is not None and role is not None:
        own[REDIS_URL] = users.url(role, environ[REDIS_URL])
    return own


def with_database_role(environ: Mapping[str, str], process: str) -> dict[str, str]:
    """Return what one process of the stack gets of this environment: PostgreSQL by the role that is its own.

    `process` may have a number (`worker.2`). Where no roles are made, and for `release`, which makes them, it
    is all of it.
    """
    prefix, role = environ.get(DATABASE_ROLES), _DATABASE_ROLES.get(process.partition(".")[0])
    if not prefix or role is None:
        return dict(environ)
    password = environ.get(_role_password(role))
    return {
        **{name: value for name, value in environ.items() if name not in _ROLE_PASSWORDS},
        DATABASE_URL: _url_as(environ[DATABASE_URL], f"{prefix}_{role}", password),
    }


def shell_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of the stack's environment an operator's shell needs: our settings, as the operator.

    Not who may make roles, and no other role's password.
    """
    own = with_database_role(environ, "command")
    kept_back = {DATABASE_ROLES, *_ROLE_PASSWORDS}
    return {name: value for name, value in own.items() if name.startswith(_PREFIX) and name not in kept_back}


def _role_password(role: str) -> str:
    return f"CASHBACK_{role.upper()}_ROLE_PASSWORD"


_ROLE_PASSWORDS: Final = frozenset(map(_role_password, ("receiver", "worker", "operator", "reader")))


def _url_as(url: str, name: str, password: str | None) -> str:
    scheme, _, rest = url.partition("://")
    hosts, slash, path = rest.partition("/")
    login = quote(name, safe="") + (f":{quote(password, safe='')}" if password else "")
    return f"{scheme}://{login}@{hosts.rpartition('@')[2]}{slash}{path}"
