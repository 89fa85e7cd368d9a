"""BETCORE's published keys: fetched, cached, rotated.

One implementation for the receiver's event loop and the worker's threads: `get` never blocks, the
others are for threads. Source: `GET /mis-api/api/v2/auth/jwks` of BETCORE; key sets are RFC 7517.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import httpx
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from producer.protocol.errors import KeysFetchFailed, LookupNeeded, RefetchTooSoon
from producer.protocol.jwks import KeySetUnreadable, parse_keys
from producer.protocol.reply import REQUEST_HEADERS, ReplyUnreadable, read_bounded

JWKS_PATH: Final = "/mis-api/api/v2/auth/jwks"

_MAX_REMEMBERED_KIDS: Final = 1024
_FIRST_RETRY_SECONDS: Final = 0.25
# While there is no key at all nothing can be verified, so the endpoint is asked often.
_EMPTY_RETRY_SECONDS: Final = 3.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    key: RSAPublicKey
    # When the key was first found missing from the published set (by the clock), None while it is published.
    retired_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    entries: Mapping[str, _Entry]
    fetched_at: float | None


class KeySet:
    """The public keys that BETCORE publishes, by `kid`.

    A failed, empty or unreadable fetch never replaces keys that are there. A key that is no longer
    published stays usable for `retired_key_seconds`, so that an event received just before a rotation
    can still be verified by the worker. Keys that could not be fetched for `max_age_seconds` all count as no
    longer published: one that BETCORE has withdrawn must not be good for ever. `on_fetch` hears "ok" or the
    reason of the failure.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        betcore_url: str,
        client: httpx.Client,
        refresh_seconds: float,
        unknown_key_seconds: float,
        timeout_seconds: float,
        retired_key_seconds: float,
        max_age_seconds: float,
        on_fetch: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        random_source: random.Random | None = None,
    ) -> None:
        self._url = betcore_url + JWKS_PATH
        self._client = client
        self._refresh_seconds = refresh_seconds
        self._unknown_key_seconds = unknown_key_seconds
        self._timeout_seconds = timeout_seconds
        self._retired_key_seconds = retired_key_seconds
        self._last_use_seconds = max_age_seconds + retired_key_seconds
        self._on_fetch = on_fetch
        self._clock = clock
        self._random = random_source or random.Random()  # noqa: S311 - it spreads load, it keeps no secret
        self._snapshot = _Snapshot(MappingProxyType({}), None)
        self._lock = threading.Lock()
        self._flight: Future[None] | None = None
        self._last_failed = False
        self._extra_fetch_at: float | None = None
        self._absent: dict[str, float] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def get(self, kid: str) -> RSAPublicKey | None:
        """Return the key, or None where it is not known. Never blocks."""
        entry = self._snapshot.entries.get(kid)
        if entry is None or self._are_too_old() or not self._is_usable(entry, self._clock()):
            return None
        return entry.key

    @property
    def is_empty(self) -> bool:
        """Whether there is no key that is fresh enough, so that nothing can be verified."""
        return not self._snapshot.entries or self._are_too_old()

    @property
    def age_seconds(self) -> float | None:
        """Time since the keys were last fetched with success, in seconds; None before the first time."""
        fetched_at = self._snapshot.fetched_at
        return None if fetched_at is None else self._clock() - fetched_at

    def fetch(self) -> None:
        """Fetch the keys now, or share a fetch that is under way. Blocks; raises KeysFetchFailed."""
        with self._lock:
            flight = self._flight
            leads = flight is None
            if flight is None:
                flight = self._flight = Future()
        if leads:
            self._lead(flight)
        try:
            # The leader needs no more than this; who waits must not wait on a leader that died.
            flight.result(timeout=2 * self._timeout_seconds + 1)
        except TimeoutError as error:
            raise KeysFetchFailed("a fetch under way did not end in time") from error

    def fetch_for_unknown(self, kid: str, *, may_block: bool = True) -> RSAPublicKey | None:
        """Fetch the keys because `kid` is unknown, at most once per `unknown_key_seconds`; return the key.

        None: BETCORE does not publish it, as far as the last fetch for it can say. Raises RefetchTooSoon
        where the limit forbids the fetch that could tell, KeysFetchFailed where it failed, and LookupNeeded
        for one that is not made because it would block.
        """
        with self._lock:
            now = self._clock()
            key = self.get(kid)
            if key is not None:
                return key
            waited = self._extra_fetch_at is None or now - self._extra_fetch_at >= self._unknown_key_seconds
            if not waited and self._flight is None:
                self._check_answer_is_known(kid, now)
                return None
            if not may_block:
                raise LookupNeeded
            if self._flight is None:
                self._extra_fetch_at = now
        self.fetch()
        key = self.get(kid)
        if key is None:
            self._remember_absent(kid)
        return key

    def start(self) -> None:
        """Start the background refresh, which fetches at once and then every `refresh_seconds`."""
        self._thread = threading.Thread(target=self._run, name="betcore-keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the background refresh; waits for a fetch under way, at most for its timeout."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(2 * self._timeout_seconds + 1)

    def _is_usable(self, entry: _Entry, now: float) -> bool:
        return entry.retired_at is None or now - entry.retired_at < self._retired_key_seconds

    def _are_too_old(self) -> bool:
        age_seconds = self.age_seconds
        return age_seconds is not None and age_seconds >= self._last_use_seconds

    def _check_answer_is_known(self, kid: str, now: float) -> None:
        if self._last_failed:
            raise KeysFetchFailed
        absent_at = self._absent.get(kid)
        if absent_at is None or now - absent_at >= self._unknown_key_seconds:
            raise RefetchTooSoon

    def _remember_absent(self, kid: str) -> None:
        with self._lock:
            while len(self._absent) >= _MAX_REMEMBERED_KIDS:
                self._absent.pop(next(iter(self._absent)))
            self._absent[kid] = self._clock()

    def _lead(self, flight: "Future[None]") -> None:
        result = "internal"
        try:
            self._replace(self._download())
        except KeysFetchFailed as error:
            result = error.reason
            _log.warning("keys_fetch_failed", error=str(error), keys=len(self._snapshot.entries))
            flight.set_exception(error)
        except BaseException as error:
            flight.set_exception(error)
            raise
        else:
            result = "ok"
            flight.set_result(None)
        finally:
            with self._lock:
                self._flight = None
                self._last_failed = result != "ok"
            if self._on_fetch is not None:
                self._on_fetch(result)

    def _download(self) -> dict[str, RSAPublicKey]:
        until = self._clock() + self._timeout_seconds
        try:
            with self._client.stream(
                "GET",
                self._url,
                headers=REQUEST_HEADERS,
                timeout=self._timeout_seconds,
                follow_redirects=False,
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise KeysFetchFailed(f"the endpoint answered HTTP {response.status_code}")
                return parse_keys(read_bounded(response, until=until, clock=self._clock))
        except (httpx.HTTPError, httpx.InvalidURL, ReplyUnreadable, KeySetUnreadable) as error:
            raise KeysFetchFailed(f"{type(error).__name__}: {error}") from error

    def _replace(self, published: Mapping[str, RSAPublicKey]) -> None:
        now = self._clock()
        entries = {kid: _Entry(key) for kid, key in published.items()}
        for kid, entry in self._snapshot.entries.items():
            if kid not in entries and self._is_usable(entry, now):
                entries[kid] = entry if entry.retired_at is not None else _Entry(entry.key, retired_at=now)
        if set(entries) != set(self._snapshot.entries):
            _log.info("keys_changed", published=sorted(published))
        self._snapshot = _Snapshot(MappingProxyType(entries), now)

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self.fetch()
                failures = 0
            except KeysFetchFailed:  # logged and counted where it arose
                failures += 1
            except Exception:  # noqa: BLE001 - logged with its traceback
                # Whatever it is, the thread must live on: without it a rotation would go unnoticed.
                _log.exception("keys_refresh_failed")
                failures += 1
            self._closing.wait(self._pause_seconds(failures))

    def _pause_seconds(self, failures: int) -> float:
        if failures == 0:
            return self._refresh_seconds * self._random.uniform(0.8, 1.0)
        longest = min(_EMPTY_RETRY_SECONDS, self._refresh_seconds) if self.is_empty else self._refresh_seconds
        return min(longest, _FIRST_RETRY_SECONDS * 2.0 ** min(failures, 16)) * self._random.uniform(0.5, 1.0)
