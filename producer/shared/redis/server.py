"""Where Redis is and how it is spoken to, as `CASHBACK_REDIS_URL` says it; the same for each process.

The receiver's client takes it as it is, the worker, Flower and the command by kombu, which reads the URL once
more: of TLS nothing is left in it there, because kombu does not verify anybody unless it is told to.
Decision 30.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

SCHEMES: Final = ("redis", "rediss", "sentinel", "sentinels")

_DEFAULT_PORTS: Final = {"redis": 6379, "rediss": 6379, "sentinel": 26379, "sentinels": 26379}
_VERIFY_MODES: Final = {
    "CERT_REQUIRED": ssl.CERT_REQUIRED,
    "CERT_OPTIONAL": ssl.CERT_OPTIONAL,
    "CERT_NONE": ssl.CERT_NONE,
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_OPTION: Final = "ssl_"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """One server, or the sentinels that know which it is.

    `tls` are redis-py's options for it, None without TLS; sentinels are spoken to as the server is.
    `broker_url` is for kombu.
    """

    hosts: tuple[tuple[str, int], ...]
    is_found_by_sentinels: bool
    database: int
    username: str | None
    password: str | None = field(repr=False)
    tls: Mapping[str, Any] | None
    broker_url: str = field(repr=False)


def read_redis_url(url: str, *, tls_files: Mapping[str, str | None] | None = None) -> RedisServer:
    """Return what a URL says; raise ValueError with a sentence for one that cannot be used.

    It is read as kombu reads it: `/db` and percent-encoded credentials of the first address, `ssl_*` in the
    query, several addresses of sentinels separated by `;`. Other query options are kombu's alone and are left
    to it. `tls_files` are CA, client certificate and key, as redis-py names them; they win.
    """
    addresses = [urlsplit(part.strip()) for part in url.split(";") if part.strip()]
    first = addresses[0]
    by_sentinels = first.scheme in {"sentinel", "sentinels"}
    if len(addresses) > 1 and not by_sentinels:
        raise ValueError("only sentinel:// and sentinels:// URLs may name several addresses")
    if len({address.scheme for address in addresses}) > 1:
        raise ValueError("all of its addresses must have the same scheme")
    has_tls = first.scheme in {"rediss", "sentinels"}
    return RedisServer(
        hosts=tuple(
            (each.hostname or "127.0.0.1", each.port or _DEFAULT_PORTS[each.scheme]) for each in addresses
        ),
        is_found_by_sentinels=by_sentinels,
        database=_database(first.path),
        username=unquote(first.username) if first.username else None,
        password=unquote(first.password) if first.password else None,
        tls=_tls_options(dict(parse_qsl(first.query)), tls_files or {}) if has_tls else None,
        broker_url=";".join(_without_tls(address) for address in addresses),
    )


def _database(path: str) -> int:
    text = path.strip("/")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"the database after the last / must be a number, not {text!r}")
    return int(text)


def _tls_options(query: Mapping[str, str], files: Mapping[str, str | None]) -> dict[str, Any]:
    mode = query.get("ssl_cert_reqs", "required")
    if mode not in _VERIFY_MODES:
        raise ValueError("ssl_cert_reqs must be required, optional or none")
    checks_name = _VERIFY_MODES[mode] is ssl.CERT_REQUIRED
    if "ssl_check_hostname" in query:
        checks_name = query["ssl_check_hostname"].lower() != "false"
    named = {name: files.get(name) or query.get(name) for name in _FILES}
    return {
        "ssl_cert_reqs": _VERIFY_MODES[mode],
        "ssl_check_hostname": checks_name,
        **{name: path for name, path in named.items() if path},
    }


def _without_tls(address: SplitResult) -> str:
    """Return the URL for kombu, which has the options of TLS from us and no scheme for it with sentinels."""
    query = [(name, value) for name, value in parse_qsl(address.query) if not name.startswith(_TLS_OPTION)]
    scheme = "sentinel" if address.scheme == "sentinels" else address.scheme
    return address._replace(scheme=scheme, query=urlencode(query)).geturl()
