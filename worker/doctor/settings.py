"""The settings of the checks: each needs some, and one that is not set keeps no other check from its look."""

import os
from typing import TypeVar

from pydantic import Field

from producer.shared.settings.environment import ENV_PREFIX, FILE_SUFFIX, EnvironmentSettings, load
from producer.shared.settings.partners import Partners
from producer.shared.settings.tokens import ANY_CLIENT, ClientIds, TokenSettings
from worker.doctor.finding import NotGiven
from worker.settings import CredentialSettings, WorkerSettings

Loaded = TypeVar("Loaded", bound=EnvironmentSettings)


class BetcoreSettings(TokenSettings):
    """Where BETCORE is; whose tokens are taken plays no part in a look."""

    token_client_id: ClientIds = frozenset({ANY_CLIENT})


class Credentials(CredentialSettings, BetcoreSettings):
    """What accepts are sent with."""


class SnapshotSettings(EnvironmentSettings):
    """How old a snapshot may be."""

    snapshot_warning_seconds: float = WorkerSettings.model_fields["snapshot_warning_seconds"].default


class PartnerSettings(EnvironmentSettings):
    """Whose lists are read."""

    partners: Partners = Field(default={})


def is_given(name: str) -> bool:
    """Whether a setting stands in the environment, or a file for it does."""
    variable = f"{ENV_PREFIX}{name}"
    return bool(os.environ.get(variable) or os.environ.get(variable + FILE_SUFFIX))


def given(settings_class: type[Loaded], *needs: str) -> Loaded:
    """Read settings of which these must be set; raises NotGiven, and SettingsError for a wrong one."""
    missing = [f"{ENV_PREFIX}{name}" for name in needs if not is_given(name)]
    if missing:
        raise NotGiven(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set")
    return load(settings_class)
