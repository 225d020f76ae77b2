"""A call tells the reason of its last failure. Calls that failed before this have none."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE calls ADD COLUMN reason text")
    op.execute("COMMENT ON COLUMN calls.reason IS 'of the last failed event'")
