"""`python -m producer --port PORT`: the receiver, until a signal ends it or it cannot work any more."""

import argparse
import sys
import threading
from typing import Final

from producer.app import EXIT_BAD_SETTINGS, EXIT_CANNOT_WORK, create_app, last_word
from producer.server import PortTaken, Server, limits_of
from producer.shared.settings.environment import SettingsError, load
from producer.shared.settings.receiver import ReceiverSettings

_EXIT_NOT_STARTED: Final = 3


class Ending:
    """Ends the receiver once it is told why, from any thread; it may be told before the server is there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: Server | None = None
        self.sentence: str | None = None
        """Why it ends, or None where nothing but a signal is to end it."""

    def begin(self, sentence: str) -> None:
        """End; the first reason is the one that is told."""
        with self._lock:
            self.sentence = self.sentence or sentence
            if self._server is not None:
                self._server.stop()

    def of(self, server: Server) -> None:
        """Say what is to be ended."""
        with self._lock:
            self._server = server
            if self.sentence is not None:
                server.stop()


def main() -> None:
    """Serve, and end with a sentence where that is not possible (any more)."""
    parser = argparse.ArgumentParser(prog="python -m producer", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="TCP port, of all addresses of this machine")
    port: int = parser.parse_args().port
    try:
        # Once: a secret may come through a pipe, and two looks may find two things.
        settings = load(ReceiverSettings)
    except SettingsError as error:
        last_word(str(error))
        sys.exit(EXIT_BAD_SETTINGS)
    ending = Ending()
    server = Server(create_app(settings, ending.begin), limits_of(settings))
    ending.of(server)
    try:
        has_started = server.run(port=port, inner_port=settings.inner_port)
    except PortTaken as error:
        last_word(str(error))
        sys.exit(EXIT_CANNOT_WORK)
    if ending.sentence is not None:
        last_word(ending.sentence)
        sys.exit(EXIT_CANNOT_WORK)
    if not has_started:
        sys.exit(_EXIT_NOT_STARTED)


if __name__ == "__main__":
    main()
