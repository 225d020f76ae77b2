"""Plants the bug that the environment names. Python imports this at its start, because the folder is on its path."""

from proof.planted.bug import install_from_environment

try:
    install_from_environment()
except Exception as error:
    # Python goes on after any other error, and the process would run without the bug.
    raise SystemExit(f"the bug is not planted: {type(error).__name__}: {error}") from error
