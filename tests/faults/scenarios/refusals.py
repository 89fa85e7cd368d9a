"""Redis is up and refuses what workers need: to wait at its queue, and then to take from it at all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import redis

from tests.faults.scene import Scene

_AROUND_SECONDS: Final = 1.0
_CLIENT_SECONDS: Final = 5.0
_WORKERS_USER: Final = "cashback-worker"
# What waits to be overdue is a backlog like any other, and with short deadlines nearly too long a one.
_MOST_TURNED_AWAY_SHARE: Final = 0.1


def queue_not_consumable(scene: Scene) -> None:
    """Take from workers the right to wait at Redis, and then that to run scripts: no event expires for it."""
    scene.least_in_time_share = 1.0
    # Without scripts nobody takes anything, for longer than an event has.
    refusals = {
        "Redis lets nobody wait": (("blmove", "blpop"), scene.form.freeze_seconds),
        "Redis runs no scripts": (("eval", "evalsha"), scene.form.deadline_seconds + 2 * _AROUND_SECONDS),
    }
    round_seconds = sum(seconds + _AROUND_SECONDS for _, seconds in refusals.values())
    with scene.load(seconds=scene.form.rounds * round_seconds + _AROUND_SECONDS):
        for _ in range(scene.form.rounds):
            for name, (commands, seconds) in refusals.items():
                scene.pause(_AROUND_SECONDS)
                with scene.fault(name), _without(scene, commands):
                    scene.pause(seconds)
    scene.wait_for_ends()
    scene.expect_all_answered()
    turned_away, submissions = scene.figures["turned_away"], scene.figures["submissions"]
    scene.expect(
        turned_away <= _MOST_TURNED_AWAY_SHARE * submissions,
        f"{turned_away:g} of {submissions:g} makes were turned away for a queue that is bypassed",
    )


@contextmanager
def _without(scene: Scene, commands: Sequence[str]) -> Iterator[None]:
    """Take commands from the workers."""
    with redis.Redis.from_url(scene.rig.valkey.url, socket_timeout=_CLIENT_SECONDS) as client:
        client.execute_command("ACL", "SETUSER", _WORKERS_USER, *(f"-{name}" for name in commands))
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", _WORKERS_USER, *(f"+{name}" for name in commands))
