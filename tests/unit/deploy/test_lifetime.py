"""What runs inside a `with` block is undone at its end, and where its start fails."""

import pytest

from deploy.local.lifetime import Lifetime


class StartFailed(Exception):
    """The second of two parts did not start."""


class TwoParts(Lifetime):
    """Starts two parts, and notes what is undone."""

    def __init__(self, *, second_starts: bool) -> None:
        super().__init__()
        self.undone: list[str] = []
        self._second_starts = second_starts

    def _start(self) -> None:
        self._cleanup.callback(self.undone.append, "first")
        if not self._second_starts:
            raise StartFailed
        self._cleanup.callback(self.undone.append, "second")


def test_at_the_end_all_is_undone_the_last_first() -> None:
    with TwoParts(second_starts=True) as parts:
        assert parts.undone == []

    assert parts.undone == ["second", "first"]


def test_where_the_start_fails_what_had_started_is_undone() -> None:
    parts = TwoParts(second_starts=False)

    with pytest.raises(StartFailed), parts:
        pytest.fail("it started")

    assert parts.undone == ["first"]
