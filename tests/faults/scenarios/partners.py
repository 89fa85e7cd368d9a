"""What partner services put onto the queue has no receipt before a worker has settled it."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psycopg

from cashback_client.envelope import message_in
from tests.faults.evidence import Aside
from tests.faults.load import LoadMake
from tests.faults.scene import Scene
from tests.support.partner_service import PartnerService, digest_of

# More than two workers have in hand at once: whoever is killed meanwhile has something that is not settled.
_BURST: Final = 100
_KILL_WITHIN_SECONDS: Final = 0.15
# BETCORE takes its time, as in kill-workers.
_IN_HAND: Final = "slow:0.1"


def kill_workers_partner_messages(scene: Scene) -> None:
    """SIGKILL to one worker after another while partners enqueue: their messages have no receipt."""
    form, rig = scene.form, scene.rig
    rig.simulate(accept=_IN_HAND)
    makes = scene.plan(form.partner_messages, rate_per_second=form.kill_rate_per_second)
    bursts = [makes[begin : begin + _BURST] for begin in range(0, len(makes), _BURST)]
    # Each kill has its share of the bursts, and strikes within one of them.
    struck = {scene.rng.choice(share) for share in _shares(len(bursts), form.partner_kills)}
    with (
        PartnerService(simulator_url=rig.simulator_url, redis_url=rig.partner_redis_url) as partner,
        ThreadPoolExecutor(1) as executor,
    ):
        tokens: dict[int, str] = {}
        for number, burst in enumerate(bursts):
            begun = time.monotonic()
            if number in struck:
                # A worker that is only just starting has nothing to lose.
                for worker in rig.workers:
                    rig.wait_for_worker(worker)
            signed = [_sign(partner, make, tokens) for make in burst]
            putting = executor.submit(partner.put, signed)
            if number in struck:
                scene.pause_randomly(0.0, _KILL_WITHIN_SECONDS)
                victim = scene.rng.choice(rig.workers)
                scene.kill(victim, name=f"SIGKILL to {victim.name}")
            for digest, at_ms in putting.result().items():
                scene.queued_by_ms.setdefault(digest, at_ms)
            if number + 1 < len(bursts):
                scene.pause(max(0.0, len(burst) / form.kill_rate_per_second - (time.monotonic() - begun)))
    scene.received |= scene.queued_by_ms.keys()
    scene.wait_for_ends()
    _set_quarantined_aside(scene)
    scene.figures["messages"] = len(makes)
    rig.simulate(accept="ok")


def _shares(bursts: int, kills: int) -> list[range]:
    return [range(kill * bursts // kills, (kill + 1) * bursts // kills) for kill in range(min(kills, bursts))]


def _sign(partner: PartnerService, make: LoadMake, tokens: dict[int, str]) -> str:
    again = None if make.again is None else tokens.get(make.again)
    tokens[make.number] = partner.sign(make.order) if again is None else again
    # Only what was sent a moment ago is sent again.
    tokens.pop(make.number - _BURST, None)
    return tokens[make.number]


def _set_quarantined_aside(scene: Scene) -> None:
    """Count what is in quarantine: an end, though not one that a receipt has."""
    with psycopg.connect(scene.rig.database_url, autocommit=True) as connection:
        rows = connection.execute("SELECT message FROM quarantine").fetchall()
    kept = {
        digest_of(message.token) for (entry,) in rows if (message := message_in(bytes(entry))) is not None
    }
    scene.set_aside = Aside(tokens=kept & scene.queued_by_ms.keys())
    scene.figures["quarantined"] = len(scene.set_aside.tokens)
