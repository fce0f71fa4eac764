import pathlib
import sys

# ``tiny`` is shared with tests/sampling.
sys.path.insert(0, str(pathlib.Path(__file__).parent))
