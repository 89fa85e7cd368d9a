"""The alerts ask for metrics that there are, and say what to do, in the file and on its page."""

import ast
import re
from typing import Any, Final

import pytest
import yaml

from deploy.local.environment import ROOT

PAGE: Final = (ROOT / "docs" / "operating" / "alerts.md").read_text("utf-8")
RULES: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
NAMES: Final = [rule["alert"] for rule in RULES]
METRIC: Final = re.compile(r"\bcashback_\w+")
MATCHER: Final = re.compile(r'(\w+)(?:=|!=|=~|!~)"([^"]*)"')
MAKERS: Final = {
    "Counter": "_total",
    "_counter": "_total",
    "Gauge": "",
    "_gauge": "",
    "Histogram": "_bucket",
    "_histogram": "_bucket",
}


def metrics_of_the_code() -> dict[str, set[str]]:
    """Return the name of each metric as Prometheus has it, and the texts beside it, labels among them."""
    found: dict[str, set[str]] = {}
    for package in ("producer", "worker", "deploy"):
        for module in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text("utf-8"))):
                if isinstance(node, ast.Call) and (suffix := MAKERS.get(called(node))) is not None:
                    texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
                    names = [text for text in texts if isinstance(text, str)]
                    if names and METRIC.fullmatch(names[0]):
                        found[names[0].removesuffix("_total") + suffix] = set(names)
    return found


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


METRICS: Final = metrics_of_the_code()


def metrics_in(rule: dict[str, Any]) -> list[str]:
    return METRIC.findall(rule["expr"])


def labels_in(expression: str) -> set[str]:
    """Return the labels that an expression selects or groups by."""
    grouped = {label for text in re.findall(r"\bby \((\w+)\)", expression) for label in text.split(",")}
    return {name for name, _ in MATCHER.findall(expression)} | grouped


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_asks_for_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    asked = metrics_in(rule)

    assert asked
    assert set(asked) <= METRICS.keys()
    assert labels_in(rule["expr"]) <= {text for name in asked for text in METRICS[name]}


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_says_how_urgent_it_is_what_happened_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "what_to_do", "page"}
    assert all(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels_in(rule["expr"])
    assert rule["expr"].count("(") == rule["expr"].count(")")


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_leads_to_its_place_on_the_page(rule: dict[str, Any]) -> None:
    _, heading, text = PAGE.partition(f"## {rule['alert']}\n\n")

    assert heading
    assert text.startswith(f"*{rule['labels']['severity']}.* ")
    assert rule["annotations"]["page"] == f"docs/operating/alerts.md#{rule['alert'].lower()}"


def test_the_page_has_no_others_and_each_name_is_there_once() -> None:
    assert re.findall(r"^## (\w+)$", PAGE, re.MULTILINE) == NAMES
    assert len(set(NAMES)) == len(NAMES)


def test_what_an_operator_must_hear_of_is_among_them() -> None:
    asked = {name for rule in RULES for name in metrics_in(rule)}

    assert asked >= {
        "cashback_unconfirmed_events",
        "cashback_ended_total",
        "cashback_swept_total",
        "cashback_quarantined_total",
        "cashback_ledger_lost_commits",
        "cashback_expected_wait_seconds",
        "cashback_keys_age_seconds",
        "cashback_bearers_total",
        "cashback_unread_entries",
        "cashback_copy_away",
        "cashback_oldest_snapshot_seconds",
    }


def test_the_metrics_of_the_code_are_found() -> None:
    assert len(METRICS) > 25
    assert "state" not in METRICS["cashback_makes_total"]
    assert {"outcome", "reason"} <= METRICS["cashback_makes_total"]
