"""A copy of the log that somebody carried here (`doudi centre ledger export`): read as the log itself is, and as untrusted."""

from pathlib import Path

from crypto.errors import DoudiError

# What the log answers at two addresses that one folder cannot hold, and what has no name there.
_NAMES = {"checkpoint/witnessed": "witnessed", "summary": "summary.json"}


class CarriedCopy:
    """The files of a copy. Raises `file.unreadable` for a folder that is none, `log.bad_answer` for a file that is too long."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "checkpoint").is_file():
            raise DoudiError(
                "file.unreadable",
                f"{folder.name} holds no copy of a log",
                "Give the folder that `doudi centre ledger export` wrote.",
            )
        self._folder = folder

    def get(self, path: str, at_most: int) -> bytes | None:
        """As `fetching.LogSource.get`."""
        name = _NAMES.get(path) or (path.replace("checkpoint/", "checkpoints/", 1) if "checkpoint/" in path else path)
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(at_most + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError:
            raise DoudiError("file.unreadable", f"{name} of the copy cannot be read", "Check the medium.") from None
        if len(data) > at_most:
            raise DoudiError("log.bad_answer", "a file of the copy is longer than anything of its kind")
        return data
