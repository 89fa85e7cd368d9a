"""docs/licences.md: each package that is shipped, with a licence under which we may ship it."""

import pytest

from deploy.supply import licences
from deploy.supply.licences import (
    DOCUMENT,
    REVIEWED,
    RUNTIME_LOCK,
    UnknownLicence,
    document,
    licence_of,
    may_be_shipped,
)
from deploy.supply.pins import Pin, pins_of


def test_the_document_is_what_make_licences_writes() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run `make licences`"


def test_every_line_of_the_lock_file_is_listed() -> None:
    lines = RUNTIME_LOCK.read_text("utf-8").splitlines()
    locked = [line.split("==")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))]
    listed = [line.split(" | ")[0].removeprefix("| ") for line in document().splitlines() if " | " in line]

    assert len(locked) > 40
    assert [name for name in locked if name not in listed] == []


def test_every_package_may_be_shipped() -> None:
    refused = {
        pin.name: licence_of(pin) for pin in pins_of(RUNTIME_LOCK) if not may_be_shipped(licence_of(pin))
    }

    assert refused == {}


@pytest.mark.parametrize(
    "expression",
    [
        "GPL-3.0-only",
        "AGPL-3.0-or-later",
        "MIT AND GPL-2.0-only",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "(MIT OR GPL-2.0-only) AND SSPL-1.0",
        "LicenseRef-Proprietary",
        "",
    ],
)
def test_what_we_may_not_ship_is_found(expression: str) -> None:
    assert not may_be_shipped(expression)


@pytest.mark.parametrize("expression", ["MIT", "GPL-2.0-only OR MIT", "Apache-2.0 AND BSD-2-Clause"])
def test_one_choice_that_we_may_ship_is_enough(expression: str) -> None:
    assert may_be_shipped(expression)


def test_a_package_that_nobody_has_looked_at_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownLicence, match="nothing-known 1 does not say its licence"):
        licence_of(Pin(name="nothing-known", version="1", marker=""))
    # One that is installed and says no more than "BSD".
    monkeypatch.setattr(licences, "REVIEWED", {})
    with pytest.raises(UnknownLicence, match="billiard"):
        licence_of(Pin(name="billiard", version="4", marker=""))


def test_nothing_is_reviewed_that_is_not_shipped() -> None:
    assert set(REVIEWED) <= {pin.name for pin in pins_of(RUNTIME_LOCK)}
