"""How far an import has come, by a clock that the test turns."""

import pytest

from worker.accounts.progress import CHECK_SHARE, NEW_SHARE, STANDING_SHARE, ImportProgress, Phase


class Clock:
    """Stands still until it is turned."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_rest_follows_from_how_fast_the_file_is_read(clock: Clock) -> None:
    progress = ImportProgress(total_bytes=4_000, clock=clock)
    clock.now += 1
    progress.copied(rows=100, read_bytes=1_000)

    assert progress.seconds_left == pytest.approx(4 * (1 + CHECK_SHARE + NEW_SHARE) - 1)
    assert progress.rows_per_second == 100
    assert 0 < progress.share < 1
    assert progress.sentence() == "reading: 100 rows, 100 rows/s, at most about 44 s left"


def test_it_counts_down_while_nothing_is_told(clock: Clock) -> None:
    progress = ImportProgress(total_bytes=1_000, clock=clock)
    clock.now += 2
    progress.copied(rows=100, read_bytes=1_000)
    progress.checking()
    progress.applying(new_share=1)
    clock.now += 5

    assert progress.phase is Phase.APPLY
    assert progress.seconds_left == pytest.approx(2 * NEW_SHARE - 5)
    assert progress.sentence() == "opening accounts: 100 rows, 50 rows/s, about 15 s left"
    clock.now += 1_000
    assert (progress.seconds_left, progress.share) == (0.0, 1.0)
    assert progress.sentence().endswith("nearly there")


def test_accounts_that_stand_already_take_less(clock: Clock) -> None:
    progress = ImportProgress(total_bytes=1_000, clock=clock)
    clock.now += 2
    progress.copied(rows=100, read_bytes=1_000)
    progress.checking()
    assert progress.seconds_left == pytest.approx(2 * (CHECK_SHARE + NEW_SHARE))
    progress.applying(new_share=0.25)

    assert progress.seconds_left == pytest.approx(2 * (0.25 * NEW_SHARE + 0.75 * STANDING_SHARE))


@pytest.mark.parametrize("total_bytes", [None, 0, 1_000])
def test_before_anything_is_known_nothing_is_foretold(clock: Clock, total_bytes: int | None) -> None:
    progress = ImportProgress(total_bytes=total_bytes, clock=clock)

    assert (progress.seconds_left, progress.share, progress.rows_per_second) == (None, 0.0, 0.0)
    assert progress.sentence() == "reading: 0 rows, 0 rows/s, time left unknown"


def test_a_file_that_grows_while_it_is_read_is_no_fault(clock: Clock) -> None:
    progress = ImportProgress(total_bytes=10, clock=clock)
    clock.now += 1
    progress.copied(rows=1, read_bytes=20)

    assert progress.seconds_left == pytest.approx(CHECK_SHARE + NEW_SHARE)
