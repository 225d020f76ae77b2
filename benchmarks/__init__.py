"""Throughput and latency of the product's busy paths and of its actions, each beside its floor in the same run."""
