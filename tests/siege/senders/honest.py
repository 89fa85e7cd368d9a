"""The honest makes: `python -m tests.siege.senders.honest PLAN.json`.

The moment of each record is when the make was due (*open*) or was answered (*closed*). The status is 0 where
there was no answer in time, or the connection was lost. Nobody tries again.
"""

import asyncio
import json
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Final

import uvloop

from producer.app import MAKE_PATH
from tests.benchmarks.line import LOST, Line, make_request
from tests.siege.senders.makes import Honest, HonestLine
from tests.siege.senders.plans import HonestOrders

_BACK_OFF_SECONDS: Final = 0.02
_OK: Final = "200"


class OpenHonest(Honest):
    """Each make goes out at its own moment: one on a kept connection, the next on one of its own."""

    async def send(self) -> None:
        """Send them all."""
        self._idle: list[HonestLine] = []
        per_second = self.orders.per_second
        for number in range(round(self.orders.seconds * per_second)):
            await asyncio.sleep(max(0.0, self.begun + number / per_second - time.monotonic()))
            self._submit(number)

    def since(self, line: HonestLine) -> float:
        """Return when the make was due."""
        return self._due(line.number)

    def answered(self, line: Line, status: str, _body: bytes) -> None:
        """Note it, and keep every other connection."""
        assert isinstance(line, HonestLine)
        due = self._due(line.number)
        self.note(due, status, time.monotonic() - due)
        if line.number % 2:
            line.close()
        elif line.is_open:
            self._idle.append(line)

    def gave_up(self, line: HonestLine) -> None:
        """Note it."""
        self.note(self._due(line.number), LOST, self.patience_seconds)

    def _due(self, number: int) -> float:
        return self.begun + number / self.orders.per_second

    def _submit(self, number: int) -> None:
        request = self.next_request()
        while number % 2 == 0 and self._idle:
            line = self._idle.pop()
            if line.is_open:
                self._send(line, number, request)
                return
        self.start(asyncio.create_task(self._send_on_new(number, request)))

    async def _send_on_new(self, number: int, request: bytes) -> None:
        try:
            line = await self.open_line()
        except (OSError, TimeoutError):
            self.note(self._due(number), LOST, self.patience_seconds)
        else:
            self._send(line, number, request)

    @staticmethod
    def _send(line: HonestLine, number: int, request: bytes) -> None:
        line.number = number
        line.send(request)


class ClosedHonest(Honest):
    """Each connection sends as soon as it has its answer, and a little later where that was a refusal."""

    async def send(self) -> None:
        """Open all, and wait for the end."""
        self._ends_at = self.begun + self.orders.seconds
        for _ in range(self.orders.connections):
            self.start(asyncio.create_task(self._open()))
        await asyncio.sleep(max(0.0, self._ends_at - time.monotonic()))

    def answered(self, line: Line, status: str, _body: bytes) -> None:
        """Note it and go on."""
        assert isinstance(line, HonestLine)
        now = time.monotonic()
        self.note(now, status, now - line.sent_at)
        if now >= self._ends_at:
            return
        if status == _OK:
            line.send(self.next_request())
        else:
            self.start(asyncio.create_task(self._later(line)))

    def gave_up(self, line: HonestLine) -> None:
        """Note it and go on with another connection."""
        self.note(time.monotonic(), LOST, self.patience_seconds)
        self.start(asyncio.create_task(self._later(line)))

    async def _later(self, line: HonestLine) -> None:
        await asyncio.sleep(_BACK_OFF_SECONDS)
        if line.is_open:
            line.send(self.next_request())
        else:
            await self._open()

    async def _open(self) -> None:
        while time.monotonic() < self._ends_at:
            try:
                line = await self.open_line()
            except (OSError, TimeoutError):
                self.note(time.monotonic(), LOST, self.patience_seconds)
                await asyncio.sleep(_BACK_OFF_SECONDS)
            else:
                line.send(self.next_request())
                return


_KINDS: Final = {"open": OpenHonest, "closed": ClosedHonest}


def main(plan_path: Path) -> None:
    """Send what the plan says and write the records."""
    orders = HonestOrders.read(plan_path)
    orders.hold_to_core()
    with Path(orders.tokens_path).open(encoding="ascii") as tokens:
        # From the file as they are needed: all of them together are some hundreds of megabytes.
        requests = (
            make_request(line.rstrip("\n"), path=MAKE_PATH) for line in islice(tokens, orders.skip, None)
        )
        sender = _KINDS[orders.kind](orders, requests)
        records = uvloop.run(sender.run(orders.wait_for_go()))
    for error in sender.errors:
        raise error
    orders.result_path.write_text(json.dumps(records), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
