"""PostgreSQL: stopped at once, frozen, cut off while it commits, and up but read-only."""

from typing import Final

import psycopg

from tests.faults.proxy import HOLD_REPLIES, PASS, Direction
from tests.faults.scene import Scene
from tests.support.writes import take_writes

_AROUND_SECONDS: Final = 1.0
_CUTS_PER_ROUND: Final = 5


def postgres_immediate(scene: Scene) -> None:
    """`pg_ctl stop -m immediate`, and a start that recovers from the log."""
    postgres = scene.rig.postgres
    seconds = scene.form.rounds * (scene.form.outage_seconds + 2 * _AROUND_SECONDS) + _AROUND_SECONDS
    with scene.load(seconds=seconds):
        for _ in range(scene.form.rounds):
            scene.pause_randomly(0.5, _AROUND_SECONDS)
            with scene.fault("PostgreSQL is stopped at once"):
                postgres.stop_immediate()
                scene.pause(scene.form.outage_seconds)
                postgres.start()


def postgres_freeze(scene: Scene) -> None:
    """SIGSTOP to PostgreSQL and its sessions: connections stay open, and nothing answers."""
    postgres = scene.rig.postgres
    with scene.load(
        seconds=scene.form.rounds * (scene.form.freeze_seconds + _AROUND_SECONDS) + _AROUND_SECONDS
    ):
        for _ in range(scene.form.rounds):
            scene.pause_randomly(0.5, _AROUND_SECONDS)
            with scene.fault("PostgreSQL is frozen"):
                postgres.freeze()
                scene.pause(scene.form.freeze_seconds)
                postgres.thaw()


def postgres_cuts(scene: Scene) -> None:
    """Cut connections when the commit was made and its reply is on the way: the outcome is unknown."""
    proxies = (scene.rig.worker_database, scene.rig.door_database)
    cuts = _CUTS_PER_ROUND * scene.form.rounds
    with scene.load(seconds=cuts + _AROUND_SECONDS):
        for number in range(cuts):
            proxy = proxies[number % 2]
            scene.pause_randomly(0.1, 0.6)
            with scene.fault("PostgreSQL's replies are lost"):
                proxy.behave(HOLD_REPLIES)
                scene.wait_for(lambda proxy=proxy: proxy.held(Direction.REPLIES) > 0, what="a reply is held")  # type: ignore[misc]  # a default argument binds it
                proxy.cut()
                proxy.behave(PASS)


def postgres_read_only(scene: Scene) -> None:
    """Have PostgreSQL refuse writes, in sessions that stand and in new ones, as a demoted one does."""
    seconds = scene.form.rounds * (scene.form.outage_seconds + 2 * _AROUND_SECONDS) + _AROUND_SECONDS
    with (
        scene.load(seconds=seconds),
        psycopg.connect(scene.rig.database_url, autocommit=True) as operator,
    ):
        for _ in range(scene.form.rounds):
            scene.pause_randomly(0.5, _AROUND_SECONDS)
            with scene.fault("PostgreSQL is read-only"):
                take_writes(operator, are_taken=False)
                try:
                    scene.pause(scene.form.outage_seconds)
                finally:
                    take_writes(operator, are_taken=True)
