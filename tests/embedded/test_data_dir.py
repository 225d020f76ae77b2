import os
import signal
import subprocess
import sys

import pytest

from ringback.embedded.data_dir import DataDirectoryInUse, DataDirectoryLock

HOLD = """
import sys
from pathlib import Path
from ringback.embedded.data_dir import DataDirectoryLock
lock = DataDirectoryLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_second_owner_is_refused_naming_the_first(tmp_path):
    with DataDirectoryLock(tmp_path):
        with pytest.raises(DataDirectoryInUse, match=f"in use by process {os.getpid()}$") as refused:
            DataDirectoryLock(tmp_path).acquire()
    assert refused.value.pid == os.getpid()


def test_lock_of_a_killed_process_is_free(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirectoryInUse) as refused:
            DataDirectoryLock(tmp_path).acquire()
        assert refused.value.pid == holder.pid
        holder.send_signal(signal.SIGKILL)
    with DataDirectoryLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_pid_of_a_dead_owner_is_not_reported(tmp_path):
    holder = DataDirectoryLock(tmp_path)
    holder.acquire()
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "lock").write_text(f"{gone.pid}\n")
    with pytest.raises(DataDirectoryInUse, match="unknown") as refused:
        DataDirectoryLock(tmp_path).acquire()
    assert refused.value.pid is None
    holder.release()


def test_released_lock_is_free_and_second_release_does_nothing(tmp_path):
    lock = DataDirectoryLock(tmp_path / "made" / "when" / "missing")
    lock.acquire()
    lock.acquire()
    lock.release()
    lock.release()
    with DataDirectoryLock(tmp_path / "made" / "when" / "missing"):
        pass
