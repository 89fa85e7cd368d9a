"""Which copies a make waits for, and what becomes of the others. The clock is a virtual one."""

import asyncio

import pytest
from structlog.testing import capture_logs

from producer.copies.errors import CopyFailed, ServerUnreachable
from producer.receiver.metrics import MESSAGE, RECEIPT
from tests.support.copies import TIMEOUT_SECONDS
from tests.support.two_copies import AT_ONCE_SECONDS, KINDS, UNTIL_IT_IS_FOUND_SECONDS, Scene, other, scene


def test_a_make_has_both_copies_and_leaves_nothing_behind() -> None:
    async def work(made: Scene) -> None:
        tasks = len(asyncio.all_tasks())
        assert [await made.is_quick(number) for number in range(3)] == [True] * 3
        assert [store.numbers for store in made.stores.values()] == [[0, 1, 2]] * 2
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == tasks

    scene(work)


@pytest.mark.parametrize("kind", KINDS)
def test_only_makes_before_the_first_time_out_wait_for_a_silent_server(kind: str) -> None:
    async def work(made: Scene) -> None:
        made.stores[kind].is_there = False
        under_way = []
        for number in range(19):
            under_way.append(asyncio.create_task(made.make(number)))
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.2)

        # When the first one's time is up all are answered, and none waits its own whole time.
        assert all(each.done() for each in under_way)
        assert [each.result()[0] for each in under_way] == [True] * 19
        for number in range(100, 150):
            assert await made.is_quick(number)
        assert made.metric("cashback_copies_total", kind=kind, result="put_off") == 50
        assert made.metric("cashback_copy_away", kind=kind) == 1
        assert made.metric("cashback_copy_away", kind=other(kind)) == 0

    scene(work)


def test_receipts_follow_by_themselves_once_postgresql_is_back() -> None:
    async def work(made: Scene) -> None:
        await made.lose(RECEIPT)
        for number in range(120):
            await made.make(number)
        await asyncio.sleep(5)
        assert made.metric("cashback_late_receipts_waiting") == 121
        made.stores[RECEIPT].is_there = True
        await asyncio.sleep(UNTIL_IT_IS_FOUND_SECONDS)

        assert sorted(made.stores[RECEIPT].numbers) == [-1, *range(120)]
        assert not made.copies.is_away(RECEIPT)
        assert made.metric("cashback_late_receipts_total", result="recorded") == 121
        assert made.metric("cashback_late_receipts_waiting") == 0
        assert await made.is_quick(500)
        assert made.stores[RECEIPT].numbers[-1] == 500

    scene(work)


def test_redis_is_found_again_by_itself_and_no_message_is_made_late() -> None:
    async def work(made: Scene) -> None:
        await made.lose(MESSAGE)
        for number in range(20):
            await made.make(number)
        made.stores[MESSAGE].is_there = True
        await asyncio.sleep(UNTIL_IT_IS_FOUND_SECONDS)

        assert not made.copies.is_away(MESSAGE)
        assert made.stores[MESSAGE].numbers == []
        assert await made.is_quick(500)
        assert made.stores[MESSAGE].numbers == [500]
        assert len(made.stores[RECEIPT].numbers) == 22

    scene(work)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("refusal", [CopyFailed("full"), ServerUnreachable("refused"), None])
def test_where_the_other_copy_fails_too_the_away_one_is_tried(kind: str, refusal: CopyFailed | None) -> None:
    async def work(made: Scene) -> None:
        await made.lose(kind)
        # Its server is back, which nobody knows yet.
        made.stores[kind].is_there = True
        made.stores[other(kind)].refuses = refusal
        made.stores[other(kind)].is_there = refusal is not None

        is_certain, took_seconds = await made.make(1)

        assert is_certain
        assert took_seconds <= TIMEOUT_SECONDS + AT_ONCE_SECONDS
        assert 1 in made.stores[kind].numbers
        assert not made.copies.is_away(kind)

    scene(work)


@pytest.mark.parametrize("kind", KINDS)
def test_no_make_is_certain_without_a_copy_or_waits_beyond_its_time(kind: str) -> None:
    async def work(made: Scene) -> None:
        await made.lose(kind)
        made.stores[other(kind)].is_there = False

        for number in range(5):
            is_certain, took_seconds = await made.make(number)
            assert not is_certain
            assert took_seconds <= TIMEOUT_SECONDS + AT_ONCE_SECONDS

        assert made.metric("cashback_late_receipts_waiting") == (1 if kind == RECEIPT else 0)

    scene(work)


