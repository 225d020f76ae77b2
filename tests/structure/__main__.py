"""`python -m tests.structure`: print the measures of the structure."""

import sys

from tests.structure.measures import measures

for name, value in measures().items():
    sys.stdout.write(f"{name:<50} {value}\n")
