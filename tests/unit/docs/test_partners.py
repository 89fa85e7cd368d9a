"""docs/partners.md has the slips that a worker is tried with and no others, and the figures of the code."""

import re
from collections import Counter

from cashback_client.contract import QUEUE, TASK_NAME, SettleMessage
from cashback_client.envelope import EntryWriter
from deploy.local.environment import ROOT
from producer.receiver.events.models import MAX_EVENTS, MAX_EVENTS_BODY_BYTES
from producer.shared.settings.receiver import ReceiverSettings
from tests.support.slips import BEGIN, END, SLIPS, tables

PAPER = ROOT / "docs" / "partners.md"


def test_the_paper_has_the_slips_that_are_tried() -> None:
    # `python -m tests.support.slips` prints them.
    _, _, rest = PAPER.read_text("utf-8").partition(BEGIN)
    found, end, _ = rest.partition(END)

    assert end
    assert found == tables()


def test_each_slip_is_told_once_and_in_one_line() -> None:
    assert len(SLIPS) >= 60
    assert [what for what, times in Counter(slip.what for slip in SLIPS).items() if times > 1] == []
    assert [slip.what for slip in SLIPS if len(re.findall(r"(?<!\\)\|", slip.row())) != 4] == []


def test_the_entry_in_the_paper_is_the_one_that_this_program_writes() -> None:
    text = PAPER.read_text("utf-8")
    message = SettleMessage(token="eyJ.eyJ.sig", received_at_ms=1_795_386_237_585)
    entry = EntryWriter(origin="x", sender="x").entry(message, event_id=message.event_id, summary="")

    for name in re.findall(rb'"([a-z_-]+)": ', entry):
        if name.decode() in {
            "body",
            "body_encoding",
            "content-encoding",
            "content-type",
            "headers",
            "properties",
            "id",
            "task",
        }:
            assert f'"{name.decode()}"' in text
    assert f"LPUSH {QUEUE}" in text
    assert TASK_NAME in text


def test_the_times_in_the_paper_are_those_of_the_settings() -> None:
    fields = ReceiverSettings.model_fields
    deadline, reserve, leeway = (
        fields[name].default
        for name in ("deadline_seconds", "answer_reserve_seconds", "token_leeway_seconds")
    )
    text = PAPER.read_text("utf-8")

    assert f"| {deadline:g} s from there |" in text
    assert f"in the first {deadline - reserve:g} s alone" in text
    assert f"give or take {leeway:g} s" in text
    assert f"`version`, {SettleMessage.model_fields['version'].default} today" in text


def test_the_quotas_in_the_paper_are_those_of_the_code() -> None:
    fields = ReceiverSettings.model_fields
    per_second, at_once = (
        fields[name].default for name in ("partner_events_per_second", "partner_requests_at_once")
    )
    text = PAPER.read_text("utf-8")

    assert f"1 to {MAX_EVENTS:,} events a request, in {MAX_EVENTS_BODY_BYTES:,} bytes" in text
    assert f"receiver process: {per_second:g} (`CASHBACK_PARTNER_EVENTS_PER_SECOND`)" in text
    assert f"half of {at_once} (`CASHBACK_PARTNER_REQUESTS_AT_ONCE`)" in text
