"""The file `up.json` of a data directory."""

import json

import pytest

from ringback.up.state import load_state, new_state, save_state


def test_the_saved_state_is_loaded_and_the_file_is_private(tmp_path):
    state = new_state("127.0.0.1", 8080)
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state
    assert (tmp_path / "up.json").stat().st_mode & 0o777 == 0o600


def test_load_ignores_the_process_ids_of_an_earlier_version(tmp_path):
    state = new_state("127.0.0.1", 8080)
    save_state(tmp_path, state)
    written = json.loads((tmp_path / "up.json").read_text())
    (tmp_path / "up.json").write_text(json.dumps({**written, "retell_pid": 1, "engage_pid": 2}))
    assert load_state(tmp_path) == state


@pytest.mark.parametrize(
    ("host", "own_url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("10.1.2.3", "http://10.1.2.3:8080"),
    ],
)
def test_the_own_url_is_an_address_of_this_machine(host, own_url):
    assert new_state(host, 8080).own_url == own_url


def test_load_returns_none_for_half_a_file(tmp_path):
    (tmp_path / "up.json").write_text('{"url": "http')
    assert load_state(tmp_path) is None
