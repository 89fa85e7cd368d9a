"""Each command with `--json` has a published schema, each schema a command, and all of them are closed."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.output_schemas import SCHEMAS, assert_fits, commands_with_json, name_of, schema, words_of

NAMES = sorted(path.stem for path in SCHEMAS.glob("*.json"))
COUNTS = {"opened": 1, "updated": 2, "unchanged": 3}


def objects_of(content: object) -> Iterator[dict[str, Any]]:
    """Give all schemas of objects whose members are named, however deep they stand."""
    if isinstance(content, dict):
        if "properties" in content:
            yield content
        for member in content.values():
            yield from objects_of(member)
    elif isinstance(content, list):
        for item in content:
            yield from objects_of(item)


def test_every_command_with_json_has_a_schema_and_every_schema_a_command() -> None:
    assert set(NAMES) == commands_with_json()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_closed_schema_of_the_draft_that_it_names(name: str) -> None:
    content = schema(name)

    assert content["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(content)
    assert content["title"] == f"cashback {words_of(name)} --json"
    objects = list(objects_of(content))
    assert objects or set(content) == {"$schema", "title", "description", "$ref"}
    for each in objects:
        assert each["additionalProperties"] is False
        assert set(each["required"]) <= set(each["properties"])


def test_a_document_that_does_not_fit_is_named_with_its_place() -> None:
    assert_fits("accounts-import", COUNTS)

    with pytest.raises(AssertionError, match=r"accounts-import\.json, \$\.opened: 'x'"):
        assert_fits("accounts-import", COUNTS | {"opened": "x"})
    with pytest.raises(AssertionError, match="'more' was unexpected"):
        assert_fits("accounts-import", COUNTS | {"more": 1})


def test_a_run_is_named_by_its_words() -> None:
    assert name_of(["accounts", "show", "188509", "--json"]) == "accounts-show"
    assert name_of(["list", "--json", "--state", "settled"]) == "list"
    assert name_of(["list", "--state", "settled"]) is None
    assert name_of(["reconcile", "--rewind", "--json"]) == "reconcile-rewind"
    assert name_of(["--help"]) is None
