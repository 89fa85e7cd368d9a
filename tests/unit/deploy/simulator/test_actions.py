"""Scripts of the simulated BETCORE."""

import pytest

from deploy.local.simulator.actions import OK, Action, Scripts, parse_action
from deploy.local.simulator.errors import UnknownAction


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("ok", Action("ok")),
        ("503*", Action("503", repeats=True)),
        ("slow:2.5", Action("slow", seconds=2.5)),
        ("503*2.5", Action("503", repeats=True, for_seconds=2.5)),
        ("slow:2*30", Action("slow", seconds=2, repeats=True, for_seconds=30)),
        ("slow:0*", Action("slow", repeats=True)),
        ("102823", Action("102823")),
    ],
)
def test_an_action_is_read_from_its_text(text: str, action: Action) -> None:
    assert parse_action(text) == action


@pytest.mark.parametrize(
    "text",
    [
        "",
        "explode",
        "slow",
        "slow:",
        "slow:x",
        "slow:-1",
        "slow:nan",
        "slow:601",
        "ok:1",
        "*",
        "ok**",
        "ok*x",
        "ok*-1",
        "OK",
    ],
)
def test_what_is_no_action_is_refused(text: str) -> None:
    with pytest.raises(UnknownAction):
        parse_action(text)


@pytest.mark.parametrize("text", ["401", "lost", "102823", "103752"])
def test_actions_of_accept_are_none_of_other_endpoints(text: str) -> None:
    with pytest.raises(UnknownAction):
        parse_action(text, for_accept=False)


def test_a_script_is_used_up_and_the_default_goes_on() -> None:
    scripts = Scripts()
    scripts.set((480, 1), [Action("500"), Action("drop")])

    assert [scripts.take((480, 1)).name for _ in range(3)] == ["500", "drop", "ok"]
    assert scripts.take((481, 1)) is OK


def test_a_repeating_action_keeps_what_comes_after_it_from_happening() -> None:
    scripts = Scripts()
    scripts.set((480, 1), [Action("500"), Action("503", repeats=True), Action("ok")])

    assert [scripts.take((480, 1)).name for _ in range(4)] == ["500", "503", "503", "503"]


def test_one_that_repeats_for_some_time_gives_way_to_what_comes_after_it() -> None:
    now = [100.0]
    scripts = Scripts(lambda: now[0])
    scripts.set((480, 1), [Action("503", repeats=True, for_seconds=30), Action("500")])

    taken = []
    for seconds in (0, 20, 9.9, 0.1, 0):
        now[0] += seconds
        taken.append(scripts.take((480, 1)).name)

    assert taken == ["503", "503", "503", "500", "ok"]


def test_a_new_script_replaces_the_old_one() -> None:
    scripts = Scripts()
    scripts.set((480, 1), [Action("503", repeats=True)])
    scripts.set((480, 1), [])

    assert scripts.take((480, 1)) is OK
