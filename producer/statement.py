"""One statement that is sent again and again, with its parameters in PostgreSQL's binary form.

A cursor of psycopg looks up how to write each parameter and how to read each result, at every call anew. For
a statement of seven parameters that cost three times what sending it does.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID
from weakref import WeakSet

import psycopg
from psycopg import generators, postgres
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

_GOOD: Final = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
# Dimensions, whether there are nulls, the elements' type, their number, the first one's index; behind it each
# element with its length before it. Source: PostgreSQL, src/backend/utils/adt/arrayfuncs.c, array_recv.
_ARRAY_HEAD: Final = struct.Struct(">iIIii")
_LENGTH: Final = struct.Struct(">i")
_FLOAT8: Final = struct.Struct(">d")
_UUID_BYTES: Final = 16
_INT8_BYTES: Final = 8


class Statement:
    """Runs one statement on any connection, and prepares it there the first time. Its results are not read.

    `types` are PostgreSQL's names of the parameters' types, in their order; `name` is unique on a connection.
    """

    def __init__(self, name: str, query: str, types: Sequence[str]) -> None:
        self._name = name.encode()
        self._query = query.encode()
        self._oids = [_oid_of(each) for each in types]
        self._formats = [Format.BINARY] * len(types)
        self._prepared_on: WeakSet[psycopg.AsyncConnection[Any]] = WeakSet()

    async def run(self, connection: psycopg.AsyncConnection[Any], parameters: Sequence[bytes]) -> None:
        """Run it to its end; raise a psycopg.Error as a cursor would."""
        async with connection.lock:
            if connection not in self._prepared_on:
                connection.pgconn.send_prepare(self._name, self._query, self._oids)
                await _good_end(connection)
                self._prepared_on.add(connection)
            connection.pgconn.send_query_prepared(self._name, parameters, self._formats)
            await _good_end(connection)


async def _good_end(connection: psycopg.AsyncConnection[Any]) -> None:
    results = await connection.wait(generators.execute(connection.pgconn))
    # All of them: what fails at the commit comes behind the statement's own good end.
    for result in results:
        if result.status not in _GOOD:
            raise error_from_result(result)
    if not results:
        raise psycopg.OperationalError("the server sent no result")


def float8(value: float) -> bytes:
    """Return a double precision as a parameter."""
    return _FLOAT8.pack(value)


def int8_array(values: Sequence[int]) -> bytes:
    """Return a bigint[] as a parameter; raise struct.error for a number that is none."""
    flat = [_INT8_BYTES] * (2 * len(values))
    flat[1::2] = values
    return _array_head("int8", len(values)) + struct.pack(">" + "iq" * len(values), *flat)


def text_array(values: Sequence[str]) -> bytes:
    """Return a text[] as a parameter."""
    parts = [_array_head("text", len(values))]
    for value in values:
        raw = value.encode()
        parts += (_LENGTH.pack(len(raw)), raw)
    return b"".join(parts)


def uuid_array(values: Sequence[UUID]) -> bytes:
    """Return a uuid[] as a parameter."""
    length = _LENGTH.pack(_UUID_BYTES)
    return _array_head("uuid", len(values)) + b"".join([length + value.bytes for value in values])


def _array_head(type_name: str, number: int) -> bytes:
    return _ARRAY_HEAD.pack(1, 0, postgres.types[type_name].oid, number, 1)


def _oid_of(type_name: str) -> int:
    base = postgres.types[type_name.removesuffix("[]")]
    return base.array_oid if type_name.endswith("[]") else base.oid
