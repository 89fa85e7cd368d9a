"""What Hypothesis makes of a target: its seeds with edits, JSON of its names, and any bytes."""

import json
from collections.abc import Iterable

from hypothesis import strategies as st

from tests.fuzz.target import Target

Edit = tuple[int, int, bytes]

_MAX_EDITS = 6
_NUMBERS = st.one_of(
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,22})?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "NaN", "-Infinity", "01", "1.", "9" * 4_301, "1e9999999999999999999"]),
)
_TEXTS = st.one_of(
    st.text(max_size=20).map(json.dumps),
    _NUMBERS.map(lambda number: f'"{number}"'),
    st.sampled_from([r'"\ud800"', r'"\u0000"', '"\t"', r'"\x"', '"open', '"' + "x" * 300 + '"']),
)
_LEAVES = st.one_of(st.sampled_from(["null", "true", "false", "[]", "{}", ""]), _NUMBERS, _TEXTS)


def edited(seed: bytes, edits: Iterable[Edit]) -> bytes:
    """Return a seed in which pieces are replaced: at a place, so many bytes, by others."""
    for place, cut, piece in edits:
        start = place % (len(seed) + 1)
        seed = seed[:start] + piece + seed[start + cut :]
    return seed


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Return the inputs of a target."""
    pieces = st.one_of(st.sampled_from((b"", *target.words)), st.binary(max_size=8))
    edits = st.lists(
        st.tuples(st.integers(0, target.max_bytes), st.integers(0, 12), pieces), max_size=_MAX_EDITS
    )
    made = [
        st.binary(max_size=200),
        st.builds(edited, st.just(b""), edits),
        st.builds(edited, st.sampled_from(target.seeds), edits),
    ]
    if target.names:
        choices = st.binary(min_size=target.chosen, max_size=target.chosen)
        made.append(st.builds(lambda chosen, text: chosen + text, choices, _documents(target.names)))
    return st.one_of(made)


def _documents(names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    name = st.sampled_from(names).map(json.dumps)
    values = st.recursive(
        _LEAVES,
        lambda inside: st.one_of(
            st.lists(inside, max_size=3).map(lambda members: f"[{','.join(members)}]"),
            st.lists(st.tuples(name, inside), max_size=3).map(_object),
            st.tuples(st.integers(1, 2_000), inside).map(
                lambda deep: "[" * deep[0] + deep[1] + "]" * deep[0]
            ),
        ),
        max_leaves=6,
    )
    documents = st.one_of(st.lists(st.tuples(name, values), max_size=6).map(_object), values)
    return documents.map(lambda text: text.encode("utf-8", "surrogatepass"))


def _object(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{name}:{value}" for name, value in members) + "}"
