"""Asks everything side by side, each in bounded time, whatever hangs."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from producer.shared.preconditions.redis import Check as RedisCheck
from producer.shared.preconditions.redis import Command
from producer.shared.preconditions.verdict import Kind, Verdict

Check = Callable[[], list[Verdict]]

ASK_SECONDS: Final = 6.0


def answered_by(check: RedisCheck, ask: Callable[[tuple[Command, ...]], list[object]]) -> list[Verdict]:
    """Run a check of Redis with what sends commands and returns the reply to each."""
    try:
        commands = next(check)
        while True:
            commands = check.send(ask(tuple(commands)))
    except StopIteration as end:
        verdicts: list[Verdict] = end.value
        return verdicts


class Checks:
    """The checks of one process by the name of what is asked; for one thread.

    Each runs in a thread of its own, which is let go of where it does not end in time (a resolver, say, that
    does not answer). It is not asked again before that has ended.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._running: dict[str, _Run] = {}

    def ask(self, *, timeout_seconds: float = ASK_SECONDS) -> list[Verdict]:
        """Return all that is wrong, within that time; raises what a check raised."""
        for name, check in self._checks.items():
            if name not in self._running:
                self._running[name] = _Run(name, check)
        runs = dict(self._running)
        ends_at = time.monotonic() + timeout_seconds
        for run in runs.values():
            run.is_done.wait(max(0.0, ends_at - time.monotonic()))
        verdicts = []
        for name, run in runs.items():
            if run.is_done.is_set():
                del self._running[name]
            verdicts += run.result()
        return verdicts


class _Run:
    def __init__(self, name: str, check: Check) -> None:
        self._name = name
        self._check = check
        self._verdicts: list[Verdict] = []
        self._error: BaseException | None = None
        self.is_done = threading.Event()
        threading.Thread(target=self._run, name=f"check-{name.lower()}", daemon=True).start()

    def result(self) -> list[Verdict]:
        if not self.is_done.is_set():
            return [
                Verdict(
                    name=f"{self._name.lower()}_unreachable",
                    kind=Kind.PASSING,
                    what=f"{self._name} did not answer in time",
                    what_to_do="check that it runs, and that its name is resolved; it is asked again",
                )
            ]
        if self._error is not None:
            raise self._error
        return self._verdicts

    def _run(self) -> None:
        try:
            self._verdicts = self._check()
        except BaseException as error:  # noqa: BLE001 - raised where the answer is waited for
            self._error = error
        finally:
            self.is_done.set()
