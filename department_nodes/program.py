"""The hash of the installed program: what a grant pins, so that no other code answers for it."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from crypto.errors import DoudiError

PACKAGES = ("command_line", "crypto", "department_nodes", "policies")
LEFT_OUT = {"__pycache__"}
DOCUMENTATION = {".md"}  # wheels do not hold it, and it runs nothing


@cache
def program_hash() -> str:
    """Return SHA-256 over the sorted paths and contents of the installed packages, as 64 hex characters.

    Computed once per process, from the files that this process was started from: a file that changes later does not
    change what is running.
    """
    hasher = hashlib.sha256(b"doudi-program-v1\x00")
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise DoudiError("program.missing", f"the package {package} is not installed", "Install Doudi again.")
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*")):
            relative = path.relative_to(root)
            if not path.is_file() or LEFT_OUT & set(relative.parts) or path.suffix in {".pyc", *DOCUMENTATION}:
                continue
            content = path.read_bytes()
            for field in (f"{package}/{relative.as_posix()}".encode(), content):
                hasher.update(len(field).to_bytes(8, "big"))
                hasher.update(field)
    return hasher.hexdigest()
