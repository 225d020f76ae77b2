"""The dial protocol as a model that is searched to its last state, and compared with the product step by step."""

from proof.model.suite import run

__all__ = ["run"]
