"""No output is cut: wrapped between words on terminals of several widths, whole lines in a pipe."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from ringback.up.demo import CASES, _line, _outcome_table, _Progress, make_console
from tests.cli.test_calls import CALL, ENTRIES
from tests.cli.test_dialing import WHY

pytestmark = pytest.mark.matrix

WIDTHS = (20, 40, 80, 100, 200)
UUID = "01a20491-7446-7438-8476-b9da1cc0a52a"
LONG_CALL = {
    **CALL,
    "call_id": UUID,
    "contact_id": "a contact with a long name " * 8 + "END-OF-CONTACT",
    "reason": None,
}
LONG_ENTRIES = [
    *ENTRIES,
    {"at": "2026-12-01T18:02:00.000Z", "kind": "action", "action": "note_writeback", "code": "x" * 300 + "END-OF-CODE"},
    {"at": "2026-12-01T18:03:00.000Z", "kind": "suppression_added", "reason": "asked\x1b[2J\nby letter"},
]
ANSWERS = {
    f"/v1/calls/{UUID}": LONG_CALL,
    f"/v1/calls/{UUID}/timeline": {"entries": LONG_ENTRIES},
    "/v1/calls?limit=50": {"items": [LONG_CALL] * 3, "next_cursor": None},
    "/v1/why?contact_id=crm-42": WHY,
}
COMMANDS = {
    f"trace {UUID}": {UUID, "END-OF-CONTACT", "END-OF-CODE", "voice_ai_call_failed", "suppression_added", "call_9"},
    "calls": {UUID, "END-OF-CONTACT", "scheduled", "dial_busy"},
    "why crm-42": {"2026-12-02", "(outside_calling_hours).", "York.", "(attempt_gap)."},
}


class Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None: ...


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield {"PATH": "/usr/bin", "RINGBACK_URL": url, "RINGBACK_API_KEY": "rbk_1", "TERM": "xterm"}
    server.shutdown()
    server.server_close()


def piped(command: str, env: dict[str, str]) -> list[str]:
    arguments = [sys.executable, "-m", "ringback.cli", *command.split()]
    ended = subprocess.run(arguments, env=env, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def on_a_terminal(command: str, env: dict[str, str], width: int) -> list[str]:
    """Run the command on a pseudo-terminal of that width, and return its lines without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    arguments = [sys.executable, "-m", "ringback.cli", *command.split()]
    child = subprocess.Popen(arguments, env=env, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux reports the closed other end so
        pass
    os.close(ours)
    assert child.wait() == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_piped_line_is_whole(command, env):
    narrow, wide = (piped(command, env | {"COLUMNS": columns}) for columns in ("20", "500"))
    assert narrow == wide
    text = "\n".join(wide)
    assert [name for name in COMMANDS[command] if name not in text] == []
    assert not any(line.startswith(" ") or "…" in line for line in wide), "a row is one line"
    if command.startswith("trace"):
        assert len(wide) == len(LONG_ENTRIES) + 4
        assert r"reason=\"asked\u001b[2J\nby letter\"".replace('\\"', '"') in text, "no control character comes through"
    if command == "calls":
        assert len(wide) == 4


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_terminal_breaks_lines_between_words_and_loses_none(command, width, env):
    shown, whole = on_a_terminal(command, env, width), piped(command, env)
    # Words and their order are those of the pipe, at every width.
    assert " ".join(shown).split() == " ".join(whole).split()
    too_long = [line for line in shown if len(line) > width and len(line.split()) > 1]
    assert too_long == [], "a line that holds several words fits"


@pytest.mark.parametrize("columns", ["20", "40", "80", "200"])
def test_the_lines_of_the_demonstration_are_whole_in_a_pipe(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    stream = io.StringIO()
    console = make_console(stream)
    calls = [_Progress(case, f"c-{case.digits}", case.status) for case in CASES]
    for one in calls:
        one.events = [{"type": f"voice_ai_call_{name}"} for name in one.case.events]
        console.print(_line(1.5, one.case, console.render_str("call accepted"), "Voice API", "x" * 300), soft_wrap=True)
    console.print(_outcome_table(calls))
    lines = stream.getvalue().splitlines()
    assert sum(line.endswith("x" * 300) for line in lines) == len(CASES)
    for one in calls:
        assert any(one.case.story in line and " > ".join(one.case.events) in line for line in lines)
