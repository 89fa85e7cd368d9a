"""docs/contract/openapi.json, and whether an answer is one that it has."""

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx
from jsonschema import Draft202012Validator

from deploy.local.environment import ROOT

PAPER: Final = ROOT / "docs" / "contract" / "openapi.json"


class Document:
    """The document; references are followed one by one, as there are but local ones."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = json.loads(PAPER.read_text("utf-8"))

    def operations(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return all operations by method and path."""
        return {
            (method.upper(), path): operation
            for path, methods in self.content["paths"].items()
            for method, operation in methods.items()
        }

    def statuses(self, method: str, path: str) -> set[int]:
        """Return the statuses that an operation has."""
        return {int(status) for status in self.operations()[method, path]["responses"]}

    def response(self, method: str, path: str, status: int) -> dict[str, Any]:
        """Return an answer of an operation, or that to what is no operation."""
        operation = self.operations().get((method, path))
        if operation is not None:
            return self.resolved(operation["responses"][str(status)])
        name = {404: "NotFound", 405: "MethodNotAllowed"}[status]
        return dict(self.content["components"]["responses"][name])

    def resolved(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a reference leads to."""
        while "$ref" in value:
            found: Any = self.content
            for name in value["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            value = found
        return dict(value)

    def faults(self, method: str, path: str, reply: httpx.Response) -> list[str]:
        """Return what an answer has that the document does not say, or the other way round."""
        described = self.response(method, path, reply.status_code)
        media_type = reply.headers["content-type"].partition(";")[0]
        if media_type not in described["content"]:
            return [f"{media_type} is none of {list(described['content'])}"]
        schema = described["content"][media_type]["schema"]
        body = reply.json() if media_type == "application/json" else reply.text
        # References are to the whole document.
        validator = Draft202012Validator(schema | {"components": self.content["components"]})
        found = [error.message for error in validator.iter_errors(body)]
        for name, header in described.get("headers", {}).items():
            value = reply.headers.get(name)
            if value is None and header.get("required"):
                found.append(f"without {name}")
            elif value is not None and header["schema"]["type"] == "integer" and not value.isdigit():
                found.append(f"{name} is {value}")
        return found
