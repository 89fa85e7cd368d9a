"""A port is listened on over both families, and over IPv4 alone where the machine has no IPv6."""

import errno
import socket

import pytest

from producer.shared.listening import listen


def reaches(family: socket.AddressFamily, address: str, port: int) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(60)
        try:
            client.connect((address, port))
        except OSError:
            return False
        return True


def test_both_families_are_listened_on() -> None:
    with listen(0, backlog=4) as listener:
        port = listener.getsockname()[1]

        assert reaches(socket.AF_INET, "127.0.0.1", port)
        assert reaches(socket.AF_INET6, "::1", port)


@pytest.mark.parametrize("refusal", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_ipv4_alone_is_listened_on_where_ipv6_is_off(monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    real = socket.socket

    def without_ipv6(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(refusal, "no IPv6")
        return real(family, kind)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", without_ipv6)
        listener = listen(0, backlog=4)
    with listener:
        port = listener.getsockname()[1]

        assert reaches(socket.AF_INET, "127.0.0.1", port)


def test_a_port_that_is_taken_is_an_error_and_not_a_reason_for_one_family() -> None:
    with listen(0, backlog=4) as listener:
        with pytest.raises(OSError, match="in use") as caught:
            listen(listener.getsockname()[1], backlog=4)

        assert caught.value.errno == errno.EADDRINUSE
