"""The faults of a provider, through a proxy that loses, cuts, delays, refuses and repeats; only ledgers are asked."""

from proof.provider.suite import run

__all__ = ["run"]
