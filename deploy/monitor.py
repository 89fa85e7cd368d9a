"""Composition root of Flower: `celery --app deploy.monitor flower` asks this module for `app`.

Flower gets a Celery app of its own rather than the worker's. Whoever breaks into the dashboard then finds the
broker and no more: no ledger, no BETCORE credentials, no task to apply. Decision 7.
"""

import string
import sys
from functools import cache
from typing import Final

from celery import Celery
from pydantic import Field, SecretStr, field_validator

from cashback_client.contract import QUEUE
from deploy.flower_events import SILENCE_SECONDS, ListeningApp
from producer.shared.addresses import Network
from producer.shared.redis.broker import broker_configuration
from producer.shared.settings.environment import SettingsError, load
from producer.shared.settings.networks import Networks
from producer.shared.settings.servers import RedisSettings

MIN_PASSWORD_CHARS: Final = 8
_TIMEOUT_SECONDS: Final = 3.0
# Flower compares logins as text, which fails on anything but ASCII: nobody could log in.
_LOGIN_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + string.punctuation)


class MonitorSettings(RedisSettings):
    """Settings of Flower."""

    flower_basic_auth: SecretStr = Field(
        description="Logins of Flower as `user:password`, several separated by commas; "
        f"a password has at least {MIN_PASSWORD_CHARS} characters. Flower does not start without one."
    )

    flower_trusted_proxies: Networks = Field(
        default=None,
        description="Addresses and networks of the proxies before Flower, separated by commas: what they say "
        "in `X-Forwarded-For` is whose failed login it is. Unset: the address of the connection.",
    )

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The networks of the proxies before Flower."""
        return self.flower_trusted_proxies or ()

    @property
    def logins(self) -> list[str]:
        """The logins, each as `user:password`."""
        return [login.strip() for login in self.flower_basic_auth.get_secret_value().split(",")]

    @field_validator("flower_basic_auth")
    @classmethod
    def _each_login_is_strong(cls, value: SecretStr) -> SecretStr:
        # The messages never repeat the value: they end up in logs.
        for login in value.get_secret_value().split(","):
            user, colon, password = login.strip().partition(":")
            if not user or not colon:
                raise ValueError("must be user:password, several separated by commas")
            if len(password) < MIN_PASSWORD_CHARS:
                raise ValueError(f"each password must have at least {MIN_PASSWORD_CHARS} characters")
            if not _LOGIN_CHARACTERS.issuperset(user + password):
                raise ValueError("users and passwords must consist of ASCII characters without spaces")
        return value


def settings_or_exit() -> MonitorSettings:
    """Read Flower's settings; without them end the process with status 2 and one sentence on stderr."""
    try:
        return load(MonitorSettings)
    except SettingsError as error:
        sys.stderr.write(f"cashback flower: {error}\n")
        raise SystemExit(2) from None


@cache
def process_settings() -> MonitorSettings:
    """Return Flower's settings, read once for all who ask: a secret may come through a pipe."""
    return settings_or_exit()


def create_app(settings: MonitorSettings) -> Celery:
    """Build the Celery app that Flower listens and asks through; connects nothing."""
    app = ListeningApp("cashback-monitor", set_as_current=False)
    broker = broker_configuration(settings, timeout_seconds=_TIMEOUT_SECONDS)
    app.conf.update(
        {
            **broker,
            "broker_transport_options": {
                **broker["broker_transport_options"],
                "socket_keepalive": True,
                "health_check_interval": SILENCE_SECONDS,
            },
            "accept_content": ["json"],
            # The one whose length is shown as long as no worker has said which it asks.
            "task_default_queue": QUEUE,
            "enable_utc": True,
        }
    )
    return app


@cache
def _composed() -> Celery:
    return create_app(process_settings())


def __getattr__(name: str) -> Celery:
    if name == "app":
        return _composed()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
