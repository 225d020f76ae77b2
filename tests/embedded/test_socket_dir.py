import os
import signal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest


def socket_dir_of(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


async def test_short_path_keeps_the_socket_beside_the_data(server_at, short_dir):
    server = server_at(short_dir)
    assert socket_dir_of(server.start()) == short_dir / "postgres" / "socket"


@pytest.mark.parametrize("name", ["d" * 120, "a, b's %41 + \u00e9:c"])
async def test_long_or_unusual_path_moves_the_socket_and_keeps_the_url(ask, server_at, tmp_path, name):
    data_dir = tmp_path / name
    data_dir.mkdir()
    server = server_at(data_dir)
    url = server.start()
    assert socket_dir_of(url).parent == Path("/tmp")
    assert socket_dir_of(url).stat().st_mode & 0o777 == 0o700
    assert await ask(url, "SELECT 1") == 1
    os.kill(server.pid, signal.SIGKILL)
    while server.is_alive():
        pass
    assert server.start() == url
    assert await ask(url, "SELECT 1") == 1
    server.stop()
    assert not socket_dir_of(url).exists()


async def test_short_directory_that_was_removed_is_made_again(ask, server_at, tmp_path):
    data_dir = tmp_path / ("d" * 120)
    data_dir.mkdir()
    server = server_at(data_dir)
    first = socket_dir_of(server.start())
    os.kill(server.pid, signal.SIGKILL)
    while server.is_alive():
        pass
    for leftover in first.iterdir():
        leftover.unlink()
    first.rmdir()
    url = server.start()
    assert socket_dir_of(url) != first
    assert await ask(url, "SELECT 1") == 1
