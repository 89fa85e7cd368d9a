"""One short line about an event, for logs and for Flower: never a token, never a whole user."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

_BRIEF_CHARS: Final = 32
_BRIEF_BITS: Final = 100
# What is shown as it is: printable ASCII without = and short. It is nearly all that ever comes.
_BRIEF: Final = re.compile(rf"[!-<>-~]{{0,{_BRIEF_CHARS}}}")
_MASK_SHOWS_CHARS: Final = 2
# What `summary_of` writes: short values, and a user that is masked.
_VALUE: Final = rf"[!-<>-~]{{0,{_BRIEF_CHARS + len('...')}}}"
_MASK: Final = rf"[!-<>-~]{{{_MASK_SHOWS_CHARS}}}\*\*\*[!-<>-~]{{{_MASK_SHOWS_CHARS}}}"
_SUMMARY: Final = re.compile(
    rf"CashbackId={_VALUE} type={_VALUE} amount={_VALUE} user=(?:-|\?|\*\*\*|{_MASK})"
)


def summary_of(data: Mapping[str, Any]) -> str:
    """Describe an event in one short line of printable ASCII, for logs and for Flower.

    Takes whatever the data holds, never raises, and masks the user. It never shows the token.
    """
    return (
        f"CashbackId={_brief(data.get('CashbackId'))} type={_brief(data.get('TransactionType'))} "
        f"amount={_brief(data.get('Amount'))} user={_masked(data.get('PartnerUserId'))}"
    )


def is_summary(text: object) -> bool:
    """Whether `text` could be of `summary_of`, and so may be shown; whether it is true is not said."""
    return isinstance(text, str) and _SUMMARY.fullmatch(text) is not None


def _brief(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return "?"
    # Python refuses to write very long integers, and such a number says nothing to a reader.
    if isinstance(value, int) and value.bit_length() > _BRIEF_BITS:
        return "?"
    text = value if isinstance(value, str) else str(value)
    if _BRIEF.fullmatch(text):
        return text
    # Spaces and = go too: a value must not be able to look like another field.
    clean = "".join(
        character if "!" <= character <= "~" and character != "=" else "?"
        for character in text[: _BRIEF_CHARS + 1]
    )
    return clean if len(clean) <= _BRIEF_CHARS else f"{clean[:_BRIEF_CHARS]}..."


def _masked(value: object) -> str:
    text = _brief(value)
    if text in {"-", "?"}:
        return text
    shown = _MASK_SHOWS_CHARS
    return f"{text[:shown]}***{text[-shown:]}" if len(text) > 2 * shown + 1 else "***"
