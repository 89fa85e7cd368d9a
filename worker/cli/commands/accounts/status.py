"""`cashback accounts block` and `unblock`."""

import click

from worker.cli.printing.output import as_json_option, print_document
from worker.cli.shared.reason import reason_option


@click.command()
@click.argument("user_id")
@reason_option()
@as_json_option
def block(*, user_id: str, reason: str, as_json: bool) -> None:
    """Block the account of USER_ID: payouts get 103779 from now on.

    An account that is blocked already is left as it is. What is on its way is decided by how the account
    stands when a worker settles it.

    JSON: {"user_id", "status", "changed"}; changed is false where it was blocked before.
    """
    _set_status(user_id, "blocked", reason=reason, as_json=as_json)


@click.command()
@click.argument("user_id")
@reason_option()
@as_json_option
def unblock(*, user_id: str, reason: str, as_json: bool) -> None:
    """Make the account of USER_ID active again.

    JSON: {"user_id", "status", "changed"}; changed is false where it was active before.
    """
    _set_status(user_id, "active", reason=reason, as_json=as_json)


def _set_status(user_id: str, status: str, *, reason: str, as_json: bool) -> None:
    from worker.accounts.corrections import Acting, set_status
    from worker.cli.shared.database import QUERY_SECONDS, open_database
    from worker.cli.shared.person import person

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        changed = set_status(connection, user_id, status, Acting(person=person(), reason=reason))
    if as_json:
        print_document({"user_id": user_id, "status": status, "changed": changed})
    else:
        click.echo(f"the account of {user_id!a} is {status}{'' if changed else ' already'}")
