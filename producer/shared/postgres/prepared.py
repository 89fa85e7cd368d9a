"""One statement that is sent again and again, with its parameters in PostgreSQL's own form.

A cursor of psycopg looks up how to write each parameter and how to read each result, at every call anew. For
a statement of seven parameters that cost three times what sending it does. Decisions 11 and 15.
"""

import struct
from collections.abc import Container, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from weakref import WeakSet

import psycopg
from psycopg import BaseConnection, generators, postgres
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

_GOOD: Final = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
# Dimensions, whether there are nulls, the elements' type, their number, the first one's index; behind it each
# element with its length before it. Source: PostgreSQL, src/backend/utils/adt/arrayfuncs.c, array_recv.
_ARRAY_HEAD: Final = struct.Struct(">iIIii")
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = _LENGTH.pack(-1)
_FLOAT8: Final = struct.Struct(">d")
_UUID_BYTES: Final = 16
_INT8_BYTES: Final = 8
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class PreparedStatement:
    """Runs one statement on any connection, and prepares it there the first time.

    `types` are PostgreSQL's names of the parameters' types, in their order; `name` is unique on a connection.
    Parameters are in binary form, but those at the places `texts`, which are as PostgreSQL writes them.
    """

    def __init__(self, name: str, query: str, types: Sequence[str], *, texts: Container[int] = ()) -> None:
        self._name = name.encode()
        self._query = query.encode()
        self._oids = [_oid_of(each) for each in types]
        self._formats = [Format.TEXT if place in texts else Format.BINARY for place in range(len(types))]
        self._prepared_on: WeakSet[BaseConnection[Any]] = WeakSet()

    def exchange(
        self, connection: BaseConnection[Any], parameters: Sequence[bytes | None]
    ) -> PQGen[list[PGresult]]:
        """Return the exchange that runs it, for the connection's `wait`, whose caller holds its lock.

        The exchange returns the server's results, or raises a psycopg.Error as a cursor would.
        """
        pgconn = connection.pgconn
        if connection not in self._prepared_on:
            pgconn.send_prepare(self._name, self._query, self._oids)
            yield from results_of(pgconn)
            self._prepared_on.add(connection)
        pgconn.send_query_prepared(self._name, parameters, self._formats)
        return (yield from results_of(pgconn))


def results_of(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Return the exchange that reads what was sent to the end; raises a psycopg.Error as a cursor would."""
    results: list[PGresult] = yield from generators.execute(pgconn)
    # All of them: what fails at the commit comes behind the statement's own good end.
    for result in results:
        if result.status not in _GOOD:
            raise error_from_result(result)
    if not results:
        raise psycopg.OperationalError("the server sent no result")
    return results


def float8(value: float) -> bytes:
    """Return a double precision as a parameter."""
    return _FLOAT8.pack(value)


def integer(value: int, *, octets: int) -> bytes:
    """Return an integer of 4 or 8 octets as a parameter; raise OverflowError for one that does not fit."""
    return value.to_bytes(octets, "big", signed=True)


def timestamptz(value: datetime) -> bytes:
    """Return an aware time as a parameter: microseconds since the beginning of 2000."""
    return integer((value - _EPOCH) // _MICROSECOND, octets=_INT8_BYTES)


def boolean(value: bool) -> bytes:  # noqa: FBT001 - it is all that there is
    """Return a boolean as a parameter."""
    return b"\1" if value else b"\0"


def int8_array(values: Sequence[int]) -> bytes:
    """Return a bigint[] as a parameter; raise struct.error for a number that is none."""
    flat = [_INT8_BYTES] * (2 * len(values))
    flat[1::2] = values
    return _array_head("int8", len(values)) + struct.pack(">" + "iq" * len(values), *flat)


def text_array(values: Sequence[str | None]) -> bytes:
    """Return a text[] as a parameter."""
    parts = [_array_head("text", len(values), has_nulls=None in values)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            raw = value.encode()
            parts += (_LENGTH.pack(len(raw)), raw)
    return b"".join(parts)


def number_array_text(values: Sequence[int | Decimal | None]) -> bytes:
    """Return an array of numbers as a parameter that is text: what PostgreSQL has for exact ones is long."""
    return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}".encode()


def uuid_array(values: Sequence[UUID]) -> bytes:
    """Return a uuid[] as a parameter."""
    length = _LENGTH.pack(_UUID_BYTES)
    return _array_head("uuid", len(values)) + b"".join([length + value.bytes for value in values])


def _array_head(type_name: str, number: int, *, has_nulls: bool = False) -> bytes:
    return _ARRAY_HEAD.pack(1, has_nulls, postgres.types[type_name].oid, number, 1)


def _oid_of(type_name: str) -> int:
    base = postgres.types[type_name.removesuffix("[]")]
    return base.array_oid if type_name.endswith("[]") else base.oid
