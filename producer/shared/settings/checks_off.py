"""Which settings switch a check off that is on without them: these are said, and noted, at every start. Pure.

Not among them: what only adds a check where it is set, and how much of something is allowed. A test lists
all settings by what they are. Decision 51.
"""

import ssl
from dataclasses import dataclass

from producer.shared.settings.agreed import SharedSettings
from producer.shared.settings.environment import ENV_PREFIX
from producer.shared.settings.tokens import ANY_CLIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOff:
    """A check that does not take place; `value` is what the setting says, without anything secret."""

    variable: str
    value: str
    what: str


def checks_off(settings: SharedSettings) -> tuple[CheckOff, ...]:
    """Return the checks that these settings switch off."""
    off = []
    if settings.betcore_plain_http == "allow":
        off.append(_off("betcore_plain_http", "allow", "BETCORE's certificate: http:// is taken"))
    if settings.client_ids is None:
        off.append(_off("token_client_id", ANY_CLIENT, "for whom a token is: other partners' credit here"))
    if settings.verify_fallback:
        off.append(
            _off("verify_fallback", "true", "a token's signature, while keys cannot be had: BETCORE is asked")
        )
    if (tls := settings.redis_server.tls) is not None:
        if (mode := tls.get("ssl_cert_reqs", ssl.CERT_REQUIRED)) != ssl.CERT_REQUIRED:
            value = f"ssl_cert_reqs={ssl.VerifyMode(mode).name.removeprefix('CERT_').lower()}"
            off.append(_off("redis_url", value, "the certificate of Redis"))
        elif not tls.get("ssl_check_hostname", True):
            off.append(_off("redis_url", "ssl_check_hostname=false", "the name in the certificate of Redis"))
    return tuple(off)


def _off(setting: str, value: str, what: str) -> CheckOff:
    return CheckOff(variable=f"{ENV_PREFIX}{setting.upper()}", value=value, what=what)
