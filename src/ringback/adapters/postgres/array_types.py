"""The array types of PostgreSQL that the driver would ask each new connection's server for.

asyncpg knows text[] and oid[] by itself. At the first use of another array on a connection it sends a recursive query
over the catalogue, which took PostgreSQL 10 to 30 ms here, once for each type: most of the CPU of a short-lived process
(https://github.com/MagicStack/asyncpg/issues/1272). The numbers of built-in types are the same in every server.
"""

from typing import Any

import asyncpg

#: Number, name and number of the element's type, as in pg_type.
#: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
BUILT_IN_ARRAYS = (
    (199, "_json", 114),
    (1000, "_bool", 16),
    (1001, "_bytea", 17),
    (1007, "_int4", 23),
    (1016, "_int8", 20),
    (1022, "_float8", 701),
    (1182, "_date", 1082),
    (1185, "_timestamptz", 1184),
    (2951, "_uuid", 2950),
    (3807, "_jsonb", 3802),
)


def teach_arrays(connection: asyncpg.Connection) -> None:
    """Call it after the codecs of the elements are set: an array keeps the codec that its element has then."""
    # The driver has no public function for a type that need not be asked for.
    protocol = connection._protocol  # type: ignore[attr-defined]
    protocol.get_settings().register_data_types([_as_introspected(*array) for array in BUILT_IN_ARRAYS])


def _as_introspected(oid: int, name: str, element: int) -> dict[str, Any]:
    """A row like those of asyncpg's own query."""
    return {
        "oid": oid,
        "ns": "pg_catalog",
        "name": name,
        "kind": b"b",
        "basetype": None,
        "elemtype": element,
        "elemdelim": b",",
        "range_subtype": None,
        "attrtypoids": None,
        "attrnames": None,
    }
