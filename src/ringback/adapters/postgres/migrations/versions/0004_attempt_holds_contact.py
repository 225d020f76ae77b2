"""An attempt holds its contact beside its phone, and the attempts of a contact are found by an index.

The previous version holds only the phone, and may run during this migration and after it. `holds_contact` is NULL in
its rows. A unique index treats NULLs as different values, so these rows never conflict, nor do the rows of a contact
that already has two attempts. Both indexes are built without locking writers out, which needs statements outside a
transaction. So each statement may be the second try of an interrupted one.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

_INDEXES = {
    "attempts_one_holds_the_contact": (
        "CREATE UNIQUE INDEX CONCURRENTLY attempts_one_holds_the_contact "
        "ON attempts (contact_id, holds_contact) WHERE holds_person"
    ),
    "attempts_contact_sent": "CREATE INDEX CONCURRENTLY attempts_contact_sent ON attempts (contact_id, sent_at)",
}


def upgrade() -> None:
    op.execute("ALTER TABLE attempts ADD COLUMN IF NOT EXISTS holds_contact boolean")
    op.execute(
        "COMMENT ON COLUMN attempts.holds_contact IS "
        "'true or NULL; counts only while holds_person, which is all that an older version clears'"
    )
    with op.get_context().autocommit_block():
        # The build waits for every older transaction, also for a dump, and blocks no writer.
        op.execute("SET lock_timeout = 0")
        for name, create in _INDEXES.items():
            # An interrupted build leaves an invalid index with this name.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(create)
        op.execute("RESET lock_timeout")
