"""The first schema."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    script = (
        Path(__file__).with_suffix(".sql").read_text() + (Path(__file__).parents[2] / "message_queue.sql").read_text()
    )
    # Straight to asyncpg, inside SQLAlchemy's transaction: a prepared statement could hold only one of these.
    bind = op.get_bind()
    bind.exec_driver_sql("SELECT 1")
    driver_connection: Any = bind.connection.dbapi_connection
    driver_connection.run_async(lambda driver: driver.execute(script))
