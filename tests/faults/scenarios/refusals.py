"""Redis is up and refuses what workers need: to wait at its queue, and then to take from it at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis

from tests.faults.scene import Scene

_AROUND_SECONDS: Final = 1.0
_CLIENT_SECONDS: Final = 5.0
_REFUSALS: Final = {
    "Redis refuses to let anybody wait": "-@blocking",
    "Redis refuses all scripts": "-@scripting",
}


def queue_not_consumable(scene: Scene) -> None:
    """Take from Redis' user the right to wait, and then that to run scripts: no event expires for it."""
    scene.least_in_time_share = 1.0
    seconds = 2 * scene.form.freeze_seconds
    with scene.load(
        seconds=scene.form.rounds * len(_REFUSALS) * (seconds + _AROUND_SECONDS) + _AROUND_SECONDS
    ):
        for _ in range(scene.form.rounds):
            for name, right in _REFUSALS.items():
                scene.pause(_AROUND_SECONDS)
                with scene.fault(name), _without(scene, right):
                    scene.pause(seconds)
    scene.wait_for_ends()
    scene.expect_all_answered()


@contextmanager
def _without(scene: Scene, right: str) -> Iterator[None]:
    """Take a right from everybody."""
    with redis.Redis.from_url(scene.rig.valkey.url, socket_timeout=_CLIENT_SECONDS) as client:
        client.execute_command("ACL", "SETUSER", "default", right)
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+@all")
