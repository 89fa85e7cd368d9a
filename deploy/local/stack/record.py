"""What is up, for the commands of another terminal: a file beside the data, for as long as it runs."""

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no type information

from deploy.local.errors import LocalError

EXPORTS: Final = "CASHBACK_LOCAL_STACK"
"""Names, in a shell, the variables that came from here: the next stack is not to take them for the user's."""
_NAME: Final = "up.json"


class NothingIsUp(LocalError):
    """Nothing is up."""

    reason = "nothing_is_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A stack that is up: its process, and what a shell needs to work with it.

    `made` names those of the variables that the stack made up; the others are the caller's own.
    `started_at` is in Unix seconds, and tells the process from a later one with its id.
    """

    pid: int
    started_at: float
    commands: str
    variables: Mapping[str, str]
    made: tuple[str, ...]

    @property
    def is_stale(self) -> bool:
        """Whether its process is gone: it was killed, and could not take its record away."""
        try:
            return bool(psutil.Process(self.pid).create_time() != self.started_at)
        except psutil.NoSuchProcess:
            return True

    def shell(self) -> str:
        """Return the lines that a shell is to evaluate."""
        exports = {**self.variables, EXPORTS: " ".join(self.made)}
        folder = shlex.quote(self.commands)
        return "\n".join(
            (
                *(f"export {name}={shlex.quote(value)}" for name, value in sorted(exports.items())),
                # A static bearer of the real BETCORE has no business with the simulated one.
                "unset CASHBACK_BEARER_TOKEN",
                # Evaluated again it adds nothing.
                f'case ":$PATH:" in *:{folder}:*) ;; *) export PATH={folder}:"$PATH" ;; esac',
            )
        )


@contextmanager
def recorded(
    directory: Path, *, commands: Path, variables: Mapping[str, str], made: tuple[str, ...]
) -> Iterator[None]:
    """Keep the record of what this process runs in `directory` for the length of the block.

    Only the user who runs it may read it: it has passwords in it.
    """
    path = directory / _NAME
    own = psutil.Process()
    record = Record(
        pid=own.pid, started_at=own.create_time(), commands=str(commands), variables=variables, made=made
    )
    # Of a run that was killed; a new file has no rights but those given here.
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(record), file, indent=2)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_record(directory: Path) -> Record:
    """Return the record of what is up in `directory`; raises NothingIsUp."""
    path = directory / _NAME
    try:
        fields = json.loads(path.read_text("utf-8"))
        record = Record(**{**fields, "made": tuple(fields["made"])})
    except FileNotFoundError:
        raise NothingIsUp(f"nothing is up in {directory}: run `make up` in another terminal") from None
    except (ValueError, TypeError, KeyError):
        raise NothingIsUp(f"{path} cannot be read: end `make up` and run it again") from None
    if record.is_stale:
        raise NothingIsUp(
            f"nothing is up in {directory}: the last run was killed; run `make up` in another terminal"
        )
    return record


def without_exports(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what a shell has from a record: that stack may be gone."""
    exported = {EXPORTS, *environ.get(EXPORTS, "").split()}
    return {name: value for name, value in environ.items() if name not in exported}
