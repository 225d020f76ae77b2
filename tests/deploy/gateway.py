"""An HTTP API before a running function: requests become events of payload format 2.0, as API Gateway makes them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deploy.aws.lambda_runtime import LambdaRuntime
from tests.http_api import http_event


@contextmanager
def serve_function(function: LambdaRuntime, port: int) -> Iterator[None]:
    """Serve the function until the end of the block. It runs once at a time, because it is one instance."""
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): ",".join(self.headers.get_all(name, [])) for name in self.headers}
            # API Gateway encodes what is not declared as text, so both forms travel here.
            event = http_event(raw if len(raw) % 2 else raw.decode(), headers)
            with one_at_a_time:
                answer = function.invoke(event)
            content = str(answer.get("body", json.dumps(answer) if "errorType" in answer else "")).encode()
            self.send_response(answer.get("statusCode", 500))
            for name, text in answer.get("headers", {}).items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
