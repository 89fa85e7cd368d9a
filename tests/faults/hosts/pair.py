"""PostgreSQL on two hosts: a primary, its standby, and the address that goes from one to the other."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from deploy.local.postgres import DATABASE
from tests.faults.hosts.network import DATABASE_ADDRESS, Network
from tests.faults.hosts.servers import HostPostgres


class PostgresPair:
    """Two servers: `primary` is the one that counts, and its standby is synchronous unless told otherwise."""

    def __init__(self, network: Network, first: HostPostgres, second: HostPostgres) -> None:
        self._network = network
        self.primary, self.standby = first, second

    def start(self) -> None:
        """Make the database on the primary, which gets the address, and start its standby."""
        self.primary.wait_ready()
        self.primary.execute(f"CREATE DATABASE {DATABASE}", database="postgres")
        self._network.give_address(DATABASE_ADDRESS, host=self.primary.host)
        self.rejoin()

    def stop(self) -> None:
        """Stop both in good order."""
        for server in (self.standby, self.primary):
            server.stop()

    def rejoin(self) -> None:
        """Start what was the primary anew as a synchronous standby."""
        self.standby.launch_standby_of(self.primary)
        self.standby.wait_ready()
        self._wait_for_standby(self.standby.host)

    def go_asynchronous(self) -> None:
        """Let no commit wait for the standby any more, until it is made anew."""
        self._wait_for_standby("")

    def fail_over(self) -> None:
        """Fence the primary off, promote its standby, and let that one have the address."""
        self._network.take_address(DATABASE_ADDRESS, host=self.primary.host)
        self._promote()
        self._network.give_address(DATABASE_ADDRESS, host=self.primary.host)

    @contextmanager
    def split(self, hosts: Collection[str], *, keep: Collection[str]) -> Iterator[None]:
        """Promote the standby; those that `keep` the old primary see that one, until it is fenced off."""
        old, new = self.primary.host, self.standby.host
        self._promote()
        holders = {host: old if host in keep else new for host in hosts}
        with self._network.holders(DATABASE_ADDRESS, holders):
            self._network.give_address(DATABASE_ADDRESS, host=new)
            try:
                yield
            finally:
                self._network.take_address(DATABASE_ADDRESS, host=old)

    def _promote(self) -> None:
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def _wait_for_standby(self, names: str) -> None:
        self.primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.primary.execute("SELECT pg_reload_conf()")
