"""What `up` remembers."""

import json

import pytest

from ringback.up.state import load_state, new_state, save_state


def test_what_was_saved_is_loaded_and_nobody_else_may_read_it(tmp_path):
    state = new_state("127.0.0.1", 8080)
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state
    assert (tmp_path / "up.json").stat().st_mode & 0o777 == 0o600


def test_a_file_of_an_earlier_version_is_read_without_its_process_ids(tmp_path):
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
def test_the_emulators_reach_up_under_an_address_of_this_machine(host, own_url):
    assert new_state(host, 8080).own_url == own_url


def test_half_a_file_counts_as_none(tmp_path):
    (tmp_path / "up.json").write_text('{"url": "http')
    assert load_state(tmp_path) is None
