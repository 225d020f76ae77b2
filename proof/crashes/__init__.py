"""kill -9 at every failpoint, on real PostgreSQL, in two modes of the provider; only ledgers and rows are asked."""

from proof.crashes.campaign import run

__all__ = ["run"]
