"""What stands before every page of Flower: the login, with a limit on guesses, and headers for the browser.

Flower asks for the login page by page, counts nothing, and has no frame and content policy. Here nothing is
open that is not in `OPEN`, whatever a version of Flower adds. Decision 38.
"""

import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import flower.command
from flower.app import Flower
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler, stream_request_body

from deploy.flower_logins import FailedLogins
from producer.shared.addresses import Network, client_address, hops_of_x_forwarded_for, read_address

OPEN: Final = ("/healthcheck", "/metrics")
"""What is answered without a login; docs/security.md says what it shows."""

# The one script that stands in a page of Flower (workers.html); the template engine has taken out its spaces.
_INLINE_SCRIPT: Final = "\nvar autorefresh = 1;\n"
_SCRIPT_HASH: Final = base64.b64encode(hashlib.sha256(_INLINE_SCRIPT.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'sha256-{_SCRIPT_HASH}'",
            # Its tables set widths as attributes.
            "style-src 'self' 'unsafe-inline'",
            # Bootstrap's icons stand in its style sheet.
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_log: Final = logging.getLogger(__name__)


class _BrowserHeaders(OutputTransform):
    """Adds the headers to each reply: pages, the API, files, errors."""

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: FBT001, ARG002 - Tornado's
    ) -> tuple[int, HTTPHeaders, bytes]:
        for name, value in HEADERS.items():
            headers[name] = value
        # Its version is nobody's business.
        headers.pop("Server", None)
        return status_code, headers, chunk


# A body that nobody asked for is not read.
@stream_request_body
class _Refusal(RequestHandler):
    def initialize(self, *, status: HTTPStatus, retry_after_seconds: int) -> None:
        self._status, self._retry_after_seconds = status, retry_after_seconds

    def check_xsrf_cookie(self) -> None:
        """Say the same to everybody."""

    def data_received(self, chunk: bytes) -> None:
        """Drop it."""

    def prepare(self) -> None:
        self.set_status(self._status)
        # Tornado closes it, as the body was not read.
        self.set_header("Connection", "close")
        if self._status == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
            self.finish("Access denied")
        else:
            self.set_header("Retry-After", str(self._retry_after_seconds))
            self.finish("Too many failed logins")


class GuardedFlower(Flower):  # type: ignore[misc]  # Flower has no types
    """Flower behind one login for all that it serves."""

    def __init__(self, *arguments: Any, proxies: Sequence[Network], **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, transforms=[_BrowserHeaders], **options)
        self._proxies = proxies
        self._failed = FailedLogins(clock=time.monotonic, say=_log.warning)

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:  # noqa: ANN401 - Tornado's
        """Return what answers a request, which is a refusal where its login is missing or wrong."""
        if self._is_open(request.path):
            return super().find_handler(request, **options)
        address = client_address(
            read_address(request.remote_ip or ""),
            hops_of_x_forwarded_for(request.headers.get("X-Forwarded-For", "")),
            self._proxies,
        )
        if locked_seconds := self._failed.locked_seconds(address):
            return self._refusal(request, HTTPStatus.TOO_MANY_REQUESTS, locked_seconds)
        said = request.headers.get("Authorization")
        if said is not None and is_login(said, self.options.basic_auth):
            return super().find_handler(request, **options)
        # A browser that was not asked yet says nothing.
        if said is not None:
            self._failed.note(address)
        return self._refusal(request, HTTPStatus.UNAUTHORIZED)

    def _is_open(self, path: str) -> bool:
        prefix = (self.options.url_prefix or "").strip("/")
        return path.removeprefix(f"/{prefix}" if prefix else "") in OPEN

    def _refusal(self, request: HTTPServerRequest, status: HTTPStatus, retry_after_seconds: int = 0) -> Any:  # noqa: ANN401 - Tornado's
        return self.get_handler_delegate(
            request, _Refusal, {"status": status, "retry_after_seconds": retry_after_seconds}
        )


def is_login(header: str, logins: Sequence[str]) -> bool:
    """Whether an `Authorization` header holds one of the logins, read as Flower reads it."""
    scheme, _, encoded = header.strip().partition(" ")
    try:
        said = base64.b64decode(encoded.strip().encode())
    except ValueError:
        return False
    found = [hmac.compare_digest(login.encode(), said) for login in logins]
    return scheme == "Basic" and any(found)


def install(proxies: Sequence[Network]) -> None:
    """Have the command `flower` start a GuardedFlower."""
    flower.command.Flower = partial(GuardedFlower, proxies=proxies)
