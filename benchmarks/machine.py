"""Where and with what a benchmark ran, written into every file beside its figures."""

import os
import platform
from importlib import metadata
from typing import Any

PACKAGES = ("flwr", "torch", "scikit-learn", "cryptography", "rbcl", "numpy", "pyarrow", "sqlalchemy", "fastapi")


def describe() -> dict[str, Any]:
    """Return processor count, platform and versions."""
    return {
        "processors": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
