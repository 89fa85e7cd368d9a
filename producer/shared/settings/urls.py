"""The URLs of the settings: each is tried at start, so that a wrong one is named."""

from typing import Annotated
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator

from producer.shared.redis.server import SCHEMES, read_redis_url


def _url_with_scheme(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        # Only the scheme is checked: the client libraries own the rest (lists of hosts, options).
        if value.split("://", 1)[0] not in schemes or "://" not in value:
            raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    return AfterValidator(check)


def _readable_by_libpq(value: str) -> str:
    try:
        conninfo_to_dict(value)
    except psycopg.ProgrammingError:
        # Without libpq's own words, which may quote the password.
        raise ValueError("is no URL that PostgreSQL's client can read") from None
    return value


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    if parts.query or parts.fragment:
        raise ValueError("must be a base URL, without query or fragment")
    return value.rstrip("/")


def _readable_redis_url(value: str) -> str:
    read_redis_url(value)
    return value


RedisUrl = Annotated[str, _url_with_scheme(*SCHEMES), AfterValidator(_readable_redis_url)]
DatabaseUrl = Annotated[str, _url_with_scheme("postgresql", "postgres"), AfterValidator(_readable_by_libpq)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
