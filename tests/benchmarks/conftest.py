"""Makes the benchmarks, which stand beside the product and not inside it, importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
