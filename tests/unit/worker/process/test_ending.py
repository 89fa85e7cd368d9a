"""How a worker that cannot work ends: once asked for, told in one sentence."""

import pytest

from producer.shared.settings.environment import SettingsError
from worker.process.ending import CannotWork, Ending, sentence_of


def test_the_first_reason_is_the_one_that_is_told() -> None:
    stops = list[str]()
    ending = Ending(grace_seconds=100_000, stop=lambda: stops.append("stop"))
    ending.begin("the first")
    ending.begin("the second")

    assert (ending.sentence, stops) == ("the first", ["stop"])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (CannotWork("X: do that"), "X: do that"),
        (SettingsError("CASHBACK_X: is wrong"), "CASHBACK_X: is wrong"),
        (
            ValueError("two\nlines"),
            "it ends, as it cannot work: ValueError: two lines; the log above says where",
        ),
        (OSError(), "it ends, as it cannot work: OSError; the log above says where"),
    ],
)
def test_whatever_it_ends_of_is_one_sentence(error: Exception, sentence: str) -> None:
    assert sentence_of(error) == sentence
