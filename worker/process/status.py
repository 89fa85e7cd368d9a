"""A worker's `/healthz`, `/readyz` and `/metrics`, on a port that the workers of a host need not agree on."""

import errno
import http.client
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from producer.shared.listening import listen
from producer.shared.settings.environment import ENV_PREFIX
from worker.process.ending import CannotWork
from worker.process.readiness import OK, Readiness

PORTS_TRIED: Final = 64
"""How many ports are tried, from the configured one on: a host has a worker for each core."""

_PROCESS: Final = "cashback-worker"
_SETTING: Final = f"{ENV_PREFIX}METRICS_PORT"
_BACKLOG: Final = 32
_MOST_REQUESTS: Final = 16
# A client that says nothing does not keep its thread.
_CLIENT_SECONDS: Final = 5.0
_ASK_SECONDS: Final = 2.0
_ANSWER_BYTES: Final = 1_024
_HIGHEST_PORT: Final = 65_535

_log = structlog.get_logger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], object]


def take_port(port: int) -> socket.socket:
    """Return a socket that listens on `port`, or on the next free one where a worker has it; 0: on any.

    Raises CannotWork where something else answers on `port`, or no port is to be had.
    """
    last = port if port == 0 else min(port + PORTS_TRIED - 1, _HIGHEST_PORT)
    for each in range(port, last + 1):
        try:
            return listen(each, backlog=_BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CannotWork(
                    f"{_SETTING}: port {each} cannot be listened on ({os.strerror(error.errno or 0)}): "
                    "name another one, or none"
                ) from error
        if each == port and _is_a_stranger(each):
            raise CannotWork(
                f"{_SETTING}: port {each} is in use by something that is no cashback worker: stop that, or "
                "name another port"
            )
    raise CannotWork(f"{_SETTING}: the ports {port} to {last} are all in use: name another one, or none")


def _is_a_stranger(port: int) -> bool:
    """Whether something answers there, and not as a worker does. A worker that hangs says nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse().read(_ANSWER_BYTES)
    except http.client.HTTPException:
        return True
    except OSError:
        return False
    finally:
        connection.close()
    try:
        document = json.loads(answer)
    except ValueError:
        return True
    return not isinstance(document, dict) or document.get("process") != _PROCESS


class StatusServer:
    """Answers from a thread of its own, for as long as the process lives."""

    thread_name: Final = "status"

    def __init__(self, listener: socket.socket, *, registry: CollectorRegistry, readiness: Readiness) -> None:
        self._readiness = readiness
        self._metrics = make_wsgi_app(registry)
        self._server = _Server(listener)
        self._server.set_app(self._answer)
        self.port: Final[int] = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name=self.thread_name, daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        _log.info("status_served", port=self.port)

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/healthz":
                return _reply(start_response, HTTPStatus.OK, {"alive": True, **_who()})
            case "/readyz":
                parts = self._readiness.look()
                is_ready = set(parts.values()) == {OK}
                status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
                return _reply(start_response, status, {"ready": is_ready, "parts": parts, **_who()})
            case "/metrics":
                chunks: Iterable[bytes] = self._metrics(environ, start_response)
                return chunks
            case _:
                return _reply(start_response, HTTPStatus.NOT_FOUND, _who())


def _who() -> dict[str, object]:
    return {"process": _PROCESS, "pid": os.getpid()}


def _reply(start_response: StartResponse, status: HTTPStatus, document: dict[str, object]) -> list[bytes]:
    body = json.dumps(document).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Log nothing: somebody asks each second."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, of which there are few at a time."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        # What binding would set; it would also ask the resolver for this machine's name.
        self.server_name, self.server_port = _PROCESS, listener.getsockname()[1]
        self.setup_environ()
        self._room = threading.BoundedSemaphore(_MOST_REQUESTS)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Answer in a thread, or hang up where there are too many."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the same
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's
        """Log what went wrong with one request."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("status_request_failed", exc_info=error)
