"""Time stamps of checkpoints: what an authority outside of the log says about when a checkpoint existed. Offline.

A stamp binds the text of a checkpoint to a time. It is judged with the authority's root certificate that the auditor obtained
from the authority itself; without one a stamp proves nothing here, and that is said.
"""

from auditors.store import CHECKPOINTS, TIMESTAMPS, Store, StoreError
from auditors.verification.findings import Findings, Severity
from crypto.errors import DoudiError
from crypto.timestamps import MAXIMUM_RESPONSE_BYTES, load_roots, verify_timestamp


def verify_timestamps(store: Store, roots_pem: bytes | None, findings: Findings) -> dict[int, int]:
    """Return the times of the stamps that hold, by the size of their checkpoint, in seconds since 1970 UTC.

    `roots_pem`: the authority's certificates, or `None`. Raises `timestamp.no_root` for a file without a certificate.
    """
    roots = None if roots_pem is None else load_roots(roots_pem)
    found: dict[int, int] = {}
    for size in store.timestamp_sizes():
        place = f"{TIMESTAMPS}/{size}"
        if roots is None:
            findings.add("timestamp.unjudged", place, Severity.NOTICE, size=size)
            continue
        try:
            text = store.note(f"{CHECKPOINTS}/{size}").text.encode()
            found[size] = verify_timestamp(store.read(place, MAXIMUM_RESPONSE_BYTES), text, roots)
        except StoreError as error:
            findings.add(error.code, error.place)
        except DoudiError:
            findings.add("timestamp.wrong", place, size=size)
    return found
