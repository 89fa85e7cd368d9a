"""What a stack is to run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.environment import ROOT
from deploy.local.stack.record import without_exports


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What to run. `directory` holds data and logs; `environ` is the caller's environment.

    Where `environ` names a Redis or a PostgreSQL, no server is started for it. `accounts_csv` is the text
    of a file for `cashback accounts import`. `simulator_arguments` are added to the simulator's command.
    `first_port` is the receiver's, and the other ones follow it; without it they are on any that are free.
    """

    directory: Path = Path("var")
    workers: int = 1
    flower: bool = True
    accounts_csv: str | None = None
    simulator_arguments: tuple[str, ...] = ()
    first_port: int | None = None
    root: Path = ROOT
    environ: Mapping[str, str] = field(default_factory=lambda: without_exports(os.environ))
