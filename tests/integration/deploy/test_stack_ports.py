"""The stack's ports: fixed ones, so that a bookmark holds, and others where those are taken."""

import socket
from contextlib import closing

import pytest

from deploy.local.ports import free_port
from deploy.local.stack.ports import SERVICES, choose_ports, is_taken

LOOPBACK = (socket.AF_INET, "127.0.0.1")
PLACES = [LOOPBACK, (socket.AF_INET, ""), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")]


@pytest.fixture
def first_port() -> int:
    """Return the first of as many ports in a row as the stack has processes."""
    port = free_port()
    while any(is_taken(port + place) for place in range(len(SERVICES))):
        port = free_port()
    return port


def listening(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    return listener


def test_they_are_the_same_each_time(first_port: int) -> None:
    ports = choose_ports(first_port)

    assert [port.number for port in ports.values()] == list(range(first_port, first_port + len(SERVICES)))
    assert [port.instead for port in ports.values() if port.instead] == []


@pytest.mark.parametrize(("family", "address"), PLACES)
def test_where_one_is_taken_another_is_named_and_why(
    first_port: int, family: socket.AddressFamily, address: str
) -> None:
    with closing(listening(family, address, first_port + 2)):
        ports = choose_ports(first_port)

    moved = ports["flower"]
    assert moved.number not in range(first_port, first_port + len(SERVICES))
    assert moved.instead is not None
    assert moved.instead.startswith(f"Port {first_port + 2} is taken by ")
    assert moved.instead.endswith(f"flower is on {moved.number} this time")
    assert [name for name, port in ports.items() if port.instead] == ["flower"]


def test_connections_of_the_last_run_that_are_still_being_closed_take_none(first_port: int) -> None:
    with closing(listening(*LOOPBACK, first_port)) as listener:
        client = socket.create_connection(("127.0.0.1", first_port))
        accepted, _ = listener.accept()
        # Who closes first keeps the port in TIME_WAIT.
        accepted.close()
        client.close()

    assert not is_taken(first_port)


def test_without_a_first_one_any_that_are_free_are_taken() -> None:
    numbers = [port.number for port in choose_ports(None).values()]

    assert len(set(numbers)) == len(SERVICES)
