"""A server that refuses writes, in sessions that stand and in new ones, as one does that is no primary."""

import psycopg

from deploy.local.processes import wait_until


def take_writes(connection: psycopg.Connection, *, are_taken: bool) -> None:
    """Have the server take writes or refuse them, from now on."""
    value = "off" if are_taken else "on"
    connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    connection.execute("SELECT pg_reload_conf()")
    wait_until(
        lambda: connection.execute("SHOW default_transaction_read_only").fetchone() == (value,),
        what="the configuration is loaded",
        timeout_seconds=120,
    )
