"""Whose requests they are, and whether makes may come from there. Decision 40."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from starlette.types import Scope

from producer.shared.addresses import (
    Network,
    client_address,
    hops_of_forwarded,
    hops_of_x_forwarded_for,
    is_among,
    read_address,
    source_of,
)

_KEPT: Final = 4_096
# Longer ones are read anew each time: what is kept stays small.
_MAX_KEPT_CHARS: Final = 256
_READ: Final = {"x-forwarded-for": hops_of_x_forwarded_for, "forwarded": hops_of_forwarded}


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends: `source` is what is counted as one, which of IPv6 is a network."""

    address: str
    source: str
    is_allowed: bool


class Clients:
    """Tells whose request one is.

    Of those that come from one of `proxies` it is what their header `header` says, in lower case. `allowed`
    are the networks that makes may come from, None: all.
    """

    def __init__(
        self, *, proxies: Sequence[Network], header: str, allowed: Sequence[Network] | None = None
    ) -> None:
        self.are_restricted = allowed is not None
        self._proxies = proxies
        self._header = header.encode("ascii")
        self._hops_of = _READ[header]
        self._allowed = allowed
        self._known = lru_cache(maxsize=_KEPT)(self._read)

    def of(self, scope: Scope) -> Client:
        """Return whose request this is."""
        peer = scope["client"][0] if scope.get("client") else ""
        said = self._said(scope) if self._proxies else ""
        return (self._known if len(said) <= _MAX_KEPT_CHARS else self._read)(peer, said)

    def _said(self, scope: Scope) -> str:
        values = [value for name, value in scope["headers"] if name == self._header]
        return b",".join(values).decode("latin-1")

    def _read(self, peer: str, said: str) -> Client:
        try:
            address = read_address(peer)
        except ValueError:
            return Client(peer, peer, is_allowed=not self.are_restricted)
        if self._proxies:
            address = client_address(address, self._hops_of(said), self._proxies)
        is_allowed = self._allowed is None or is_among(address, self._allowed)
        return Client(str(address), source_of(address), is_allowed)
