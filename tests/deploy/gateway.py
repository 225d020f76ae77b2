"""An HTTP API before a running function: requests become events of payload format 2.0, as API Gateway makes them."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deploy.aws.lambda_runtime import LambdaRuntime


@contextmanager
def serve_function(function: LambdaRuntime, port: int) -> Iterator[None]:
    """Serve the function until the end of the block. It runs once at a time, because it is one instance."""
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            names = {name.lower() for name in self.headers}
            event = {
                "version": "2.0",
                "routeKey": f"POST {self.path}",
                "rawPath": self.path,
                "rawQueryString": "",
                "headers": {name: ",".join(self.headers.get_all(name, [])) for name in names},
                "requestContext": {
                    "http": {"method": "POST", "path": self.path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
                    "timeEpoch": time.time_ns() // 1_000_000,
                },
                # API Gateway encodes what is not declared as text, so both forms travel here.
                "body": base64.b64encode(raw).decode() if len(raw) % 2 else raw.decode(),
                "isBase64Encoded": bool(len(raw) % 2),
            }
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
