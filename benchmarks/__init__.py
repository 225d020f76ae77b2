"""Throughput and latency of the product's four busy paths, each beside the bare floor of the same run."""
