"""Tombstones of erased people, and the keys of their hashes."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # Straight to asyncpg, inside SQLAlchemy's transaction: a prepared statement could hold only one of these.
    bind = op.get_bind()
    bind.exec_driver_sql("SELECT 1")
    driver_connection: Any = bind.connection.dbapi_connection
    driver_connection.run_async(lambda driver: driver.execute(Path(__file__).with_suffix(".sql").read_text()))
