"""`make audit`: whether a fault is known of a package that is shipped.

Ends with 0 where pip-audit was told of each package that none is, with 1 where one is, and with 3 where
nobody could be asked about some package. pip-audit itself calls a package that its service does not know
"skipped" and ends with 0: behind a mirror of the index that holds no advisories, that would be every package.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
KNOWN_FAULTS: Final = 1
NOT_ASKED: Final = 3
_TIMEOUT_SECONDS: Final = 600
_COMMAND: Final = (
    *("-m", "pip_audit", "--requirement", "requirements.lock", "--require-hashes", "--disable-pip"),
    *("--progress-spinner", "off", "--format", "json"),
)
_ADVICE: Final = "this says nothing of the packages: run `make audit` where the package index is reached"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be said, and the status to end with."""

    status: int
    text: str


def verdict(report: str, complaint: str) -> Verdict:
    """Judge what pip-audit wrote: its report in JSON, and what it said beside it."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        why = complaint.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        return Verdict(status=NOT_ASKED, text=f"not audited, {_ADVICE}\n  {why[0]}")
    faults = [
        f"{each['name']} {each['version']}: {fault['id']}, "
        f"mended in {', '.join(fault['fix_versions']) or 'no release yet'}"
        for each in dependencies
        for fault in each.get("vulns", ())
    ]
    skipped = [f"{each['name']}: {each['skip_reason']}" for each in dependencies if "skip_reason" in each]
    if not faults and (skipped or not dependencies):
        head = f"{len(skipped)} of {len(dependencies)} packages not audited, {_ADVICE}"
        return Verdict(status=NOT_ASKED, text="\n  ".join([head, *skipped]))
    if faults:
        head = f"{len(faults)} known faults: `make lock LOCK_ARGS=--upgrade` takes newer releases"
        return Verdict(status=KNOWN_FAULTS, text="\n  ".join([head, *faults, *skipped]))
    return Verdict(status=0, text=f"no fault is known of any of {len(dependencies)} packages")


def main() -> None:
    """Ask, say what came of it, and end with it."""
    try:
        asked = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, *_COMMAND],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
        found = verdict(asked.stdout, asked.stderr)
    except subprocess.TimeoutExpired:
        found = verdict("", f"no answer within {_TIMEOUT_SECONDS} s")
    sys.stdout.write(f"audit: {found.text}\n")
    raise SystemExit(found.status)


if __name__ == "__main__":
    main()
