"""What can go wrong with the embedded PostgreSQL, said in words for the person at the terminal."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot do what was asked; the message says why and what to do."""


class BinariesNotFound(EmbeddedPostgresError):
    """No usable PostgreSQL programs on this machine."""
