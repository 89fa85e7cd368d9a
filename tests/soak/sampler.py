"""Looks at everything every few seconds, beside the load."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from deploy.local.steps import described
from tests.soak.errors import SamplingFailed
from tests.soak.verdict import Sample


class Looks(Protocol):
    """Something that is looked at."""

    def values(self) -> dict[str, float]:
        """Return what is seen now, by series."""
        ...


class Sampler:
    """Takes a sample each `every_seconds` from entering to leaving the block, and one at its end.

    `events` says how many events there were so far. Each sample is kept in `path` at once, one a line.
    """

    def __init__(
        self,
        looks: Sequence[Looks],
        *,
        events: Callable[[], int],
        every_seconds: float,
        path: Path,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.samples: list[Sample] = []
        self._looks = looks
        self._events = events
        self._every_seconds = every_seconds
        self._path = path
        self._monotonic = monotonic
        self._begun = 0.0
        self._error: SamplingFailed | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._path.write_text("", "utf-8")
        self._begun = self._monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def check(self) -> None:
        """Raise SamplingFailed where a look failed: nothing is seen since then."""
        if self._error is not None:
            raise self._error

    def _watch(self) -> None:
        looks = 0
        try:
            while not self._stopping.wait(
                max(0.0, self._begun + looks * self._every_seconds - self._monotonic())
            ):
                self._take()
                looks = 1 + int((self._monotonic() - self._begun) // self._every_seconds)
            self._take()
        except Exception as error:  # noqa: BLE001 -- whatever ends the looks must be told
            self._error = SamplingFailed(f"a look after {len(self.samples)} good ones: {described(error)}")

    def _take(self) -> None:
        sample = self._look()
        self.samples.append(sample)
        with self._path.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps(asdict(sample)) + "\n")

    def _look(self) -> Sample:
        at_seconds, events = self._monotonic() - self._begun, self._events()
        values = {name: value for looks in self._looks for name, value in looks.values().items()}
        return Sample(at_seconds=at_seconds, events=events, values=values)


def read_samples(path: Path) -> list[Sample]:
    """Return samples that were kept; raises OSError."""
    return [Sample(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
