"""Lua scripts that Redis runs."""

from collections.abc import Sequence
from hashlib import sha1
from importlib import resources

from worker.queue.transport.multi import Command


class Script:
    """A script of `worker/queue/transport/scripts`, called by its digest once the server knows it."""

    def __init__(self, name: str) -> None:
        self._text = resources.files("worker.queue.transport.scripts").joinpath(name).read_bytes()
        self._digest = sha1(self._text, usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[str | int], *, is_known: bool) -> Command:
        """Return the command that runs it."""
        start = ("EVALSHA", self._digest) if is_known else ("EVAL", self._text)
        return (*start, len(keys), *keys, *arguments)
