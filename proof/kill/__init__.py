"""kill -9 of everything but the outside world with calls in flight: the next start settles them all."""

from proof.kill.suite import run

__all__ = ["run"]
