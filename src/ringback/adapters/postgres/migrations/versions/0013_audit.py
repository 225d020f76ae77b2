"""The audit log, and the ends of its chain. The previous version knows neither, and writes no rows of it."""

from alembic import op

revision = "0013"
down_revision = "0012"

# Deleted are only the rows that the start of the chain has moved past, which is how retention deletes.
_REFUSE = """
CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.sequence <= (SELECT purged_sequence FROM audit_chain) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'rows of audit are never changed, and only retention deletes them';
END $$
"""


def upgrade() -> None:
    op.execute(
        "CREATE TABLE audit (sequence bigint PRIMARY KEY, at timestamptz NOT NULL, actor text NOT NULL, "
        "action text NOT NULL, object text, detail json NOT NULL, previous_hash text NOT NULL)"
    )
    op.execute("COMMENT ON COLUMN audit.previous_hash IS 'sha256 of all fields of the row before'")
    op.execute("CREATE INDEX audit_object ON audit (object, sequence)")
    op.execute("CREATE INDEX audit_actor ON audit (actor, sequence)")
    op.execute(
        "CREATE TABLE audit_chain (is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only), "
        "last_sequence bigint NOT NULL, last_hash text NOT NULL, "
        "purged_sequence bigint NOT NULL, purged_hash text NOT NULL)"
    )
    op.execute(
        "INSERT INTO audit_chain (last_sequence, last_hash, purged_sequence, purged_hash) "
        "VALUES (0, repeat('0', 64), 0, repeat('0', 64))"
    )
    op.execute(_REFUSE)
    op.execute(
        "CREATE TRIGGER audit_rows_stay BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit()"
    )
    op.execute(
        "CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()"
    )
