"""The ledger is rewound: what was committed on a primary that no standby kept up with is gone.

Nothing can bring it back; here is asked what decision 27 promises instead. What is gone is named, and what
BETCORE sends again is credited once, under the name that it was told before.
"""

from collections import defaultdict
from typing import Any, Final, LiteralString

import psycopg
import redis

from tests.faults.evidence import Key
from tests.faults.hosts.rig import WORKERS
from tests.faults.hosts.scene import HostScene
from tests.faults.load import LoadMake
from worker.recovery.ledger_watch import COMPARE_SECONDS
from worker.recovery.witness import LOST_KEY

_AROUND_SECONDS: Final = 1.5
# What is answered in this time is on the primary alone.
_BEHIND_SECONDS: Final = 3.0
# Two comparisons at most, and some time on a slow machine.
_NAMED_SECONDS: Final = 3 * COMPARE_SECONDS
_ON_RECORD: Final = """
    SELECT encode(sha256(convert_to(tokens.token, 'UTF8')), 'hex')
    FROM receipts JOIN tokens USING (received_at, event_id)
    WHERE cashback_id BETWEEN %s AND %s
"""
_COMMITTED: Final = (
    "SELECT cashback_id, transaction_type FROM transactions WHERE cashback_id BETWEEN %s AND %s"
)


def postgres_failover_asynchronous(scene: HostScene) -> None:
    """Let a primary vanish whose asynchronous standby is behind: the rewind is named, names stay the same."""
    rig, ledger = scene.rig, scene.rig.ledger
    old, standby = ledger.primary.host, ledger.standby.host
    rewinds_before = _rewinds_logged(scene)
    ledger.go_asynchronous()
    seconds = _BEHIND_SECONDS + scene.form.freeze_seconds + 3 * _AROUND_SECONDS
    with scene.load(seconds=seconds):
        scene.pause_randomly(0.5, _AROUND_SECONDS)
        with scene.fault(f"{standby} is behind"), rig.cut((old,), (standby,)):
            scene.pause(_BEHIND_SECONDS)
            with scene.fault(f"{old} vanishes"), rig.cut((old,), rig.others_than(old)):
                scene.pause(scene.form.freeze_seconds)
                ledger.fail_over()
                scene.pause(_AROUND_SECONDS)
                _set_aside(scene)
                ledger.standby.stop()
    _check_and_send_again(scene, rewinds_before=rewinds_before)


def postgres_split_brain_asynchronous(scene: HostScene) -> None:
    """Let two primaries take commits, each of its own hosts: the same cashback has one name in both."""
    rig, ledger = scene.rig, scene.rig.ledger
    old, keep = ledger.primary.host, ("receiver", WORKERS[0])
    rewinds_before = _rewinds_logged(scene)
    ledger.go_asynchronous()
    seconds = 2 * scene.form.freeze_seconds
    with scene.load(seconds=seconds + 3 * _AROUND_SECONDS):
        scene.pause_randomly(0.5, _AROUND_SECONDS)
        others = rig.others_than(old, *keep)
        with scene.fault(f"{old} goes on for {' and '.join(keep)} alone"), rig.cut((old,), others):
            with ledger.split(rig.others_than(old), keep=keep):
                scene.pause(seconds)
            _set_aside(scene)
            ledger.standby.stop()
    _check_and_send_again(scene, rewinds_before=rewinds_before)


def _set_aside(scene: HostScene) -> None:
    """Note what is on record on the old primary; what is missing on the new one is known at the end."""
    scene.set_aside = {token for (token,) in _asked(scene, scene.rig.ledger.standby.url, _ON_RECORD)}
    scene.figures["on_the_old_primary"] = len(scene.set_aside)


def _check_and_send_again(scene: HostScene, *, rewinds_before: int) -> None:
    scene.wait_for_ends()
    ledger = scene.rig.ledger
    lost = _told(scene).keys() - _keys(scene, ledger.primary.url)
    scene.set_aside -= {token for (token,) in _asked(scene, ledger.primary.url, _ON_RECORD)}
    scene.figures.update(lost_commits=len(lost), lost_events=len(scene.set_aside))
    scene.expect(bool(lost), "no credit was lost: it proves nothing")
    scene.wait_for(
        lambda: lost <= _named(scene), what="the rewind names every lost commit", seconds=_NAMED_SECONDS
    )
    scene.expect(_rewinds_logged(scene) > rewinds_before, "no worker logged ledger_rewound")
    with scene.sending(_makes_again(scene)):
        pass
    scene.wait_for_ends()
    scene.expect(lost <= _keys(scene, ledger.primary.url), "not all that was sent again was credited")
    for key, names in _told(scene).items():
        scene.expect(len(names) == 1, f"{key} was told under {sorted(names)}")
    ledger.rejoin()


def _makes_again(scene: HostScene) -> list[LoadMake]:
    """Return what was set aside as makes with tokens of their own, in the order in which it was sent."""
    makes = scene.rig.simulator_log()["makes"]
    first = {make["token_sha256"]: make for make in reversed(makes)}
    again = [make for token, make in reversed(first.items()) if token in scene.set_aside]
    members = ("cashback_id", "user_id", "transaction_type", "amount")
    return [
        LoadMake(
            number=number,
            at_seconds=number / scene.form.rate_per_second,
            order={name: make[name] for name in members},
        )
        for number, make in enumerate(again)
    ]


def _told(scene: HostScene) -> dict[Key, set[str]]:
    """Return the PartnerTransactionIds that BETCORE was told of, by what moves money once."""
    told: defaultdict[Key, set[str]] = defaultdict(set)
    for accept in scene.rig.simulator_log()["accepts"]:
        if accept["cashback_id"] in scene.cashback_ids and accept["partner_transaction_id"]:
            key = accept["cashback_id"], accept["transaction_type"]
            told[key].add(accept["partner_transaction_id"])
    return dict(told)


def _named(scene: HostScene) -> set[Key]:
    """Return what the witness has on record as lost; nothing while Redis cannot say."""
    try:
        with scene.rig.valkey_client(scene.rig.valkey_primary()) as client:
            members: list[Any] = client.zrange(LOST_KEY, 0, -1)
    except redis.RedisError:
        return set()
    parts = [member.decode("ascii").split(":") for member in members]
    return {(int(cashback_id), int(transaction_type)) for cashback_id, transaction_type, *_ in parts}


def _rewinds_logged(scene: HostScene) -> int:
    return sum(worker.log_path.read_text("utf-8").count('"ledger_rewound"') for worker in scene.rig.workers)


def _keys(scene: HostScene, url: str) -> set[Key]:
    return set(_asked(scene, url, _COMMITTED))


def _asked(scene: HostScene, url: str, query: LiteralString) -> list[tuple[Any, ...]]:
    between = (scene.cashback_ids.start, scene.cashback_ids.stop - 1)
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query, between).fetchall()
