"""What `make audit` makes of what pip-audit says; above all, that nobody asked is not all clear."""

import json
from typing import Any

from deploy.supply.audit import KNOWN_FAULTS, NOT_ASKED, verdict

CLEAN = {"name": "click", "version": "8.5.1", "vulns": []}
FAULTY = {
    "name": "tornado",
    "version": "6.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["6.0.1"], "aliases": [], "description": "x"}],
}
SKIPPED = {
    "name": "vine",
    "skip_reason": "Dependency not found on PyPI and could not be audited: vine (5.1.0)",
}


def report(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_packages_of_which_no_fault_is_known_are_good() -> None:
    found = verdict(report(CLEAN, CLEAN), "")

    assert (found.status, found.text) == (0, "no fault is known of any of 2 packages")


def test_a_known_fault_is_named_with_what_mends_it() -> None:
    found = verdict(report(CLEAN, FAULTY, SKIPPED), "")

    assert found.status == KNOWN_FAULTS
    assert "tornado 6.0: PYSEC-2026-1, mended in 6.0.1" in found.text
    assert "vine" in found.text


def test_a_package_that_nobody_knew_is_not_a_good_one() -> None:
    found = verdict(report(CLEAN, SKIPPED), "No known vulnerabilities found")

    assert found.status == NOT_ASKED
    assert "1 of 2 packages not audited, this says nothing of the packages" in found.text
    assert "vine (5.1.0)" in found.text


def test_no_net_is_said_and_is_not_good() -> None:
    found = verdict("", "Traceback\nConnectionError: no route\n")

    assert found.status == NOT_ASKED
    assert found.text.startswith("not audited, this says nothing of the packages")
    assert found.text.endswith("ConnectionError: no route")
    assert verdict("", "").status == verdict("{}", "").status == verdict(report(), "").status == NOT_ASKED
