"""JSON lines files: what was written survives, and one process has the file open."""

import json

import pytest

from ringback_emulator.json_lines import JsonLinesFile, JsonLinesFileInUse


def test_an_incomplete_last_line_is_removed(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"a":1}\n{"b":')
    file = JsonLinesFile(path)
    file.append({"c": 3})
    assert list(file.records()) == [{"a": 1}, {"c": 3}]
    assert json.loads(file.as_items()) == {"items": [{"a": 1}, {"c": 3}]}
    file.close()


def test_a_file_is_open_in_one_process(tmp_path):
    file = JsonLinesFile(tmp_path / "j.jsonl")
    with pytest.raises(JsonLinesFileInUse):
        JsonLinesFile(tmp_path / "j.jsonl")
    file.close()
