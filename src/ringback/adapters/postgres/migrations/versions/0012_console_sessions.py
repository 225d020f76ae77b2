"""The console's sessions and login links. The previous version knows neither, and is not disturbed."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    # A revoked key stays as a row, so a session is checked against it at each request. A deleted one takes its sessions
    # with it.
    op.execute(
        "CREATE TABLE console_sessions (token_hash text PRIMARY KEY, kind text NOT NULL CHECK (kind IN ('session', "
        "'link')), key_hash text NOT NULL REFERENCES api_keys (key_hash) ON DELETE CASCADE, created_at timestamptz "
        "NOT NULL, expires_at timestamptz NOT NULL)"
    )
    op.execute("CREATE INDEX console_sessions_key ON console_sessions (key_hash)")
    op.execute("COMMENT ON COLUMN console_sessions.token_hash IS 'sha256 of 256 random bits'")
