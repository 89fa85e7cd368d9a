"""`cashback migrate`."""

import click

from worker.cli.output import as_json_option, print_document


@click.command()
@as_json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database to the schema of this program.

    May be run at once from several places: one applies, the others wait and find nothing left to do. It
    is refused, and nothing is changed, on a schema that is newer than this program.

    JSON: {"applied": [{"version", "name"}], "functions", "version"}, where functions are the files of
    functions that were applied, as they or a table changed, and version is the one that stands now.
    """
    from worker.cli.database import database_url
    from worker.schema import migrate as migrations
    from worker.schema.files import shipped_files

    files = shipped_files()
    applied = migrations.migrate(database_url(), files)
    if as_json:
        print_document(
            {
                "applied": [{"version": each.version, "name": each.name} for each in applied.tables],
                "functions": [file.name for file in applied.functions],
                "version": files.version,
            }
        )
        return
    for migration in applied.tables:
        click.echo(f"applied {migration.version:04} {migration.name}")
    for file in applied.functions:
        click.echo(f"applied {file.name}")
    nothing = "" if applied.tables or applied.functions else ", nothing to do"
    click.echo(f"the schema is at version {files.version}{nothing}")
