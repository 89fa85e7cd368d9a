"""Jobs of upkeep: each in its own time, and none in the way of another."""

from structlog.testing import capture_logs

from worker.errors import LedgerUnavailable
from worker.recovery.upkeep import Job, Upkeep


def test_each_job_runs_at_once_and_then_in_its_own_time() -> None:
    now = [0.0]
    ran: list[str] = []
    upkeep = Upkeep(
        [
            Job(name="often", every_seconds=10, run=lambda: ran.append("often")),
            Job(name="seldom", every_seconds=25, run=lambda: ran.append("seldom")),
        ],
        monotonic=lambda: now[0],
    )

    for moment in (0.0, 5.0, 10.0, 20.0, 25.0):
        now[0] = moment
        ran.append(str(moment))
        upkeep.run()

    assert ran == ["0.0", "often", "seldom", "5.0", "10.0", "often", "20.0", "often", "25.0", "seldom"]


def test_a_job_that_fails_holds_up_no_other_and_is_tried_again_soon() -> None:
    now = [0.0]
    ran: list[str] = []

    def fail() -> None:
        ran.append("failing")
        raise LedgerUnavailable("PostgreSQL: too slow")

    upkeep = Upkeep(
        [
            Job(name="failing", every_seconds=600, run=fail),
            Job(name="sound", every_seconds=10, run=lambda: ran.append("sound")),
        ],
        monotonic=lambda: now[0],
    )

    with capture_logs() as logs:
        upkeep.run()
        upkeep.run()
        now[0] = 10.0
        upkeep.run()

    assert ran == ["failing", "sound"] * 2
    assert [(line["event"], line["job"]) for line in logs] == [("upkeep_failed", "failing")] * 2
