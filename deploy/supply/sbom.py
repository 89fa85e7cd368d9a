"""`make sbom`: checks that the bill of materials in var/sbom.json names all that is shipped.

cyclonedx-py lists what is installed in `.venv-shipped`, which has the packages of requirements.lock for this
kind of machine and nothing else.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from deploy.supply.pins import Pin, pins_of

ROOT: Final = Path(__file__).resolve().parents[2]
SBOM: Final = ROOT / "var" / "sbom.json"


def faults_of(sbom: Mapping[str, Any], pins: Sequence[Pin]) -> list[str]:
    """Return what a bill of materials lacks of these pins, and what it names beside them."""
    listed = {
        (canonicalize_name(each["name"]), str(each.get("version"))) for each in sbom.get("components", ())
    }
    pinned = {(pin.name, pin.version) for pin in pins if not pin.marker or Marker(pin.marker).evaluate()}
    missing = [f"{name} {version} is missing" for name, version in sorted(pinned - listed)]
    return missing + [f"{name} {version} is not shipped" for name, version in sorted(listed - pinned)]


def main() -> None:
    """Say how many packages the bill has, or what is wrong with it and end with 1."""
    sbom = json.loads(SBOM.read_text("utf-8"))
    if faults := faults_of(sbom, pins_of(ROOT / "requirements.lock")):
        sys.stderr.write("\n  ".join([f"sbom: {SBOM} is not what requirements.lock pins:", *faults]) + "\n")
        raise SystemExit(1)
    sys.stdout.write(f"sbom: {len(sbom['components'])} packages in {SBOM.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
