"""What each process of the stack takes: memory, descriptors, threads, processor time, log."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no type information

from tests.benchmarks.measure import families

_MB: Final = 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024


class ProcessLooks:
    """Looks at named processes, the children of each included."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._leaders = {name: [psutil.Process(pid)] for name, pid in pids.items()}

    def values(self) -> dict[str, float]:
        """Return what each takes, by series."""
        return {
            f"{name}/{value}": number
            for name, family in families(self._leaders).items()
            for value, number in _of_family(family).items()
        }


def _of_family(family: list[psutil.Process]) -> dict[str, float]:
    totals = dict.fromkeys(
        ("private_mb", "pss_mb", "rss_mb", "descriptors", "threads", "processes", "cpu_ms"), 0.0
    )
    for member in family:
        try:
            own = _of_process(member)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            # It ended while it was looked at.
            continue
        for name, value in own.items():
            totals[name] += value
    return totals


def _of_process(process: psutil.Process) -> dict[str, float]:
    with process.oneshot():
        memory = process.memory_full_info()
        times = process.cpu_times()
        children = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return {
            "private_mb": memory.uss / _MB,
            # The pages that others use too, by its share of them; macOS does not tell.
            "pss_mb": getattr(memory, "pss", memory.uss) / _MB,
            "rss_mb": memory.rss / _MB,
            "descriptors": process.num_fds(),
            "threads": process.num_threads(),
            "processes": 1,
            "cpu_ms": 1_000 * (times.user + times.system + children),
        }


class LogLooks:
    """Counts what processes write to their logs, from the first look on; reads only what is new."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)
        self._read_bytes = dict.fromkeys(paths, 0)
        self._lines = dict.fromkeys(paths, 0)

    def values(self) -> dict[str, float]:
        """Return bytes and lines of each log so far, by series."""
        found: dict[str, float] = {}
        for name, path in self._paths.items():
            for chunk in _from(path, self._read_bytes[name]):
                self._read_bytes[name] += len(chunk)
                self._lines[name] += chunk.count(b"\n")
            found[f"log.{name}/bytes"] = self._read_bytes[name]
            found[f"log.{name}/lines"] = self._lines[name]
        return found


def _from(path: Path, offset: int) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as log:
        log.seek(offset)
        while chunk := log.read(_CHUNK_BYTES):
            yield chunk
