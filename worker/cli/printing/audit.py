"""Actions of the audit, below each other."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from worker.cli.printing.blocks import Block, moment, print_blocks

if TYPE_CHECKING:
    from worker.cli.queries.audit import AuditPage, AuditRecord


def print_audit(page: "AuditPage") -> None:
    """Print a page of actions, and how to get the next one."""
    print_blocks("Actions, newest first", map(_block, page.records))
    if page.next_after is not None:
        click.echo(f"There are more: --after {page.next_after}")


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Say what an action changed, member by member; what stayed as it was stands without an arrow."""
    before, after = before or {}, after or {}
    parts = []
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if name in before and name in after and old != new:
            parts.append(f"{name} {_value(old)} → {_value(new)}")
        elif name in after:
            parts.append(f"{name} {_value(new)}")
        else:
            parts.append(f"{name} was {_value(old)}")
    return ", ".join(parts)


def _block(record: "AuditRecord") -> Block:
    where = f" from {record.client_address}" if record.client_address else ""
    why = f": {record.reason}" if record.reason else ""
    lines = [f"by {record.person} ({record.database_user}{where}){why}"]
    if changed := changes(record.before, record.after):
        lines.append(changed)
    return Block(f"{record.audit_id}  {moment(record.happened_at)}  {record.action}  {record.subject}", lines)


def _value(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
