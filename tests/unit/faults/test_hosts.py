"""Hosts: what is missing for them is said, never skipped, and every scenario says what it does."""

from pathlib import Path

import pytest

from tests.faults.hosts.catalogue import LONG_ONLY, SCENARIOS
from tests.faults.hosts.errors import HostsUnavailable
from tests.faults.hosts.network import Network, require_hosts


def test_what_is_missing_is_named_with_the_way_to_leave_hosts_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given a machine without the programs that build hosts
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(HostsUnavailable) as raised:
        require_hosts()

    said = str(raised.value)
    assert "apt-get install iproute2 nftables util-linux" in said
    assert "`make faults` alone" in said
    assert "CASHBACK_CI_WITHOUT=faults-hosts" in said
    assert "\n" not in said


def test_every_host_has_an_address_of_its_own() -> None:
    network = Network(["a", "b", "c"])

    assert len(set(network.addresses.values())) == 3


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_does(name: str) -> None:
    assert (SCENARIOS[name].__doc__ or "").endswith(".")


def test_what_only_the_long_form_runs_is_in_the_catalogue() -> None:
    assert SCENARIOS.keys() > LONG_ONLY
