"""Run the command line as `python -m ringback.cli`, without an executable on the path."""

from ringback.cli import main

main()
