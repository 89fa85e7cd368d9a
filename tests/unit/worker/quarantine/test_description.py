"""What is written down about a quarantined message: short, without the token, the same for every delivery."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.betcore import signer
from worker.quarantine.description import Description, describe_bytes, describe_envelope, printable

TOKEN = signer(1).token(at=1_800_000_000)


def described(envelope: dict[str, Any], **changes: Any) -> Description:  # noqa: ANN401 - the arguments
    arguments = {"reason": "unknown_task", "detail": "", "queue": "cashback"} | changes
    return describe_envelope(envelope, message=b"as it was", **arguments)


def envelope(**headers: object) -> dict[str, Any]:
    return {
        "body": "W10=",
        "headers": {"task": "t", "id": "1"} | headers,
        "properties": {"delivery_tag": "1"},
    }


@pytest.mark.parametrize(
    "text", [TOKEN, f"x{TOKEN}y", TOKEN.rpartition(".")[0], TOKEN[:60], f"{{'t': '{TOKEN}'}}"]
)
def test_no_part_of_a_token_is_left_in_a_text(text: str) -> None:
    shown = printable(text)

    assert "(token)" in shown
    for part in TOKEN.split("."):
        assert part[:20] not in shown


@given(st.text())
def test_any_text_becomes_one_short_line_that_every_column_takes(text: str) -> None:
    shown = printable(text)

    assert len(shown) <= 203
    assert shown.isprintable()
    shown.encode("utf-8")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_headers_are_shown_as_json_that_postgresql_takes(value: object) -> None:
    shown = json.dumps(described(envelope(x=value)).headers, allow_nan=False, ensure_ascii=False)

    assert "\\u0000" not in shown
    shown.encode("utf-8")


def test_many_and_long_headers_are_cut() -> None:
    shown = described(envelope(**{f"h{number}": "x" * 10_000 for number in range(1_000)})).headers

    assert len(json.dumps(shown)) < 20_000


def test_arguments_are_not_shown() -> None:
    shown = described(envelope(argsrepr="secret", kwargsrepr="secret", lang="py")).headers

    assert shown == {"task": "t", "id": "1", "lang": "py"}


def test_a_second_delivery_has_the_digest_of_the_first() -> None:
    first = envelope()
    second = envelope(redelivered=True) | {
        "properties": {"delivery_tag": "2", "delivery_info": {"exchange": "", "routing_key": "q"}}
    }

    assert described(first).digest == described(second).digest


@pytest.mark.parametrize(
    "other",
    [
        described(envelope(), reason="invalid_task"),
        described(envelope(), queue="cashback.retry"),
        described(envelope(id="2")),
        described(envelope() | {"body": "W11="}),
    ],
)
def test_another_message_reason_or_queue_has_another_digest(other: Description) -> None:
    assert other.digest != described(envelope()).digest


def test_the_parts_of_a_digest_do_not_run_into_each_other() -> None:
    digests = {
        describe_bytes(b"c", reason="ab", detail="", queue="x").digest,
        describe_bytes(b"xc", reason="ab", detail="", queue="").digest,
        describe_bytes(b"c", reason="a", detail="", queue="bx").digest,
    }

    assert len(digests) == 3
