"""The department's extract in memory: read, checked against its data standard, and kept while the file stays the same.

pyarrow is imported when an extract is read: most commands read none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crypto.errors import DoudiError
from department_nodes.home import NodeHome
from policies.standards.loader import DatasetStandard, load_dataset_standard
from policies.standards.resident_id import normalise_resident_ids

if TYPE_CHECKING:
    from department_nodes.connectors.checking import ExtractReport


@dataclass(frozen=True)
class Extract:
    """A clean extract. `resident_ids` are normalised, in row order."""

    table: Any  # pyarrow.Table
    standard: DatasetStandard
    resident_ids: list[bytes]

    @property
    def people(self) -> int:
        """How many people the department holds."""
        return int(self.table.num_rows)

    def features(self, columns: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the encoded columns, float32 [people, width]."""
        from department_nodes.training.encoding import encode_columns

        return encode_columns(self.table, self.standard, columns)


class ExtractCache:
    """Holds the extract between steps; a changed file is read and checked again."""

    def __init__(self, home: NodeHome) -> None:
        self._home = home
        self._stamp: tuple[int, int] | None = None
        self._extract: Extract | None = None

    def load(self) -> Extract:
        """Return the clean extract. Raises `extract.faults` before anything leaves the node."""
        stamp = self._file_stamp()
        if self._extract is None or stamp is None or stamp != self._stamp:
            self._extract, self._stamp = read_clean(self._home), stamp
        return self._extract

    def _file_stamp(self) -> tuple[int, int] | None:
        """The file's time and size; nothing for a database table, which is read afresh each time."""
        path = Path(self._home.extract_uri)
        if not path.is_file():
            return None
        status = path.stat()
        return status.st_mtime_ns, status.st_size


def check(home: NodeHome, limit: int = 100) -> "ExtractReport":
    """Return the faults of the node's extract."""
    from department_nodes.connectors.checking import check_extract
    from department_nodes.connectors.reading import read_extract

    standard = load_dataset_standard(home.config.dataset, home.config.standard_version)
    return check_extract(read_extract(home.extract_uri, standard), standard, limit)


def read_clean(home: NodeHome) -> Extract:
    """Return the node's extract, read and checked now. Raises `extract.faults` and what reading raises."""
    from department_nodes.connectors.checking import check_extract, require_clean
    from department_nodes.connectors.reading import read_extract

    standard = load_dataset_standard(home.config.dataset, home.config.standard_version)
    table = read_extract(home.extract_uri, standard)
    require_clean(check_extract(table, standard))
    ids, bad = normalise_resident_ids(table.column("resident_id").to_pylist())
    if bad:
        raise DoudiError("extract.faults", "the extract has invalid resident ID numbers", "Run `doudi node check`.")
    # In the order of the numbers, whatever order a file or a database gives: rows are named by position between steps.
    order = np.argsort(np.array(ids), kind="stable")
    return Extract(table.take(order), standard, [ids[row].encode() for row in order.tolist()])
