"""The contract as partner services get it, `docs/contract`: its schemas and its golden entries."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from deploy.local.environment import ROOT

CONTRACT: Final = ROOT / "docs" / "contract"
GOLDEN: Final = CONTRACT / "golden"
EVENT_IDS: Final = "event-ids.json"


@dataclass(frozen=True, slots=True)
class GoldenEntry:
    """One golden entry as its file has it; `written_with` is what the client was told, if it wrote it."""

    name: str
    token: str
    received_at_ms: int
    event_id: str
    body: str
    entry: str
    written_with: dict[str, str] | None


def golden_files() -> list[Path]:
    """Return all golden files of all versions."""
    return sorted(GOLDEN.rglob("*.json"))


def golden_entries() -> list[GoldenEntry]:
    """Return the golden entries of all versions."""
    files = [path for path in golden_files() if path.name != EVENT_IDS]
    return [_golden(str(path.relative_to(GOLDEN)), read(path)) for path in files]


def read(path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return what is in a JSON file."""
    return json.loads(path.read_text("utf-8"))


def schema(name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a schema of the contract: `message` or `entry`."""
    return read(CONTRACT / f"{name}.schema.json")


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return a validator that finds the schemas of the contract by their ids."""
    resources = [Resource.from_contents(read(path)) for path in CONTRACT.glob("*.schema.json")]
    registry = Registry().with_resources((str(resource.id()), resource) for resource in resources)
    return Draft202012Validator(schema, registry=registry)


def body_validator() -> Draft202012Validator:
    """Return a validator of a body, decoded: validators look at `contentSchema` by themselves never."""
    return validator(schema("entry")["properties"]["body"]["contentSchema"])


def _golden(name: str, content: dict[str, Any]) -> GoldenEntry:
    members = {key: value for key, value in content.items() if key != "what"}
    return GoldenEntry(name=name, **members)