def test_with_both_away_a_make_still_tries_both() -> None:
    async def work(made: Scene) -> None:
        for kind in KINDS:
            made.stores[kind].is_there = False
        assert (await made.make(1))[0] is False
        assert all(made.copies.is_away(kind) for kind in KINDS)
        groups = {kind: len(made.stores[kind].groups) for kind in KINDS}

        assert (await made.make(2))[0] is False

        for kind in KINDS:
            assert any(2 in group for group in made.stores[kind].groups[groups[kind] :])

    scene(work)


@pytest.mark.parametrize("kind", KINDS)
def test_with_both_away_either_one_that_is_back_is_enough(kind: str) -> None:
    async def work(made: Scene) -> None:
        for store in made.stores.values():
            store.is_there = False
        await made.make(1)
        made.stores[kind].is_there = True

        assert await made.is_quick(2)

        assert not made.copies.is_away(kind)
        assert made.copies.is_away(other(kind))

    scene(work)


def test_with_both_away_both_are_found_again_without_a_make() -> None:
    async def work(made: Scene) -> None:
        for kind in KINDS:
            made.stores[kind].is_there = False
        await made.make(1)
        for kind in KINDS:
            made.stores[kind].is_there = True
        await asyncio.sleep(UNTIL_IT_IS_FOUND_SECONDS)

        assert not any(made.copies.is_away(kind) for kind in KINDS)

    scene(work)


def test_a_receipt_that_failed_alone_follows_too_and_nobody_is_taken_for_away() -> None:
    async def work(made: Scene) -> None:
        made.stores[RECEIPT].spoilt = frozenset({1})
        assert (await made.make(1))[0] is True
        assert not made.copies.is_away(RECEIPT)
        made.stores[RECEIPT].spoilt = frozenset()
        await asyncio.sleep(1)

        assert made.stores[RECEIPT].numbers == [1]

    scene(work)


def test_the_receipt_of_a_make_that_was_refused_is_not_made_late() -> None:
    async def work(made: Scene) -> None:
        for kind in KINDS:
            made.stores[kind].refuses = CopyFailed("full")
        assert (await made.make(1))[0] is False
        made.stores[RECEIPT].refuses = None
        await asyncio.sleep(10)

        assert made.stores[RECEIPT].numbers == []

    scene(work)


def test_an_outage_is_one_line_when_it_begins_and_one_when_it_ends() -> None:
    async def work(made: Scene) -> None:
        await made.lose(RECEIPT)
        with capture_logs() as during:
            for number in range(50):
                await made.make(number)
        assert during == []
        made.stores[RECEIPT].is_there = True
        await asyncio.sleep(UNTIL_IT_IS_FOUND_SECONDS)

    with capture_logs() as lines:
        scene(work)

    assert sorted(line["event"] for line in lines) == [
        "copy_away",
        "copy_back",
        "copy_failed",
        "late_receipts_recorded",
    ]


def test_copies_that_fail_while_their_server_is_there_are_told_in_few_lines() -> None:
    async def work(made: Scene) -> None:
        made.stores[MESSAGE].refuses = CopyFailed("refused")
        for number in range(50):
            await made.make(number)

    with capture_logs() as lines:
        scene(work)

    told = [line for line in lines if line["event"] == "copy_failed"]
    assert len(told) < 50
    assert (told[0]["events"], told[0]["reason"], len(told[0]["event_ids"])) == (1, "copy_failed", 1)


def test_the_end_waits_for_copies_under_way_and_then_tries_late_receipts_once_more() -> None:
    async def work(made: Scene) -> None:
        await made.lose(RECEIPT)
        made.stores[RECEIPT].is_there = True

        await made.copies.close(timeout_seconds=TIMEOUT_SECONDS + 2)

        assert made.stores[RECEIPT].numbers == [-1]

    scene(work)


def test_the_end_comes_in_its_time_though_a_server_is_away() -> None:
    async def work(made: Scene) -> None:
        await made.lose(RECEIPT)
        started = asyncio.get_running_loop().time()

        await made.copies.close(timeout_seconds=TIMEOUT_SECONDS + 2)

        assert asyncio.get_running_loop().time() - started <= TIMEOUT_SECONDS + 2
        assert made.metric("cashback_late_receipts_total", result="stopped") == 1

    scene(work)
