"""A contract for import-linter: what a room may import, and nothing else.

import-linter's own contracts name what is forbidden, or who may import a module. A room that is new, or a
package that nobody thought of, is in none of them: it breaks this contract until it is allowed (decision 6).
"""

import sys

import grimp
from importlinter import Contract, ContractCheck, fields, output


class WhitelistContract(Contract):
    """`room` imports directly the standard library, itself and what is `allowed`, all with what lies below.

    Where `of` names a package, only imports of that package are looked at.
    """

    type_name = "whitelist"

    room = fields.StringField()
    allowed = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    of = fields.StringField(required=False, default="")

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - their signature
        """Look at every direct import of the room's modules."""
        room, of = str(self.room), str(self.of)
        allowed = [room, *map(str, self.allowed)]  # type: ignore[call-overload] # their fields have no types
        imports = [
            (importer, imported)
            for importer in sorted({room, *graph.find_descendants(room)})
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not of or _is_in(imported, of)
        ]
        broken = [
            f"{importer} must not import {imported}"
            for importer, imported in imports
            if imported.partition(".")[0] not in sys.stdlib_module_names
            and not any(_is_in(imported, each) for each in allowed)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import that is not allowed."""
        for line in check.metadata["broken"]:
            output.print_error(f"- {line}: allow it in .importlinter, or put the code where it may")


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
