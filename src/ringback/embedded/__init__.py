"""The PostgreSQL that comes with the package: found, made, started, supervised and stopped."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot do what was asked; the message says why and what to do."""
