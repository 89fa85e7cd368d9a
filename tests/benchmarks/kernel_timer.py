"""A timer of Linux that an event loop can wait for: it rings to the microsecond, and costs next to nothing.

The sleep of uvloop and of asyncio's epoll ends at the next whole millisecond. Python has this timer from
3.13 on, as `os.timerfd_create`.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from typing import Final

_RING_OCTETS: Final = 8
_ABSOLUTE: Final = 1
_NANOSECONDS: Final = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class KernelTimer:
    """Calls `on_ring` in the running loop at each moment that it was set to. Source: timerfd_create(2)."""

    def __init__(self, on_ring: Callable[[], None]) -> None:
        self._on_ring = on_ring
        self._file = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._file, self._rung)

    def set(self, at_ns: int) -> None:
        """Have it ring once at a moment of `time.monotonic_ns`, or at once where that has passed."""
        spec = _TimerSpec(value=_TimeSpec(*divmod(max(at_ns, 1), _NANOSECONDS)))
        _checked(_libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(spec), None))

    def close(self) -> None:
        """Ring no more."""
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _rung(self) -> None:
        os.read(self._file, _RING_OCTETS)
        self._on_ring()


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
