"""kill -9 at every failpoint, on real PostgreSQL; only ledgers and rows are asked.

The modes: the provider's idempotency is on, off, and off with units of work in groups.
"""

from proof.crashes.campaign import run

__all__ = ["run"]
