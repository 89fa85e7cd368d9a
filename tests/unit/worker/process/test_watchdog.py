"""Threads that have died are named, with what they died of; those that are ended by the worker are not."""

import threading
from collections.abc import Callable

import pytest

from worker.process import watchdog
from worker.process.watchdog import Watchdog

END_SECONDS = 120.0


def thread(name: str, run: Callable[[], object]) -> threading.Thread:
    started = threading.Thread(target=run, name=name, daemon=True)
    started.start()
    return started


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.01)


def test_a_thread_that_died_is_named_with_its_error() -> None:
    told, is_told = list[str](), threading.Event()
    hook_before = threading.excepthook

    def dies() -> None:
        raise ValueError("a\nsurprise")

    def tell(sentence: str) -> None:
        told.append(sentence)
        is_told.set()

    dog = Watchdog(on_death=tell)
    dog.start()
    thread("marks", dies).join()
    dog.expect("marks", threading.main_thread().name)

    assert is_told.wait(END_SECONDS)
    dog.close()
    assert dog.missing() == ["marks"]
    assert told[0].startswith("its thread marks has died (ValueError: a surprise)")
    assert threading.excepthook == hook_before


def test_a_thread_that_is_there_is_not_missing_and_one_that_is_ended_with_the_worker_is_no_death() -> None:
    told, stopping = list[str](), threading.Event()
    dog = Watchdog(on_death=told.append)
    works = thread("works", stopping.wait)
    dog.expect("works")
    dog.start()
    assert dog.missing() == []

    dog.close()
    stopping.set()
    works.join()

    assert dog.missing() == ["works"]
    for each in threading.enumerate():
        if each.name == "watchdog":
            each.join(END_SECONDS)
    assert told == []


def test_who_is_stopped_in_the_very_moment_of_a_look_has_not_died() -> None:
    told, has_looked = list[str](), threading.Event()

    class StoppedMeanwhile(Watchdog):
        def missing(self) -> list[str]:
            self.close()
            has_looked.set()
            return ["works"]

    StoppedMeanwhile(on_death=told.append).start()

    assert has_looked.wait(END_SECONDS)
    for each in threading.enumerate():
        if each.name == "watchdog":
            each.join(END_SECONDS)
    assert told == []
