"""What a worker says of its readiness: each part is asked, and no more than once a second."""

from worker.process.readiness import FRESH_SECONDS, OK, STARTING, Readiness


def test_each_part_is_asked_and_however_often_somebody_asks_once_a_second() -> None:
    now, said = [100.0], ["ok"]
    asked = list[str]()

    def ledger() -> str:
        asked.append("ledger")
        return said[-1]

    readiness = Readiness({"ledger": ledger}, monotonic=lambda: now[0])
    assert [readiness.look() for _ in range(100)] == [{"worker": STARTING, "ledger": "ok"}] * 100
    assert asked == ["ledger"]

    readiness.stage = OK
    said.append("away")
    now[0] += FRESH_SECONDS / 2
    assert readiness.look() == {"worker": OK, "ledger": "ok"}

    now[0] += FRESH_SECONDS / 2
    assert readiness.look() == {"worker": OK, "ledger": "away"}
