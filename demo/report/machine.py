"""What the run was measured on: processor count, system and versions. No host name, no path, no user."""

import os
import platform
from importlib import metadata

__all__ = ["describe_machine", "installed_versions"]

# What the figures depend on: the engine, the learners and the cryptography.
_PACKAGES = ("doudi", "flwr", "torch", "scikit-learn", "numpy", "cryptography", "rbcl")


def describe_machine() -> dict[str, str | int]:
    """Return cores that this process may use, architecture and system."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "architecture": platform.machine(),
        "system": platform.system(),
    }


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed here."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
