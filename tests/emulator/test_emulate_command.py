"""`ringback emulate retell` reads its settings from the environment."""

from pathlib import Path

import pytest

from ringback.cli.running import emulate
from ringback_emulator.settings import RetellEmulatorSettings


@pytest.mark.parametrize(("max_live_calls", "lines"), [("4000", 4000), ("20", 1000)])
def test_the_emulated_accounts_limit_admits_every_call_in_progress(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, max_live_calls: str, lines: int
) -> None:
    started: list[RetellEmulatorSettings] = []
    monkeypatch.setattr("ringback_emulator.retell.run_retell", lambda settings, port: started.append(settings))
    monkeypatch.setenv("RINGBACK_MAX_LIVE_CALLS", max_live_calls)
    emulate("retell", state=tmp_path)
    assert [settings.concurrency_limit for settings in started] == [lines]
