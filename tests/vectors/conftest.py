"""Published test vectors, read from where they are: none is copied into this project.

``JOSE_VECTORS`` names a folder with a copy of each; without it these tests are not collected.
"""

import os
from pathlib import Path

VECTORS = Path(os.environ.get("JOSE_VECTORS", ""))

if not os.environ.get("JOSE_VECTORS"):
    collect_ignore_glob = ["test_*.py"]
