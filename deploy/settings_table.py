"""The table of settings in README.md, made from the settings classes: `python -m deploy.settings_table`."""

import sys
from typing import Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from deploy.monitor import MonitorSettings
from producer.shared.settings.environment import ENV_PREFIX, default_of, is_secret
from producer.shared.settings.receiver import ReceiverSettings
from worker.cli.shared.broker import BrokerSettings
from worker.schema.settings import MigrateSettings
from worker.settings import ReconcileSettings, WorkerSettings

_READERS: Final[tuple[tuple[str, type[BaseSettings]], ...]] = (
    ("receiver", ReceiverSettings),
    ("worker", WorkerSettings),
    ("flower", MonitorSettings),
    ("command", BrokerSettings),
    ("command", ReconcileSettings),
    ("command", MigrateSettings),
)


def settings_table() -> str:
    """Return all settings as a Markdown table: variable, default, who uses it, and what it means."""
    fields: dict[str, FieldInfo] = {}
    for _, settings_class in _READERS:
        for name, field in settings_class.model_fields.items():
            fields.setdefault(name, field)
    rows = [
        (f"`{ENV_PREFIX}{name.upper()}`", _default(field), _users(name), _meaning(name, field))
        for name, field in fields.items()
    ]
    lines = ["| Variable | Default | Used by | Meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _meaning(name: str, field: FieldInfo) -> str:
    or_file = f" Or in the file that `{ENV_PREFIX}{name.upper()}_FILE` names." if is_secret(field) else ""
    return f"{field.description or ''}{or_file}"


def _users(name: str) -> str:
    users = (user for user, settings_class in _READERS if name in settings_class.model_fields)
    return ", ".join(dict.fromkeys(users))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = default_of(field)
    return "unset" if default is None else f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(f"{settings_table()}\n")
