"""Actions are numbered in their order: the actions between two requests tell a repeat from a new request."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("CREATE SEQUENCE action_results_ordinal")
    # Without a default, so no row is rewritten. Older rows have no number.
    op.execute("ALTER TABLE action_results ADD COLUMN ordinal bigint")
    op.execute("ALTER TABLE action_results ALTER COLUMN ordinal SET DEFAULT nextval('action_results_ordinal')")
    op.execute("ALTER SEQUENCE action_results_ordinal OWNED BY action_results.ordinal")
    op.execute("COMMENT ON COLUMN action_results.ordinal IS 'the order in which actions were done, under their locks'")
