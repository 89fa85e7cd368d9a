"""Settings that name networks: addresses and networks, separated by commas."""

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from producer.shared.addresses import Network, read_networks


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return read_networks(value)
    except ValueError as error:
        raise ValueError(f"must be addresses and networks, separated by commas: {error}") from None


Networks = Annotated[tuple[Network, ...] | None, NoDecode, BeforeValidator(_networks)]
