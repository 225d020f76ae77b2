"""An Engage that accepts every request. GET /count tells how many there were."""

import argparse

from benchmarks.stub_server import serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    requests = 0

    async def respond(head: bytes, body: bytes) -> bytes:
        nonlocal requests
        if head.startswith(b"GET /count"):
            return b"%d" % requests
        requests += 1
        return b"{}"

    serve(respond, parser.parse_args().port)


if __name__ == "__main__":
    main()
