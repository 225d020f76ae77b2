"""An installation is real or emulated, for ever; an API key has a role, a last use and an end."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE installation ADD COLUMN emulated boolean")
    op.execute("COMMENT ON COLUMN installation.emulated IS 'written once, by the first start; null before it'")
    # The previous version inserts keys without these columns. Such a key has every permission.
    op.execute("""
        ALTER TABLE api_keys
            ADD COLUMN role text NOT NULL DEFAULT 'admin' CHECK (role IN ('engage', 'viewer', 'operator', 'admin')),
            ADD COLUMN last_used_at timestamptz,
            ADD COLUMN revoked_at timestamptz
    """)
