"""BETCORE's Verify endpoint: the fall-back while its published keys cannot be had.

Source: `POST /mis-api/api/v2/auth/verify`. Its name is documented; that it takes the token as a bare
JSON string and answers in the usual envelope is inferred from the sibling pages.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import httpx

from cashback_client.contract import ErrorCode
from producer.protocol.errors import ProducerError
from producer.protocol.reply import REQUEST_HEADERS, ReplyUnreadable, read_bounded

VERIFY_PATH: Final = "/mis-api/api/v2/auth/verify"

MAX_CALLS_PER_SECOND: Final = 5

_SERVER_ERRORS: Final = range(500, 600)


class VerifyUnavailable(ProducerError):
    """The Verify endpoint gave no answer that decides."""

    reason = "verify_unavailable"


class VerifyEndpoint:
    """Asks BETCORE whether a token is its own, a few times a second at most. Blocking; for threads."""

    def __init__(
        self,
        *,
        betcore_url: str,
        client: httpx.Client,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = betcore_url + VERIFY_PATH
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: deque[float] = deque(maxlen=MAX_CALLS_PER_SECOND)

    def vouches_for(self, token: str) -> bool:
        """Return whether BETCORE says that the token is valid; raise VerifyUnavailable if it does not say.

        Only HTTP 200 with ErrorCode 200 is a yes, and only a readable refusal is a no: all else, such as a
        server error, decides nothing.
        """
        self._take_call()
        until = self._clock() + self._timeout_seconds
        try:
            with self._client.stream(
                "POST",
                self._url,
                content=json.dumps(token),
                headers={**REQUEST_HEADERS, "Content-Type": "application/json"},
                timeout=self._timeout_seconds,
                follow_redirects=False,
            ) as response:
                status = response.status_code
                body = read_bounded(response, until=until, clock=self._clock)
        except (httpx.HTTPError, httpx.InvalidURL, ReplyUnreadable) as error:
            raise VerifyUnavailable(f"{type(error).__name__}: {error}") from error
        code = _error_code(body)
        if status == httpx.codes.OK and code == ErrorCode.SUCCESS:
            return True
        if (
            status
            in {httpx.codes.OK, httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
            and code is not None
            and code not in {ErrorCode.SUCCESS, ErrorCode.ERROR_ADDING_TRANSACTION}
            and code not in _SERVER_ERRORS
        ):
            return False
        raise VerifyUnavailable(f"HTTP {status}, ErrorCode {code}")

    def _take_call(self) -> None:
        """Raise VerifyUnavailable where as many calls as are allowed were made in the last second."""
        with self._lock:
            now = self._clock()
            if len(self._calls) == MAX_CALLS_PER_SECOND and now - self._calls[0] < 1:
                raise VerifyUnavailable(f"it is asked {MAX_CALLS_PER_SECOND} times a second at most")
            self._calls.append(now)


def _error_code(body: bytes) -> int | None:
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return None
    code = reply.get("ErrorCode") if isinstance(reply, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None
