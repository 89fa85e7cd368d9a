"""Settings that name partner services: names and weights, separated by commas."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from cashback_client.contract import OWN_PRODUCER, PRODUCER_NAME

MAX_PARTNERS: Final = 32
"""Each is a list that every take looks at, and a label of metrics."""
MAX_WEIGHT: Final = 100


def read_partners(text: str) -> dict[str, int]:
    """Return the weight of each partner that `edge,mobile:2` names; raises ValueError with what is wrong."""
    partners: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, weight = part.partition(":")
        if not PRODUCER_NAME.fullmatch(name):
            raise ValueError(
                f"{name[:40]!r} is no producer's name: small letters, digits and inner hyphens, at most 32"
            )
        if name == OWN_PRODUCER:
            raise ValueError(f"{name!r} is our own receiver, and no partner: it has CASHBACK_OWN_WEIGHT")
        if name in partners:
            raise ValueError(f"{name!r} is named twice")
        partners[name] = _weight(weight, of=name) if colon else 1
    if len(partners) > MAX_PARTNERS:
        raise ValueError(f"names {len(partners)} partners, and {MAX_PARTNERS} is the most that are served")
    return partners


def _weight(text: str, *, of: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_WEIGHT))):
        raise ValueError(f"the weight of {of!r} is {text[:40]!r}: it is a whole number, 1 to {MAX_WEIGHT}")
    weight = int(text)
    if not 1 <= weight <= MAX_WEIGHT:
        raise ValueError(f"the weight of {of!r} is {weight}: it is 1 to {MAX_WEIGHT}")
    return weight


def _partners(value: object) -> object:
    return read_partners(value) if isinstance(value, str) else value


Partners = Annotated[Mapping[str, int], NoDecode, BeforeValidator(_partners)]
