"""The published schemas of what commands print with `--json`, docs/operating/schemas, and what fits them."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource

from deploy.local.environment import ROOT
from worker.cli import cashback

# Options with which a command prints another document, and so has another schema.
_VARIANTS: Final = {"reconcile": ("--rewind",)}

SCHEMAS: Final = ROOT / "docs" / "operating" / "schemas"


def schema(name: str) -> Any:  # noqa: ANN401 - JSON
    """Return the schema of a command, by its words joined by `-`: `accounts-show`."""
    return json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))


def assert_fits(name: str, document: object) -> None:
    """Fail where a document is not what the schema of this name says, and name the place."""
    validator = Draft202012Validator(schema(name), registry=_registry())
    fault = best_match(validator.iter_errors(document))
    assert fault is None, f"{name}.json, {fault.json_path}: {fault.message}"


def commands_with_json() -> set[str]:
    """Return the names of the schemas that there must be: one for each document that `--json` prints."""
    names = {name for name, command in _commands(cashback) if _takes_json(command)}
    return names | {_variant(name, option) for name, options in _VARIANTS.items() for option in options}


def name_of(arguments: Sequence[str]) -> str | None:
    """Return the name of the schema of a run with these arguments, None where it prints no JSON."""
    command: click.Command = cashback
    words = []
    for argument in arguments:
        if not isinstance(command, click.Group) or argument not in command.commands:
            break
        command = command.commands[argument]
        words.append(argument)
    if "--json" not in arguments or not _takes_json(command):
        return None
    name = "-".join(words)
    return next((_variant(name, option) for option in _VARIANTS.get(name, ()) if option in arguments), name)


def words_of(name: str) -> str:
    """Return how the command of a schema begins: `accounts show`, `reconcile --rewind`."""
    variants = {
        _variant(command, option): f"{command} {option}"
        for command in _VARIANTS
        for option in _VARIANTS[command]
    }
    return variants.get(name) or name.replace("-", " ")


def _variant(name: str, option: str) -> str:
    return f"{name}-{option.lstrip('-')}"


def _commands(group: click.Group, *words: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *words, name)
        else:
            yield "-".join((*words, name)), command


def _takes_json(command: click.Command) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


def _registry() -> Registry[Any]:
    paths = SCHEMAS.glob("*.json")
    return Registry().with_resources(
        (path.name, Resource.from_contents(json.loads(path.read_text("utf-8")))) for path in paths
    )
