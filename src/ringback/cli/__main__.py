"""python -m ringback.cli, which needs no executable on the path."""

from ringback.cli import main

main()
