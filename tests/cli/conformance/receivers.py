"""A receiver of ABT events and CRM writes that keeps every rule, and receivers that each break one."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from standardwebhooks import Webhook, WebhookVerificationError

from tests.event_schemas import checked_event

SECRET = "whsec_" + base64.b64encode(b"the secret of Engage and Ringback").decode()
OPEN_BODIES = 32 * 1024
#: The method of each path, by its end.
PATHS = {"abt-events": "POST", "fields": "PATCH", "notes": "POST"}
Headers = Mapping[str, str]
Json = dict[str, Any]


class GoodReceiver:
    """Verifies, then records each event and applies each write once.

    `broken` gets requests whose body did not arrive whole.
    """

    def __init__(self) -> None:
        self.events: dict[str, Json] = {}
        self.writes: dict[str, Json] = {}
        self.contacts: dict[str, Json] = {}
        self.lock = threading.Lock()

    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        try:
            content = self.verified(headers, body)
        except (WebhookVerificationError, ValueError, KeyError):
            return 401
        with self.lock:
            if path == "/abt-events":
                return self.record(headers["webhook-id"], content)
            return self.write(headers["idempotency-key"], path, content)

    def verified(self, headers: Headers, body: bytes) -> Json:
        content: Json = Webhook(SECRET).verify(body, dict(headers))
        return content

    def record(self, id_: str, event: Json) -> int:
        self.events.setdefault(id_, event)
        return 202

    def write(self, id_: str, path: str, content: Json) -> int:
        if id_ not in self.writes:
            self.writes[id_] = content
            self.apply(unquote(path.split("/")[2]), content)
        return 204

    def apply(self, contact_id: str, content: Json) -> None:
        contact = self.contacts.setdefault(contact_id, {"fields": {}, "notes": []})
        contact["fields"].update(content.get("fields", {}))
        contact["notes"] += [content["note"]] if "note" in content else []

    def broken(self, headers: Headers) -> None: ...


class RefusesAType(GoodReceiver):
    def record(self, id_: str, event: Json) -> int:
        return 400 if event["type"] == "voice_ai_call_left_voicemail" else super().record(id_, event)


class HasAnotherSecret(GoodReceiver):
    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        return 401


class Redirects(RefusesAType):
    def record(self, id_: str, event: Json) -> int:
        return 302 if super().record(id_, event) == 400 else 202


class RefusesRepeats(GoodReceiver):
    def record(self, id_: str, event: Json) -> int:
        return 409 if id_ in self.events else super().record(id_, event)


class RefusesARepeatInProgress(GoodReceiver):
    def __init__(self) -> None:
        super().__init__()
        self.in_progress: set[str] = set()

    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        id_ = headers.get("webhook-id", "")
        with self.lock:
            if id_ in self.in_progress:
                return 409
            self.in_progress.add(id_)
        time.sleep(0.01)
        answer = super().answer(headers, body, path)
        self.in_progress.discard(id_)
        return answer


class NotesAnIdBeforeItsEvent(GoodReceiver):
    def __init__(self) -> None:
        super().__init__()
        self.noted: set[str] = set()

    def broken(self, headers: Headers) -> None:
        self.noted.add(headers["webhook-id"])

    def record(self, id_: str, event: Json) -> int:
        return 409 if id_ in self.noted else super().record(id_, event)


class ExpectsOneCallAfterTheOther(GoodReceiver):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def record(self, id_: str, event: Json) -> int:
        call_id = event["subject"]
        if id_ not in self.events and call_id in self.calls[:-1]:
            return 409
        if call_id not in self.calls:
            self.calls.append(call_id)
        return super().record(id_, event)


class HasNoContacts(GoodReceiver):
    def write(self, id_: str, path: str, content: Json) -> int:
        return 404


class KnowsPlainContactIds(GoodReceiver):
    """Finds a contact by the segment of the path, without decoding it."""

    def write(self, id_: str, path: str, content: Json) -> int:
        return super().write(id_, path, content) if "%" not in path else 404


class IgnoresTheKeyOfAWrite(GoodReceiver):
    def write(self, id_: str, path: str, content: Json) -> int:
        self.writes.pop(id_, None)
        return super().write(id_, path, content)


class RefusesARepeatedWrite(GoodReceiver):
    def write(self, id_: str, path: str, content: Json) -> int:
        return 409 if id_ in self.writes else super().write(id_, path, content)


class VerifiesEventsOnly(GoodReceiver):
    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        if path == "/abt-events":
            return super().answer(headers, body, path)
        with self.lock:
            return self.write(headers["idempotency-key"], path, json.loads(body))


class TakesFewAtOnce(GoodReceiver):
    def __init__(self) -> None:
        super().__init__()
        self.in_progress = 0

    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        with self.lock:
            self.in_progress += 1
            is_much = self.in_progress > 5
        time.sleep(0.02)
        try:
            return 400 if is_much else super().answer(headers, body, path)
        finally:
            with self.lock:
                self.in_progress -= 1


class WantsTheOriginalOfACorrection(GoodReceiver):
    def record(self, id_: str, event: Json) -> int:
        original = event["data"].get("corrects")
        return 404 if original is not None and original not in self.events else super().record(id_, event)


class RefusesUnknownTypes(GoodReceiver):
    def record(self, id_: str, event: Json) -> int:
        known = event["type"].startswith("voice_ai_call_") or event["type"] == "lead_qualified"
        return super().record(id_, event) if known else 422


class RefusesUnknownMembers(GoodReceiver):
    def record(self, id_: str, event: Json) -> int:
        try:
            checked_event(event)
        except AssertionError:
            return 422
        return super().record(id_, event)


class VerifiesJsonOfItsOwn(GoodReceiver):
    def verified(self, headers: Headers, body: bytes) -> Json:
        own = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False)
        return super().verified(headers, own.encode())


class TakesSmallBodies(GoodReceiver):
    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        return 413 if len(body) > OPEN_BODIES else super().answer(headers, body, path)


class TakesUnsigned(GoodReceiver):
    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        return super().answer(headers, body, path) if "webhook-signature" in headers else 202


class FailsAtAGarbledSignature(GoodReceiver):
    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        try:
            base64.b64decode(headers.get("webhook-signature", "").removeprefix("v1,"), validate=True)
        except ValueError:
            return 500
        return super().answer(headers, body, path)


class TakesTheIdFromTheBody(GoodReceiver):
    def verified(self, headers: Headers, body: bytes) -> Json:
        return super().verified({**headers, "webhook-id": json.loads(body).get("id", headers["webhook-id"])}, body)


class NeverLooksAtTheTime(GoodReceiver):
    def verified(self, headers: Headers, body: bytes) -> Json:
        signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(right, headers["webhook-signature"]):
            raise ValueError("another signature")
        event: Json = json.loads(body)
        return event


class NotesAnIdBeforeItIsVerified(GoodReceiver):
    def __init__(self) -> None:
        super().__init__()
        self.noted: set[str] = set()

    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        id_ = headers.get("webhook-id", "")
        answer = 409 if id_ in self.noted else super().answer(headers, body, path)
        if answer == 401:
            self.noted.add(id_)
        return answer


class VerifiesNothing(GoodReceiver):
    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        content = json.loads(body)
        with self.lock:
            if path == "/abt-events":
                return self.record(content["id"], content)
            return self.write(headers["idempotency-key"], path, content)


class AnswersLateOnce(GoodReceiver):
    """Answers the first delivery of a voicemail after the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first: str | None = None
        self.repeated = threading.Event()

    def answer(self, headers: Headers, body: bytes, path: str) -> int:
        if b"voice_ai_call_left_voicemail" in body:
            with self.lock:
                is_first, self.first = self.first is None, self.first or headers["webhook-id"]
            if is_first:
                self.repeated.wait(60)
            else:
                self.repeated.set()
        return super().answer(headers, body, path)


