"""Planted bugs: changes that a good engineer might make, each put into the product, and each to be caught."""

from proof.findings import Findings, Say, Size


def run(size: Size, seed: int, say: Say) -> Findings:
    """The suite, imported here because each process that carries a bug imports this package at its start."""
    from proof.planted.suite import run as run_suite

    return run_suite(size, seed, say)
