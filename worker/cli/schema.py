"""`cashback migrate`."""

import click

from worker.cli.database import database_url
from worker.cli.output import as_json_option, print_document
from worker.schema import migrate as migrations


@click.command()
@as_json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database to the schema of this program.

    May be run at once from several places: one applies, the others wait and find nothing left to do. It
    is refused, and nothing is changed, on a schema that is newer than this program.

    JSON: {"applied": [{"version", "name"}], "version"}, where version is the one that stands now.
    """
    applied = migrations.migrate(database_url())
    version = max(migration.version for migration in migrations.known_migrations())
    if as_json:
        print_document(
            {
                "applied": [{"version": each.version, "name": each.name} for each in applied],
                "version": version,
            }
        )
        return
    for migration in applied:
        click.echo(f"applied {migration.version:04} {migration.name}")
    click.echo(f"the schema is at version {version}" + ("" if applied else ", nothing to do"))
