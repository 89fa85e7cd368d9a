"""What a worker must find in Redis, asked through kombu, which it will work through."""

from collections.abc import Sequence
from typing import Any, Final

import redis
from celery import Celery
from kombu.exceptions import KombuError

from producer.shared.preconditions.checks import answered_by
from producer.shared.preconditions.redis import Command, of_error, redis_check, worker_needs
from producer.shared.preconditions.verdict import Verdict
from worker.queue.transport.held import HELD, LANDING, LEASES, RETURNED

_SECONDS: Final = 2.0
# What a worker's own keys look like; none of these is ever written.
_NAME: Final = "check"


def check_redis(app: Celery) -> list[Verdict]:
    """Ask, through a connection of its own, and return what is wrong."""
    options = {
        **app.conf.broker_transport_options,
        "socket_timeout": _SECONDS,
        "socket_connect_timeout": _SECONDS,
    }
    connection = app.connection_for_write(transport_options=options)
    try:
        # Each server of the URL once: by itself it would try for as long as the server is away.
        connection.ensure_connection(
            max_retries=max(0, len(connection.alt) - 1), reraise_as_library_errors=False
        )
        return _asked(app, connection.default_channel)
    except (redis.RedisError, KombuError, OSError) as error:
        cause = error.__cause__ if isinstance(error, KombuError) else None
        return [of_error(cause if isinstance(cause, Exception) else error)]
    finally:
        connection.collect()


def needs_of(app: Celery, channel: Any) -> tuple[Command, ...]:  # noqa: ANN401 - kombu has no types
    """Return what a worker of this app asks of Redis."""
    # With the number of the database, which its pool puts in.
    [events] = channel._get_publish_topics(app.conf.event_exchange, "worker.heartbeat")  # noqa: SLF001 - no other way
    commands = app.control.mailbox.exchange.name
    return worker_needs(
        leases=LEASES,
        held=f"{HELD}{_NAME}",
        landing=f"{LANDING}{_NAME}",
        returned=RETURNED,
        # Without one of these Celery's consumer begins anew for ever.
        celery=(channel.keyprefix_binding_deadlines, f"{_NAME}.{commands}", channel.unacked_mutex_key),
        events=events,
    )


def _asked(app: Celery, channel: Any) -> list[Verdict]:  # noqa: ANN401 - kombu has no types
    client, needs = channel.client, needs_of(app, channel)
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        return connection.retry.call_with_retry(  # type: ignore[no-any-return] # kombu has no types
            lambda: _talk(client, connection, needs), lambda _error: None
        )
    finally:
        # Whatever it was in the middle of ends with it.
        connection.disconnect()
        pool.release(connection)


def _talk(client: Any, connection: Any, needs: Sequence[Command]) -> list[Verdict]:  # noqa: ANN401 - as above
    def ask(commands: Sequence[Command]) -> list[object]:
        # Without the look at its health, which may connect anew in the middle of a transaction.
        connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        return [_reply(client, connection, command) for command in commands]

    return answered_by(redis_check(needs, needs_multi=True), ask)


def _reply(client: Any, connection: Any, command: Command) -> object:  # noqa: ANN401 - as above
    try:
        reply: object = client.parse_response(connection, command[0])
    except redis.ResponseError as error:
        return error
    return reply
