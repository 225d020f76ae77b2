"""The function's bundle, built once by its command."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "webhook_lambda"
    command = [sys.executable, "-m", "deploy.aws.bundle", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "21 modules" in run.stdout
    return folder
