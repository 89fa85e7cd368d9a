"""Hosts as network namespaces on one bridge, and silent cuts between them.

Needs root, iproute2 and nftables.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deploy.local.lifetime import Lifetime
from tests.faults.hosts.errors import CommandFailed, HostsUnavailable

BRIDGE: Final = "cashback0"
PREFIX: Final = "cashback-"
_NETWORK: Final = "10.77.7"
# Where the load, the checks and a person sit; no cut is in their way.
OPERATOR: Final = f"{_NETWORK}.1"
_FIRST_HOST: Final = 11
_LOCK: Final = Path("/run/cashback-hosts.lock")
_COMMAND_SECONDS: Final = 60.0
_TABLE: Final = "cashback_cuts"
_HOW_TO_LEAVE_OUT: Final = (
    "run `make faults` alone to leave the hosts out (in .ci/run: CASHBACK_CI_WITHOUT=faults-hosts)"
)
# One name more than there are hosts, and no host's: what is asked for by this address moves with its holder.
DATABASE_ADDRESS: Final = f"{_NETWORK}.200"
# BETCORE's beside that of its host: its name has both.
SECOND_BETCORE_ADDRESS: Final = f"{_NETWORK}.201"
# What a namespace sees in the place of the machine's own /etc.
_ETC: Final = Path("/etc/netns")
_LOCALHOST: Final = "127.0.0.1 localhost\n"


class Network(Lifetime):
    """The hosts with these names, each with an address; all of it is gone at the end of the `with` block."""

    def __init__(self, hosts: Sequence[str]) -> None:
        super().__init__()
        self.addresses = {name: f"{_NETWORK}.{number}" for number, name in enumerate(hosts, _FIRST_HOST)}

    @staticmethod
    def inside(host: str, *argv: str) -> list[str]:
        """Return the command that runs `argv` on a host; it keeps its process id."""
        return ["ip", "netns", "exec", PREFIX + host, *argv]

    def port(self, host: str) -> str:
        """Return the bridge's end of a host's cable."""
        return f"{PREFIX}p{self.addresses[host].rpartition('.')[2]}"

    @contextmanager
    def cut(self, here: Collection[str], there: Collection[str]) -> Iterator[None]:
        """Drop every packet between two sets of hosts; connections stay open and carry nothing."""
        rules = {host: f"ip saddr {{ {self._listed(there)} }} drop" for host in here}
        rules |= {host: f"ip saddr {{ {self._listed(here)} }} drop" for host in there}
        with self._rules(rules):
            yield

    @contextmanager
    def lossy(self, *, percent: int) -> Iterator[None]:
        """Drop so many of a hundred packets at each host, at random."""
        rule = f"ip saddr {_NETWORK}.0/24 numgen random mod 100 < {percent} drop"
        with self._rules(dict.fromkeys(self.addresses, rule)):
            yield

    @contextmanager
    def silent(self, addresses: Collection[str], *, host: str, port: int) -> Iterator[None]:
        """Drop what other hosts send to a port at some addresses of a host; its other addresses go on."""
        to = f"ip daddr {{ {', '.join(addresses)} }} tcp dport {port}"
        rule = f"ip saddr != {OPERATOR} {to} drop"
        with self._rules({host: rule}):
            yield

    @contextmanager
    def resets(self, *, host: str, port: int) -> Iterator[None]:
        """Reset every connection to a port of a host on which another host sends something."""
        rule = f"ip saddr != {OPERATOR} tcp dport {port} reject with tcp reset"
        with self._rules({host: rule}):
            yield

    def name(self, name: str, addresses: Sequence[str], *, server: str) -> None:
        """Let a name have these addresses on all hosts, for processes that are started later.

        Each has them in a file; without it, it would ask the server, and wait for longer than any event has.
        """
        # The machine's own may know other ways.
        resolver = {
            "resolv.conf": f"nameserver {server}\noptions timeout:30 attempts:1\n",
            "nsswitch.conf": "hosts: files dns\npasswd: files\ngroup: files\n",
        }
        self._write(
            {"hosts": _LOCALHOST + "".join(f"{address} {name}\n" for address in addresses), **resolver}
        )

    @contextmanager
    def without_files(self) -> Iterator[None]:
        """Have all hosts ask the server for names."""
        with_names = {host: self._file(host, "hosts").read_text("ascii") for host in self.addresses}
        # The same files: who runs sees them in the place of the machine's own.
        self._write({"hosts": _LOCALHOST})
        try:
            yield
        finally:
            for host, text in with_names.items():
                self._file(host, "hosts").write_text(text, "ascii")

    def resolved(self, name: str, *, host: str) -> list[str]:
        """Return the addresses of a name in the order in which a host tries them."""
        told = run(*self.inside(host, "getent", "ahostsv4", name))
        return list(dict.fromkeys(line.split()[0] for line in told.splitlines()))

    def give_address(self, address: str, *, host: str) -> None:
        """Let a host answer for one more address."""
        run("ip", "-n", PREFIX + host, "address", "replace", f"{address}/24", "dev", "eth0")
        # Nobody may go on with the hardware address of its last holder.
        for name in self.addresses:
            run("ip", "-n", PREFIX + name, "neigh", "flush", "all")
        run("ip", "neigh", "flush", "dev", BRIDGE)

    def take_address(self, address: str, *, host: str) -> None:
        """Take an address from a host: nothing that is sent to it arrives there any more."""
        run("ip", "-n", PREFIX + host, "address", "del", f"{address}/24", "dev", "eth0")

    @contextmanager
    def holders(self, address: str, holders: Mapping[str, str]) -> Iterator[None]:
        """Let each of these hosts see a holder of its own of an address that several have."""
        try:
            for host, holder in holders.items():
                told = run("ip", "-n", PREFIX + holder, "-brief", "link", "show", "eth0")
                hardware = told.split()[2]
                entry = [address, "lladdr", hardware, "dev", "eth0", "nud", "permanent"]
                run("ip", "-n", PREFIX + host, "neigh", "replace", *entry)
            yield
        finally:
            for host in holders:
                run("ip", "-n", PREFIX + host, "neigh", "del", address, "dev", "eth0")

    def _start(self) -> None:
        require_hosts()
        lock = self._cleanup.enter_context(_LOCK.open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostsUnavailable("another run of the hosts is at work; wait for its end") from None
        _remove_all()
        self._cleanup.callback(_remove_all)
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{OPERATOR}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        for name, address in self.addresses.items():
            host, port = PREFIX + name, self.port(name)
            run("ip", "netns", "add", host)
            run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host)
            run("ip", "link", "set", port, "master", BRIDGE, "up")
            run("ip", "-n", host, "link", "set", "lo", "up")
            run("ip", "-n", host, "link", "set", "eth0", "up")
            run("ip", "-n", host, "address", "add", f"{address}/24", "dev", "eth0")

    @staticmethod
    def _file(host: str, name: str) -> Path:
        return _ETC / (PREFIX + host) / name

    def _write(self, files: Mapping[str, str]) -> None:
        for host in self.addresses:
            for name, text in files.items():
                path = self._file(host, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "ascii")

    def _listed(self, hosts: Collection[str]) -> str:
        return ", ".join(self.addresses[host] for host in hosts)

    @contextmanager
    def _rules(self, rules: dict[str, str]) -> Iterator[None]:
        chain = "{ type filter hook input priority 0; }"
        try:
            for host, rule in rules.items():
                script = f"add table ip {_TABLE}\nadd chain ip {_TABLE} input {chain}\n"
                script += f"add rule ip {_TABLE} input {rule}\n"
                run(*self.inside(host, "nft", "-f", "-"), stdin=script)
            yield
        finally:
            for host in rules:
                run(
                    *self.inside(host, "nft", "-f", "-"),
                    stdin=f"add table ip {_TABLE}\ndelete table ip {_TABLE}\n",
                )


def require_hosts() -> None:
    """Raise HostsUnavailable, which says what is missing, unless hosts can be built here."""
    packages = {"ip": "iproute2", "nft": "nftables", "setpriv": "util-linux"}
    missing = [package for program, package in packages.items() if shutil.which(program) is None]
    if missing:
        raise HostsUnavailable(f"apt-get install {' '.join(missing)} first, or {_HOW_TO_LEAVE_OUT}")
    if os.geteuid() != 0:
        raise HostsUnavailable(f"hosts are network namespaces and need root: {_HOW_TO_LEAVE_OUT}")
    probe = "add table ip probe\nadd chain ip probe input { type filter hook input priority 0; }\n"
    tried = ["unshare", "--net", "nft", "-f", "-"]
    try:
        run(*tried, stdin=probe + "add rule ip probe input ip saddr 10.77.7.9 drop\n")
    except CommandFailed as error:
        raise HostsUnavailable(
            f"no network namespace with nftables here ({error}): {_HOW_TO_LEAVE_OUT}"
        ) from None


def run(*argv: str, stdin: str = "") -> str:
    """Run a command to its end and return what it printed; raises CommandFailed."""
    try:
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, input=stdin, timeout=_COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"not within {_COMMAND_SECONDS:g} s: {' '.join(argv)}") from None
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _remove_all() -> None:
    for directory in _ETC.glob(f"{PREFIX}*"):
        shutil.rmtree(directory)
    for line in run("ip", "netns", "list").splitlines():
        if line.startswith(PREFIX):
            run("ip", "netns", "del", line.split()[0])
    # A namespace goes when the last socket in it has gone; its cable must not wait for that.
    for line in run("ip", "-brief", "link", "show", "type", "veth").splitlines():
        if line.startswith(PREFIX):
            with suppress(CommandFailed):  # it went with its namespace just now
                run("ip", "link", "del", line.split("@")[0])
    if BRIDGE in run("ip", "-brief", "link", "show", "type", "bridge"):
        run("ip", "link", "del", BRIDGE)
