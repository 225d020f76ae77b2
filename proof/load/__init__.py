"""Twice what one machine sustains: shed with a plain answer, nothing accepted is lost, memory stays flat."""

from proof.load.suite import run

__all__ = ["run"]
