"""Hosts: what is missing for them is said, never skipped, and every scenario says what it does."""

from pathlib import Path

import pytest

from tests.faults.hosts.catalogue import LONG_ONLY, SCENARIOS
from tests.faults.hosts.errors import HostsUnavailable
from tests.faults.hosts.name_server import answer_to
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


@pytest.mark.parametrize(
    ("name", "kind", "flags", "addresses"),
    [
        (b"betcore", 1, b"\x81\x80", [b"\x0a\x01\x01\x01", b"\x0a\x01\x01\x02"]),
        (b"BetCore", 1, b"\x81\x80", [b"\x0a\x01\x01\x01", b"\x0a\x01\x01\x02"]),
        # It has none of IPv6, which is something else than having no such name.
        (b"betcore", 28, b"\x81\x80", []),
        (b"another", 1, b"\x81\x83", []),
    ],
)
def test_the_server_of_names_tells_what_it_knows(
    name: bytes, kind: int, flags: bytes, addresses: list[bytes]
) -> None:
    asked = b"\x07" + name + b"\x04test\x00" + bytes([0, kind, 0, 1])
    question = b"\x12\x34\x01\x00" + bytes([0, 1, 0, 0, 0, 0, 0, 0]) + asked

    answer = answer_to(question, {b"betcore.test": ["10.1.1.1", "10.1.1.2"]})

    records = b"".join(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04" + each for each in addresses)
    assert answer == b"\x12\x34" + flags + bytes([0, 1, 0, len(addresses), 0, 0, 0, 0]) + asked + records


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_does(name: str) -> None:
    assert (SCENARIOS[name].__doc__ or "").endswith(".")


def test_what_only_the_long_form_runs_is_in_the_catalogue() -> None:
    assert SCENARIOS.keys() > LONG_ONLY