class NeverAnswers(GoodReceiver):
    def record(self, id_: str, event: Json) -> int:
        time.sleep(1.5)
        return 202


class IsBusyAtFirst(GoodReceiver):
    """Keeps every rule: each third event is answered 503 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def record(self, id_: str, event: Json) -> int:
        if id_ not in self.seen:
            self.seen.append(id_)
            if len(self.seen) % 3 == 0:
                return 503
        return super().record(id_, event)


@contextmanager
def serving(receiver: GoodReceiver) -> Iterator[str]:
    """Serve the receiver on loopback, and yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            contact = receiver.contacts.get(unquote(self.path.removeprefix("/crm/")))
            page = json.dumps(contact).encode()
            self.send_response(200 if contact is not None else 404)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def do_POST(self) -> None:
            headers = {name.lower(): text for name, text in self.headers.items()}
            length = int(headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:
                receiver.broken(headers)
                self.close_connection = True
                return
            path = self.path.removeprefix("/hooks")
            is_known = PATHS.get(path.rpartition("/")[2]) == self.command
            status = receiver.answer(headers, body, path) if is_known else 404
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                self.close_connection = True  # the client has left

        do_PATCH = do_POST

        def log_message(self, format: str, *args: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hooks"
        server.shutdown()
        thread.join()
