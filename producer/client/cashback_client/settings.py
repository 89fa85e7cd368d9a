"""Where a client submits and asks, as its URL and options say. Nothing connects here."""

import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict
from urllib.parse import SplitResult, urlsplit

from redis.asyncio.connection import parse_url

from cashback_client.contract import OWN_PRODUCER, queue_of
from cashback_client.errors import WrongSettings

DEFAULT_TIMEOUT_SECONDS: Final = 2.0
# An event is over after 30 s, and with it whatever a call could be good for.
MAX_TIMEOUT_SECONDS: Final = 30.0

_SENTINEL_SCHEMES: Final = {"sentinel": "redis", "sentinels": "rediss"}
_REDIS_SCHEMES: Final = {"redis", "rediss", *_SENTINEL_SCHEMES}
_HTTP_PORTS: Final = {"http": 80, "https": 443}
_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
# What is taken of a URL's query: the certificates, and how they are checked, as redis-py names them.
_TLS_OPTION: Final = "ssl_"
_KEY: Final = re.compile(r"[!-~]{1,1024}")
_PATH: Final = re.compile(r"[!-~]*")


class Options(TypedDict, total=False):
    """The options of a client, all by name.

    - `producer`: who hands the events in; with Redis it says which queue they go to. By HTTP the key says it.
      Without it the events go to `cashback`, the queue of our own receiver.
    - `timeout_seconds`: the longest that any call takes, from beginning to end; 2 by default, 30 at most.
    - `api_key`: the producer's key at the receiver.
    - `status_url`: the receiver's base URL, for `status` of a client that submits by Redis.
    - `tls`: how the receiver's certificate is checked, and ours shown; the system's way by default. For Redis
      the URL has it (`?ssl_ca_certs=FILE&ssl_certfile=FILE&ssl_keyfile=FILE`).
    - `sentinel_master`, `sentinel_username`, `sentinel_password`: the primary's name at the sentinels
      (`mymaster` by default), and the login there; that in the URL is the server's.
    """

    producer: str
    timeout_seconds: float
    api_key: str | None
    status_url: str | None
    tls: ssl.SSLContext | None
    sentinel_master: str
    sentinel_username: str | None
    sentinel_password: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """One server, or the sentinels that know which it is; `connection` are redis-py's options for it."""

    hosts: tuple[tuple[str, int], ...]
    has_tls: bool
    connection: Mapping[str, Any] = field(repr=False)
    sentinel_master: str | None = None
    sentinel_login: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAddress:
    """A receiver. `path` is that of its base URL, without a slash at the end; `tls` is None for http://."""

    host: str
    port: int
    path: str
    host_header: str
    api_key: str = field(repr=False)
    tls: ssl.SSLContext | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a client needs to know: one of `redis` and `http` is where it submits, `http` where it asks."""

    timeout_seconds: float
    queue: str
    redis: RedisAddress | None
    http: HttpAddress | None


def read_settings(url: str, options: Options) -> Settings:
    """Return what the URL and the options say; raises WrongSettings with a sentence."""
    unknown = sorted(options.keys() - Options.__annotations__.keys())
    if unknown:
        raise WrongSettings(f"no such option: {', '.join(unknown)}")
    timeout_seconds = options.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)
    if not (math.isfinite(timeout_seconds) and 0 < timeout_seconds <= MAX_TIMEOUT_SECONDS):
        raise WrongSettings(f"timeout_seconds is above 0 and at most {MAX_TIMEOUT_SECONDS:g}")
    scheme = url.partition("://")[0] if "://" in url else ""
    by_redis = scheme in _REDIS_SCHEMES
    if not by_redis and scheme not in _HTTP_PORTS:
        known = ", ".join(f"{each}://" for each in (*sorted(_REDIS_SCHEMES), *_HTTP_PORTS))
        raise WrongSettings(f"the URL begins with none of {known}")
    try:
        queue = queue_of(options.get("producer", OWN_PRODUCER))
    except ValueError as error:
        raise WrongSettings(str(error)) from error
    asked = options.get("status_url") if by_redis else url
    try:
        return Settings(
            timeout_seconds=timeout_seconds,
            queue=queue,
            redis=_redis(url, options) if by_redis else None,
            http=_http(asked, options) if asked else None,
        )
    except WrongSettings:
        raise
    except ValueError:
        # Without its words, which may quote a part of the password.
        raise WrongSettings("the URL cannot be read: percent-encode what is special in its login") from None


def _redis(url: str, options: Options) -> RedisAddress:
    addresses = [urlsplit(part.strip()) for part in url.split(";") if part.strip()]
    first = addresses[0]
    by_sentinels = first.scheme in _SENTINEL_SCHEMES
    if len(addresses) > 1 and not by_sentinels:
        raise WrongSettings("only sentinel:// and sentinels:// URLs may name several addresses")
    if {address.scheme for address in addresses} != {first.scheme}:
        raise WrongSettings("all addresses of the URL must have the same scheme")
    database = first.path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise WrongSettings("the database after the last / of the URL must be a number")
    parsed: dict[str, Any] = dict(
        parse_url(first._replace(scheme=_SENTINEL_SCHEMES.get(first.scheme, first.scheme)).geturl())
    )
    has_tls = first.scheme in {"rediss", "sentinels"}
    port = _SENTINEL_PORT if by_sentinels else _REDIS_PORT
    login = {"username": options.get("sentinel_username"), "password": options.get("sentinel_password")}
    return RedisAddress(
        hosts=tuple((address.hostname or "127.0.0.1", address.port or port) for address in addresses),
        has_tls=has_tls,
        connection={
            "db": int(database or 0),
            "username": parsed.get("username"),
            "password": parsed.get("password"),
            **(
                {name: value for name, value in parsed.items() if name.startswith(_TLS_OPTION)}
                if has_tls
                else {}
            ),
        },
        sentinel_master=options.get("sentinel_master", "mymaster") if by_sentinels else None,
        sentinel_login={name: value for name, value in login.items() if value},
    )


def _http(url: str, options: Options) -> HttpAddress:
    parts = urlsplit(url)
    if parts.scheme not in _HTTP_PORTS or not parts.hostname:
        raise WrongSettings("the receiver's URL is http:// or https:// with a host")
    if parts.username is not None or parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
        raise WrongSettings("the receiver's URL is a base URL: no login, no query, no fragment, no spaces")
    api_key = options.get("api_key")
    if api_key is None or not _KEY.fullmatch(api_key):
        raise WrongSettings(
            "api_key is the producer's key at the receiver, in printable ASCII without spaces"
        )
    host = parts.hostname.encode("idna").decode("ascii")
    return HttpAddress(
        host=host,
        port=parts.port or _HTTP_PORTS[parts.scheme],
        path=parts.path.rstrip("/"),
        host_header=_host_header(parts, host),
        api_key=api_key,
        tls=(options.get("tls") or ssl.create_default_context()) if parts.scheme == "https" else None,
    )


def _host_header(parts: SplitResult, host: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if parts.port is None else f"{name}:{parts.port}"
