"""PostgreSQL over TLS between hosts: whom a certificate does not name is sent nothing."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlencode

from deploy.local.environment import DATABASE_URL, ROOT
from deploy.local.postgres import DATABASE
from deploy.local.processes import ManagedProcess, running, wait_until
from tests.faults.hosts.network import DATABASE_ADDRESS
from tests.faults.hosts.processes import log_path
from tests.faults.hosts.rig import WORKERS
from tests.faults.hosts.scenarios.partitions import POSTGRES
from tests.faults.hosts.scene import HostScene
from tests.faults.hosts.servers import POSTGRES_PORT, READY_SECONDS
from tests.support.certificates import Authority

_TLS_PORT: Final = 5433
_AROUND_SECONDS: Final = 1.5
_PROBE_SECONDS: Final = 5.0
_COMMAND_SECONDS: Final = 120.0
_RIGHT: Final = "right"
_WRONG: Final = "wrong"


def postgres_over_tls(scene: HostScene) -> None:
    """Cut PostgreSQL off, and fail it over to a host whose certificate names another, all over TLS."""
    rig, ledger = scene.rig, scene.rig.ledger
    old, new = ledger.primary.host, ledger.standby.host
    ours = Authority(rig.directory / "tls", "ours")
    with (
        _tls_at(scene, old, ours, shown=(_RIGHT, _WRONG)),
        _tls_at(scene, new, ours, shown=(_WRONG, _RIGHT)) as relay,
        rig.with_settings({DATABASE_URL: _url(ours)}),
    ):
        with scene.load(
            seconds=scene.form.deadline_seconds + scene.form.freeze_seconds + 3 * _AROUND_SECONDS
        ):
            scene.pause_randomly(0.5, _AROUND_SECONDS)
            clients = ("receiver", *WORKERS)
            with scene.fault(f"{', '.join(clients)} cut off"), rig.cut(POSTGRES, clients):
                scene.pause(scene.form.freeze_seconds)
            # No event shall meet both: there is not time enough for that in the short form.
            scene.pause(scene.form.deadline_seconds - scene.form.freeze_seconds)
            with scene.fault(f"{old} vanishes"), rig.cut((old,), rig.others_than(old)):
                ledger.fail_over()
                with scene.fault(f"{new} shows the certificate of another"):
                    scene.pause(scene.form.freeze_seconds)
                _show(relay, _RIGHT)
                scene.pause(_AROUND_SECONDS)
                ledger.standby.stop()
        scene.wait_for_ends()
        code, said = _operator(scene, url=_url(ours))
        scene.expect(code == 0, f"`cashback list` over TLS ended with {code}: {said}")
        _show(relay, _WRONG)
        code, said = _operator(scene, url=_url(ours))
        scene.expect(code == 1 and "certificate" in said, f"`cashback list` believed a wrong host: {said}")
    told = _told(relay)
    scene.figures["came_to_the_wrong"] = told[_WRONG]["came"]
    scene.expect(told[_WRONG]["came"] > 0, "nobody came to the wrong host: it proves nothing")
    scene.expect(told[_RIGHT]["sent_bytes"] > 0, "nobody spoke to the right host: it proves nothing")
    scene.expect(
        told[_WRONG]["sent_bytes"] == 0, f"{told[_WRONG]['sent_bytes']} bytes went to the wrong host"
    )
    ledger.rejoin()


@contextmanager
def _tls_at(
    scene: HostScene, host: str, ours: Authority, *, shown: tuple[str, str]
) -> Iterator[ManagedProcess]:
    """Run TLS before PostgreSQL on a host: the right certificate names the database's address."""
    network = scene.rig.network
    addresses = {_RIGHT: DATABASE_ADDRESS, _WRONG: network.addresses[host]}
    holders = {name: ours.holder(f"{host}-{name}", address=addresses[name]) for name in shown}
    files = [f"{name}:{each.certificate}:{each.key}" for name, each in holders.items()]
    ports = [str(_TLS_PORT), str(POSTGRES_PORT)]
    relay = ManagedProcess(
        name=f"tls-{host}",
        argv=network.inside(host, sys.executable, "-m", "tests.faults.hosts.relays.tls", *ports, *files),
        log_path=log_path(scene.rig.directory, f"tls-{host}"),
        cwd=ROOT,
    )
    with running(relay):
        what = f"TLS on {host} takes connections"
        address = network.addresses[host]
        wait_until(lambda: _listens(address), what=what, timeout_seconds=READY_SECONDS, process=relay)
        yield relay


def _show(relay: ManagedProcess, name: str) -> None:
    """Let a relay of two certificates show the other one, which is this."""
    os.kill(relay.pid, signal.SIGHUP)
    what = f"{relay.name} shows the {name} certificate"
    wait_until(
        lambda: _told(relay).get("shown") == name, what=what, timeout_seconds=READY_SECONDS, process=relay
    )


def _told(relay: ManagedProcess) -> dict[str, Any]:
    """Return what a relay said last."""
    said = [line for line in relay.log_tail().splitlines() if line.startswith("{")]
    told: dict[str, Any] = json.loads(said[-1]) if said else {}
    return told


def _listens(address: str) -> bool:
    try:
        with socket.create_connection((address, _TLS_PORT), timeout=_PROBE_SECONDS):
            return True
    except OSError:
        return False


def _url(ours: Authority) -> str:
    options = {"connect_timeout": "5", "sslmode": "verify-full", "sslrootcert": str(ours.file)}
    return f"postgresql://postgres@{DATABASE_ADDRESS}:{_TLS_PORT}/{DATABASE}?{urlencode(options)}"


def _operator(scene: HostScene, *, url: str) -> tuple[int, str]:
    """Ask for what is on record from the receiver's host; return how that ended and what it said last."""
    process = scene.rig.processes.process(
        "operator",
        host="receiver",
        argv=["cashback", "list", "--state", "answered", "--limit", "1"],
        settings={DATABASE_URL: url},
        role_of="command",
    )
    process.start()
    try:
        return process.wait(timeout_seconds=_COMMAND_SECONDS), process.log_tail(lines=1)
    finally:
        process.kill()
