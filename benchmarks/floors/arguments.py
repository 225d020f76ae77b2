"""The arguments of every program beside the product. The peers' environment imports this, so it uses no library."""

import argparse
from pathlib import Path


def read_arguments(description: str | None) -> argparse.Namespace:
    """Every program gets all of them, and uses those that it needs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True, help="listens here, if it serves HTTP")
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--provider-url", required=True)
    parser.add_argument("--queue-url", required=True, help="of SQS, or of the broker")
    parser.add_argument("--counts", type=Path, required=True, help="its calls of the queue are written here at the end")
    parser.add_argument("--enqueue", type=int, help="enqueue so many calls and end; for programs with a broker")
    parser.add_argument("--first", type=int, default=0, help="the number of the first call to enqueue")
    return parser.parse_args()
