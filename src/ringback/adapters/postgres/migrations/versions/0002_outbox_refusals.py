"""A refused row of the outbox is given up after refusals of its own, not after tries that found nobody there."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE outbox ADD COLUMN refusals integer NOT NULL DEFAULT 0")
    op.execute("COMMENT ON COLUMN outbox.refusals IS 'of its tries, those answered with a refusal of this very row'")
