"""The ledger is rewound: what was committed on a primary that no standby kept up with is gone.

Nothing can bring it back; here is asked what decision 27 promises instead. What is gone is named, and what
BETCORE sends again is credited once, under the name that it was told before.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import redis

from deploy.local.demo import check
from deploy.local.demo.answers import WITH_TRANSACTION
from deploy.local.demo.history import Accept, History, read_history
from tests.faults.evidence import Aside, Key
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
                old_history = _history(scene, ledger.standby.url)
                ledger.standby.stop()
    _check_and_send_again(scene, old_history, rewinds_before=rewinds_before)


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
            old_history = _history(scene, ledger.standby.url)
            ledger.standby.stop()
    _check_and_send_again(scene, old_history, rewinds_before=rewinds_before)


def _check_and_send_again(scene: HostScene, old_history: History, *, rewinds_before: int) -> None:
    """Wait until all that is lost is named, send it again, and set aside what the old primary alone has."""
    scene.wait_for_ends()
    ledger = scene.rig.ledger
    history = _history(scene, ledger.primary.url)
    made = {(row.cashback_id, row.transaction_type): row.created_at for row in history.transactions}
    told = [accept for accept in history.accepts if _tells(accept)]
    lost = {_key(accept) for accept in told} - made.keys()
    tokens = {row.token_sha256 for row in old_history.receipts}
    tokens -= {row.token_sha256 for row in history.receipts}
    # What was made again by itself, from its message or a make of BETCORE's, was told of before it was made.
    orphans = tuple(one for one in told if _key(one) in lost or _moment(one) < made[_key(one)])
    scene.set_aside = Aside(tokens=tokens, accept_ids={accept.accept_id for accept in orphans})
    scene.figures.update(lost_commits=len(lost), lost_events=len(tokens), lost_accepts=len(orphans))
    scene.expect(bool(lost), "no credit was lost: it proves nothing")
    for finding in check.false_success(replace(old_history, accepts=orphans)):
        scene.expect(False, f"on the old primary: {finding}")
    what = "the rewind names every lost commit"
    scene.wait_for(lambda: lost <= _named(scene), what=what, seconds=_NAMED_SECONDS)
    scene.expect(_rewinds_logged(scene) > rewinds_before, "no worker logged ledger_rewound")
    with scene.sending(_makes_again(scene, lost)):
        pass
    scene.wait_for_ends()
    _check_names(scene, lost, _history(scene, ledger.primary.url))
    ledger.rejoin()


def _check_names(scene: HostScene, lost: set[Key], history: History) -> None:
    missing = sorted(lost - {(row.cashback_id, row.transaction_type) for row in history.transactions})
    scene.expect(not missing, f"{len(missing)} were sent again and not credited: {missing[:5]}")
    told: defaultdict[Key, set[str | None]] = defaultdict(set)
    for accept in filter(_tells, history.accepts):
        told[_key(accept)].add(accept.partner_transaction_id)
    twice = [key for key, names in told.items() if len(names) > 1]
    scene.expect(not twice, f"{len(twice)} cashbacks were told under two PartnerTransactionIds: {twice[:5]}")


def _makes_again(scene: HostScene, lost: set[Key]) -> list[LoadMake]:
    """Return what is to be sent again, in tokens of its own and in the order in which it was sent."""
    first: dict[str, dict[str, Any]] = {}
    for make in scene.rig.simulator_log()["makes"]:
        key = make["cashback_id"], make["transaction_type"]
        if key in lost or make["token_sha256"] in scene.set_aside.tokens:
            first.setdefault(make["token_sha256"], make)
    members = ("cashback_id", "user_id", "transaction_type", "amount")
    return [
        LoadMake(
            number=number,
            at_seconds=number / scene.form.rate_per_second,
            order={name: make[name] for name in members},
        )
        for number, make in enumerate(first.values())
    ]


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


def _history(scene: HostScene, url: str) -> History:
    """Return what BETCORE and the ledger at `url` have to say of this scenario."""
    ids, log = scene.cashback_ids, scene.rig.simulator_log()
    history = read_history(log, url)
    return replace(
        history,
        makes=tuple(row for row in history.makes if row.cashback_id in ids),
        accepts=tuple(row for row in history.accepts if row.cashback_id in ids),
        receipts=tuple(row for row in history.receipts if row.cashback_id in ids),
        transactions=tuple(row for row in history.transactions if row.cashback_id in ids),
    )


def _key(accept: Accept) -> Key:
    return accept.cashback_id, accept.transaction_type


def _tells(accept: Accept) -> bool:
    """Whether it tells BETCORE of a transaction."""
    return accept.error_code in WITH_TRANSACTION


def _moment(accept: Accept) -> datetime:
    return datetime.fromtimestamp(accept.received_at_ms / 1000, tz=UTC)
