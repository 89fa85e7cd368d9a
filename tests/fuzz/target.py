"""One entry point for bytes of others, and what is demanded of it whatever they are."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An entry point: `check` gives it one input, and raises where it does not do what it says.

    An input is `chosen` bytes that choose something (a status, an encoding), and what the other side sends.
    `seeds` are inputs that lead far in; `words` are pieces that mean something there, and `names` members of
    its JSON. The kept inputs of `tests/fuzz/cases` are seeds, too. A case that takes longer has a smaller
    `share` of all of them.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()
    chosen: int = 0
    share: int = 4
    max_bytes: int = 4_096


NOTHING: Final = object()
"""What is no JSON, or names a member twice."""


def unambiguous(text: str | bytes) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON that `text` is, each number as ("number", its text); NOTHING where it is none.

    Nothing is rounded and nothing is too large, so it is what the program's own reading is held against.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        return _DECODER.decode(decoded)
    except (ValueError, RecursionError):
        return NOTHING


def text_of(data: bytes) -> str:
    """Return any text: what is no UTF-8 becomes lone surrogates, which JSON can hold, too."""
    return data.decode("utf-8", "surrogateescape")


def demand_named(error: Exception) -> None:
    """Demand that a refusal says what happened."""
    assert str(error)


def _number(text: str) -> tuple[str, str]:
    return ("number", text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


_DECODER: Final = json.JSONDecoder(parse_float=_number, parse_int=_number, object_pairs_hook=_members)
