"""`cashback migrate`."""

import click

from worker.cli.printing.output import as_json_option, print_document


@click.command()
@as_json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database to the schema of this program.

    May be run at once from several places: one applies, the others wait and find nothing left to do. It
    is refused, and nothing is changed, on a schema that is newer than this program.

    Where CASHBACK_DATABASE_ROLES names a prefix, the roles of receiver, worker, operator and reader are made,
    or checked where they stand, and given what each needs: one that may do more is refused.

    What one person may do with balances alone (CASHBACK_ADJUST_LIMIT, CASHBACK_ADJUST_DAILY_LIMIT,
    CASHBACK_ADJUST_APPROVER, CASHBACK_NEGATIVE_BALANCE) is written into the database; a change is noted in
    the audit.

    JSON: {"applied": [{"version", "name"}], "functions", "version"}, where functions are the files of
    functions that were applied, as they or a table changed, and version is the one that stands now.
    """
    from producer.shared.logs import configure_logs
    from producer.shared.settings.environment import load
    from worker.cli.shared.person import person
    from worker.schema import migrate as migrations
    from worker.schema.files import shipped_files
    from worker.schema.roles import RoleNames
    from worker.schema.settings import MigrateSettings

    settings = load(MigrateSettings)
    configure_logs(settings.log_level)
    prefix = settings.database_roles
    files = shipped_files()
    roles = None if prefix is None else RoleNames(prefix=prefix, passwords=settings.role_passwords)
    applied = migrations.migrate(
        settings.database_url, files, roles=roles, rules=settings.correction_rules, person=person()
    )
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
