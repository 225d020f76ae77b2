"""What `up` remembers."""

from ringback.up.state import load_state, new_state, save_state


def test_what_was_saved_is_loaded_and_nobody_else_may_read_it(tmp_path):
    state = new_state("127.0.0.1", 8080)
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state
    assert (tmp_path / "up.json").stat().st_mode & 0o777 == 0o600


def test_half_a_file_counts_as_none(tmp_path):
    (tmp_path / "up.json").write_text('{"url": "http')
    assert load_state(tmp_path) is None
