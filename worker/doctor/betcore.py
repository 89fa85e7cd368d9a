"""BETCORE: its keys are there and good, and it takes the credentials."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from cryptography import x509

from producer.protocol.jwks import KeySetUnreadable, parse_keys
from producer.protocol.keys import JWKS_PATH
from producer.protocol.reply import REQUEST_HEADERS, ReplyUnreadable, read_bounded
from producer.shared.settings.environment import reveal
from producer.shared.wiring import betcore_client
from worker.betcore.token_endpoint import TokenEndpoint
from worker.doctor.finding import Finding, advice, fault, good
from worker.doctor.settings import BetcoreSettings, Credentials, given, is_given
from worker.errors import BearerUnavailable, CredentialsRefused

_KEYS: Final = "keys"
_CREDENTIALS: Final = "credentials"
_SOON_SECONDS: Final = 7 * 86_400.0
_WITHOUT_KEYS: Final = (
    "check CASHBACK_BETCORE_URL, the way out to it (proxies, firewalls), and with BETCORE; makes get 503 "
    "once what processes have is older than CASHBACK_JWKS_MAX_AGE_SECONDS"
)
_SET_ANOTHER: Final = (
    "set CASHBACK_BEARER_TOKEN to a new one, or give CASHBACK_CLIENT_ID and CASHBACK_CLIENT_SECRET"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysAnswer:
    """BETCORE's answer to the question for its keys; times are Unix seconds of this machine."""

    status: int
    content: bytes
    date: str | None
    age: str | None
    asked_at: float
    answered_at: float


def asked_for_keys(timeout_seconds: float) -> KeysAnswer:
    """Ask BETCORE for its keys. Raises NotGiven, SettingsError, httpx.HTTPError and ReplyUnreadable."""
    settings = given(BetcoreSettings, "BETCORE_URL")
    url = settings.betcore_url + JWKS_PATH
    with betcore_client() as http:
        asked_at = time.time()
        with http.stream("GET", url, headers=REQUEST_HEADERS, timeout=timeout_seconds) as response:
            answered_at = time.time()
            content = read_bounded(response)
        return KeysAnswer(
            status=response.status_code,
            content=content,
            date=response.headers.get("date"),
            age=response.headers.get("age"),
            asked_at=asked_at,
            answered_at=answered_at,
        )


def check_keys(timeout_seconds: float) -> list[Finding]:
    """Fetch the keys as processes do, and look at how long they are good."""
    try:
        answer = asked_for_keys(timeout_seconds)
        if answer.status != httpx.codes.OK:
            what = f"BETCORE's keys cannot be had: it answers HTTP {answer.status}"
            return [fault(_KEYS, "keys_unreachable", what, _WITHOUT_KEYS)]
        keys = parse_keys(answer.content)
    except (httpx.HTTPError, ReplyUnreadable, KeySetUnreadable) as error:
        what = f"BETCORE's keys cannot be had ({type(error).__name__}: {error})"
        return [fault(_KEYS, "keys_unreachable", what, _WITHOUT_KEYS)]
    published = [member for member in json.loads(answer.content)["keys"] if isinstance(member, dict)]
    ends = {str(member["kid"]): _end(member) for member in published if member.get("kid") in keys}
    findings = list(_ended(ends, now=answer.answered_at))
    age = f", {answer.age} s old in a cache on the way" if answer.age and answer.age.isdecimal() else ""
    if not any(finding.name == "keys_expired" for finding in findings):
        findings.append(good(_KEYS, "keys", f"usable keys that BETCORE publishes: {len(keys)}{age}"))
    return findings


def _ended(ends: Mapping[str, float | None], *, now: float) -> Iterator[Finding]:
    expired = [kid for kid, end in ends.items() if end is not None and end <= now]
    soon = [kid for kid, end in ends.items() if end is not None and now < end <= now + _SOON_SECONDS]
    if expired and len(expired) == len(ends):
        what = f"all of BETCORE's {len(ends)} keys have expired: {', '.join(expired)[:200]}"
        yield fault(_KEYS, "keys_expired", what, "ask BETCORE to publish its new keys")
    elif expired:
        what = f"{len(expired)} of BETCORE's {len(ends)} keys have expired: {', '.join(expired)[:200]}"
        yield advice(_KEYS, "keys_some_expired", what, "ask BETCORE whether it still signs with them")
    if soon and len(soon) + len(expired) == len(ends):
        what = f"BETCORE's last keys expire within a week: {', '.join(soon)[:200]}"
        yield advice(_KEYS, "keys_expire_soon", what, "ask BETCORE when its new keys come")


def _end(member: Mapping[str, Any]) -> float | None:
    """Return when a key ends, by `exp` or by its certificate (RFC 7517, 4.7); None where it does not say."""
    said = member.get("exp")
    if isinstance(said, int | float) and not isinstance(said, bool):
        return float(said)
    chain = member.get("x5c")
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        return None
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(chain[0]))
    except ValueError:
        return None
    return certificate.not_valid_after_utc.timestamp()


def check_credentials(timeout_seconds: float) -> list[Finding]:
    """Ask the Token endpoint for a token, which is thrown away; of a static one, read when it ends."""
    if is_given("BEARER_TOKEN"):
        return [_static(reveal(given(Credentials, "BETCORE_URL", "BEARER_TOKEN").bearer_token) or "")]
    settings = given(Credentials, "BETCORE_URL", "CLIENT_ID", "CLIENT_SECRET")
    with betcore_client() as http:
        endpoint = TokenEndpoint(
            http,
            base_url=settings.betcore_url,
            credentials={
                settings.token_id_field: settings.client_id or "",
                settings.token_secret_field: reveal(settings.client_secret) or "",
            },
            timeout_seconds=timeout_seconds,
        )
        try:
            token = endpoint.fetch()
        except CredentialsRefused as error:
            return [_refused(str(error))]
        except BearerUnavailable as error:
            what = f"no access token is to be had: {error}"
            mend = "check CASHBACK_BETCORE_URL and the way out to it, and with BETCORE"
            return [fault(_CREDENTIALS, "token_unavailable", what, mend)]
    seconds = token.expires_at - token.issued_at
    return [
        good(_CREDENTIALS, "credentials", f"BETCORE takes them: its access token lives for {seconds:,.0f} s")
    ]


def _refused(text: str) -> Finding:
    return fault(
        _CREDENTIALS,
        "credentials_refused",
        f"BETCORE refuses CASHBACK_CLIENT_ID with CASHBACK_CLIENT_SECRET ({text}): no accept can be sent",
        "set both to what BETCORE has for you, in the worker's environment or its secret file, and start the "
        "workers anew",
    )


def _static(token: str) -> Finding:
    end = _jwt_end(token)
    if end is None:
        what = "a static access token is set, which does not say when it ends"
        return advice(_CREDENTIALS, "bearer_static", what, f"where BETCORE answers 401: {_SET_ANOTHER}")
    moment = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC"
    left = end - time.time()
    if left <= 0:
        return fault(
            _CREDENTIALS, "bearer_expired", f"the static access token ended at {moment}", _SET_ANOTHER
        )
    if left <= _SOON_SECONDS:
        return advice(
            _CREDENTIALS, "bearer_ends_soon", f"the static access token ends at {moment}", _SET_ANOTHER
        )
    return good(_CREDENTIALS, "bearer_static", f"the static access token is good until {moment}")


def _jwt_end(token: str) -> float | None:
    """Return the `exp` of a token that is a JWT; nothing is believed of it."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (ValueError, LookupError, TypeError, OverflowError):
        return None
