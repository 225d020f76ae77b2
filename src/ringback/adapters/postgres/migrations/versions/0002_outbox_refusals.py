"""A refused outbox row is given up after its own refusals, not after tries without a response."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE outbox ADD COLUMN refusals integer NOT NULL DEFAULT 0")
    op.execute("COMMENT ON COLUMN outbox.refusals IS 'of its tries, those answered with a refusal of this very row'")
