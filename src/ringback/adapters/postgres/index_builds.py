"""Build indexes in a migration while calls go on."""

from collections.abc import Mapping

from alembic import op


def build_indexes(indexes: Mapping[str, str], *then: str) -> None:
    """Build indexes, given by name with table, columns and condition. Then execute the statements of `then`."""
    with op.get_context().autocommit_block():
        # A build waits for every older transaction, also for a dump, and blocks no writer.
        op.execute("SET lock_timeout = 0")
        for name, definition in indexes.items():
            # An interrupted build leaves an invalid index with this name.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        for statement in then:
            op.execute(statement)
        op.execute("RESET lock_timeout")
