"""`make licences`: the licence of each package that is shipped, as docs/licences.md.

A licence is what a package says of itself as an SPDX expression. Where it says none, or is not installed
here, the expression stands in `REVIEWED`, by whoever has read the package's licence file.
"""

import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from deploy.supply.pins import Pin, pins_of

ROOT: Final = Path(__file__).resolve().parents[2]
RUNTIME_LOCK: Final = ROOT / "requirements.lock"
DOCUMENT: Final = ROOT / "docs" / "licences.md"

SHIPPABLE: Final[Mapping[str, str]] = {
    "Apache-2.0": "keep the licence and notices; say what was changed",
    "BSD-2-Clause": "keep the copyright notice",
    "BSD-3-Clause": "keep the copyright notice; no advertising with its authors' names",
    "LGPL-3.0-only": "unchanged, as a package of its own that can be replaced; its source stays to be had",
    "MIT": "keep the copyright notice",
    "MIT-0": "nothing",
    "MPL-2.0": "unchanged; its source stays to be had",
    "PSF-2.0": "keep the copyright notice; say what was changed",
}
"""What we may ship, and on which condition. All else is a question for a person."""

REVIEWED: Final[Mapping[str, str]] = {
    "amqp": "BSD-3-Clause",
    "async-timeout": "Apache-2.0",
    "billiard": "BSD-3-Clause",
    "click-plugins": "BSD-3-Clause",
    "flower": "BSD-3-Clause",
    "markdown-it-py": "MIT",
    "mdurl": "MIT",
    "prompt-toolkit": "BSD-3-Clause",
    "pyreqwest": "Apache-2.0",
    "python-dateutil": "BSD-3-Clause",
    "tzdata": "Apache-2.0",
    "uvloop": "Apache-2.0 OR MIT",
    "vine": "BSD-3-Clause",
    "wcwidth": "MIT",
}
"""Of packages that do not say it, as their licence file has it."""

_HEAD: Final = """\
# Licences of what is shipped

Every package of `requirements.lock`, which is all that the image holds beside Python, Debian's base and
our own code ([MIT](../LICENSE)). Made by `make licences`; a test holds it to the lock file and to what we
may ship. The PostgreSQL and Valkey of `docker-compose.yml` are images of others, under the PostgreSQL
licence and BSD-3-Clause. Wheels hold compiled libraries of others, such as libpq (PostgreSQL licence) and
OpenSSL (Apache-2.0) in `psycopg-binary`.

"""


class UnknownLicence(Exception):
    """Nobody has said under which licence a package is."""


def licence_of(pin: Pin) -> str:
    """Return a package's licence as an SPDX expression; raises UnknownLicence where nobody has said it."""
    if (reviewed := REVIEWED.get(pin.name)) is not None:
        return reviewed
    for said in _said_by(pin.name):
        try:
            return canonicalize_license_expression(said)
        except InvalidLicenseExpression:
            continue
    raise UnknownLicence(
        f"{pin.name} {pin.version} does not say its licence as an SPDX expression: read its licence file and "
        "put what it is into REVIEWED of deploy/supply/licences.py"
    )


def _said_by(name: str) -> list[str]:
    try:
        fields = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        return []
    return [str(fields[field]) for field in ("license_expression", "license") if fields.get(field)]


def may_be_shipped(expression: str) -> bool:
    """Whether an SPDX expression leaves a choice that we may ship; brackets are a person's to read."""
    return any(
        all(term.strip() in SHIPPABLE for term in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


def document() -> str:
    """Return docs/licences.md; raises UnknownLicence."""
    packages = [f"| {pin.name} | {pin.version} | {licence_of(pin)} |" for pin in pins_of(RUNTIME_LOCK)]
    conditions = [f"| {name} | {condition} |" for name, condition in SHIPPABLE.items()]
    return _HEAD + "\n".join(
        [
            "| package | version | licence |",
            "|---|---|---|",
            *packages,
            "",
            "## On which condition",
            "",
            "| licence | what it asks of who ships it |",
            "|---|---|",
            *conditions,
            "",
        ]
    )


def main() -> None:
    """Write the document, or say which licence is missing and end with 1."""
    try:
        DOCUMENT.write_text(document(), "utf-8")
    except UnknownLicence as error:
        sys.stderr.write(f"licences: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
