"""The PostgreSQL that comes with the package: found, made, started, supervised and stopped."""

from ringback.domain.errors import StartRefused


class EmbeddedPostgresError(StartRefused):
    """The embedded PostgreSQL cannot do what was asked; the message says why and what to do."""
