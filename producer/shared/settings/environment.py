"""How every process reads its settings: environment variables, and for secrets files that they name.

A secret in the environment can be seen by whoever sees the process; a file has rights of its own. Its name
stands in the variable with `_FILE` at its end, as orchestrators mount secrets.
"""

import os
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

ENV_PREFIX: Final = "CASHBACK_"
FILE_SUFFIX: Final = "_FILE"
"""What a variable ends in that names the file of a secret."""
# More than any secret has; a wrong name must not read a disk.
_MAX_BYTES: Final = 65_536

Loaded = TypeVar("Loaded", bound=BaseSettings)


class SettingsError(Exception):
    """A setting is missing or wrong; the text names the variable and is fit for an operator."""


class EnvironmentSettings(BaseSettings):
    """Settings of a process; those that are secret never show in its `repr`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read secrets from files, too; raises SettingsError for one that cannot be read."""
        return (init_settings, env_settings, _SecretFiles(settings_cls))


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is secret: it may be read from a file, and is not shown."""
    return not field.repr or "SecretStr" in repr(field.annotation)


class _SecretFiles(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{ENV_PREFIX}{field_name.upper()}"
        path = os.environ.get(variable + FILE_SUFFIX)
        if not path or not is_secret(field):
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(f"{variable} and {variable}{FILE_SUFFIX} are both set: which of them counts?")
        return _content(path, variable=variable + FILE_SUFFIX), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the secrets that files hold."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


def _content(path: str, *, variable: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{variable}: {path} cannot be read: {why}") from None
    if not text or len(content) > _MAX_BYTES:
        raise SettingsError(
            f"{variable}: {path} holds no secret: it is empty, or longer than {_MAX_BYTES} bytes"
        )
    return text


def reveal(secret: SecretStr | None) -> str | None:
    """Return the text of a secret setting, or None where it is not set."""
    return secret.get_secret_value() if secret is not None else None


def load(settings_class: type[Loaded]) -> Loaded:
    """Read the settings from the environment; raise SettingsError with one sentence per fault."""
    try:
        return settings_class()
    except ValidationError as error:
        raise SettingsError("; ".join(_sentences(error))) from None


def faults_of(settings_class: type[BaseSettings]) -> list[str]:
    """Return why the settings cannot be read from the environment, one sentence per fault; none: they can."""
    try:
        settings_class()
    except ValidationError as error:
        return _sentences(error)
    except SettingsError as error:
        return [str(error)]
    return []


def default_of(field: FieldInfo) -> str | None:
    """Return the default of a setting as the environment would have it; None where there is none."""
    default = field.default
    if field.is_required() or default is None or default == {}:
        return None
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, AbstractSet):
        return ",".join(str(member) for member in sorted(default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def _sentences(error: ValidationError) -> list[str]:
    return [_sentence(fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]


def _sentence(location: tuple[int | str, ...], kind: str, message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    variable = f"{ENV_PREFIX}{str(location[0]).upper()}"
    return f"{variable} is not set" if kind == "missing" else f"{variable}: {text}"
