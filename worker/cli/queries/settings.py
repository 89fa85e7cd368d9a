"""What each process would run with: its settings, where each comes from, and what is wrong with them."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from producer.shared.outgoing import check_environment
from producer.shared.settings.environment import (
    ENV_PREFIX,
    FILE_SUFFIX,
    SettingsError,
    default_of,
    faults_of,
    is_secret,
)
from producer.shared.settings.receiver import ReceiverSettings
from worker.cli.shared.broker import BrokerSettings
from worker.cli.shared.person import PERSON_VARIABLE
from worker.doctor.examination import RECEIVER_VARIABLE
from worker.schema.settings import MigrateSettings
from worker.settings import WorkerSettings

PROCESSES: Final[Mapping[str, type[BaseSettings]]] = {
    "receiver": ReceiverSettings,
    "worker": WorkerSettings,
    "migrate": MigrateSettings,
    "command": BrokerSettings,
}
# These two call BETCORE, and read the variables of the way there at their start.
# What `make env` says beside settings.
_OF_THE_LOCAL_STACK: Final = ("CASHBACK_LOCAL_STACK", "CASHBACK_SIMULATOR_URL")
_CALLS_BETCORE: Final = frozenset({"receiver", "worker"})
_MASK: Final = "***"
_URL: Final = "_url"
# What stands in the environment of others for Flower, compose and the image.
_OF_OTHERS: Final = re.compile(
    r"CASHBACK_(FLOWER_\w+|IMAGE_TAG|HTTP_PORT|DATABASE_PASSWORD|REDIS_(RECEIVER|WORKER|FLOWER|OPERATOR|"
    r"PARTNER(_\w+)?)_PASSWORD)"
)
_LOGIN: Final = re.compile(r"(?<=://)([^:/@]*):.*@", re.DOTALL)
_IN_QUERY: Final = re.compile(r"(password|passwd|secret)=[^&;]*", re.IGNORECASE)
_SOURCE_LIKENESS: Final = 0.82


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its text, masked where it is secret; `source` is environment, file, default or unset."""

    variable: str
    value: str | None
    source: str
    used_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, and why it would not start."""

    name: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A variable of ours that nobody reads, and one that may have been meant."""

    variable: str
    did_you_mean: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All of it."""

    processes: tuple[Process, ...]
    settings: tuple[Setting, ...]
    unknown: tuple[Unknown, ...]

    @property
    def is_right(self) -> bool:
        """Whether each process would start, and no name looks like a slip."""
        return not any(process.faults for process in self.processes) and not any(
            name.did_you_mean for name in self.unknown
        )


def read_configuration(names: Iterable[str], environ: Mapping[str, str] = os.environ) -> Configuration:
    """Read what these processes would run with, as they read it, from this environment.

    pydantic-settings reads the process' own; `environ` is for what is told of it.
    """
    chosen = {name: PROCESSES[name] for name in names}
    # As pydantic-settings has it: in whatever case, and what is empty is not set.
    given = {name.upper(): value for name, value in environ.items() if value}
    fields: dict[str, FieldInfo] = {}
    for settings_class in chosen.values():
        for field_name, field in settings_class.model_fields.items():
            fields.setdefault(field_name, field)
    return Configuration(
        processes=tuple(
            Process(name=name, faults=tuple(_faults(name, settings_class)))
            for name, settings_class in chosen.items()
        ),
        settings=tuple(
            _setting(
                field_name,
                field,
                given,
                used_by=tuple(each for each in chosen if field_name in chosen[each].model_fields),
            )
            for field_name, field in fields.items()
        ),
        unknown=tuple(_unknown(given)),
    )


def _faults(name: str, settings_class: type[BaseSettings]) -> Iterable[str]:
    yield from faults_of(settings_class)
    if name in _CALLS_BETCORE:
        try:
            check_environment()
        except SettingsError as error:
            yield str(error)


def _setting(name: str, field: FieldInfo, given: Mapping[str, str], *, used_by: tuple[str, ...]) -> Setting:
    variable = f"{ENV_PREFIX}{name.upper()}"
    in_file = given.get(variable + FILE_SUFFIX) if is_secret(field) else None
    value, source = default_of(field), "default"
    if variable in given:
        value, source = masked(name, field, given[variable]), "environment"
    elif in_file is not None:
        value, source = _MASK, f"file {in_file}"
    elif value is None:
        source = "unset"
    return Setting(variable=variable, value=value, source=source, used_by=used_by)


def masked(name: str, field: FieldInfo, text: str) -> str:
    """Return a value as it may be shown: of a URL all but its password, of another secret nothing."""
    if not name.endswith(_URL):
        return _MASK if is_secret(field) else text
    parts = text.split(";")
    # Only where each is a URL: a password may have a semicolon in it, too.
    parts = parts if all("://" in part for part in parts) else [text]
    return ";".join(_IN_QUERY.sub(rf"\1={_MASK}", _LOGIN.sub(rf"\1:{_MASK}@", part)) for part in parts)


def _unknown(given: Mapping[str, str]) -> Iterable[Unknown]:
    known = {PERSON_VARIABLE, RECEIVER_VARIABLE, *_OF_THE_LOCAL_STACK}
    for settings_class in PROCESSES.values():
        for name, field in settings_class.model_fields.items():
            variable = f"{ENV_PREFIX}{name.upper()}"
            known |= {variable, variable + FILE_SUFFIX} if is_secret(field) else {variable}
    for variable in sorted(given):
        if variable.startswith(ENV_PREFIX) and variable not in known and not _OF_OTHERS.fullmatch(variable):
            close = get_close_matches(variable, sorted(known), n=1, cutoff=_SOURCE_LIKENESS)
            yield Unknown(variable=variable, did_you_mean=close[0] if close else None)
