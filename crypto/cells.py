"""One authenticated cell per slot, so that a relay can forward some slots but cannot read, change or move a cell.

AES-256-GCM (NIST SP 800-38D). The cell key is derived by HKDF-SHA256 from the given key and the context, so that one
key under two contexts does not repeat nonces. Cells carry no version byte of their own, because they are rows of an
array whose message has one; the version is part of the associated data. Imports `cryptography`, `numpy`, `domains`,
`errors`.
"""

import hashlib
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto import domains
from crypto.errors import CryptoError

KEY_BYTES = 32
TAG_BYTES = 16
_NONCE_BYTES = 12


def generate_cell_key() -> bytes:
    """Return a fresh 32-byte key, to seal one array."""
    return os.urandom(KEY_BYTES)


def seal_cells(
    key: bytes,
    context: bytes,
    slots: npt.NDArray[np.uint32],
    values: npt.NDArray[np.uint8],
    bindings: Sequence[bytes] | None = None,
) -> npt.NDArray[np.uint8]:
    """Return one cell per slot, uint8 [n, width + 16]: ciphertext ‖ tag.

    `slots`: different slot numbers, uint32 [n]. `values`: uint8 [n, width]. `bindings`: what else a cell belongs to,
    for example the slot's pseudonym; [n] or none.

    The nonce is 4 zero bytes and the slot number in 8 bytes, unique because slots differ and **a key seals one array
    once per context**. Sealing other values again under the same key and context would open both and lose authenticity.

    Raises `CryptoError` "cells.bad_key", "cells.wrong_shape", "cells.duplicate_slot".
    """
    _require_shapes(slots, values, bindings, min_width=1)
    if len(np.unique(slots)) != len(slots):
        raise CryptoError("cells.duplicate_slot", "a slot appears twice, which would repeat a nonce")
    cipher, label = _cipher_and_label(key, context)
    encrypt, rows = cipher.encrypt, _rows(values)
    if bindings is None:
        sealed = [encrypt(nonce, row, label) for nonce, row in zip(_nonces(slots), rows, strict=True)]
    else:
        bound = zip(_nonces(slots), rows, bindings, strict=True)
        sealed = [encrypt(nonce, row, label + binding) for nonce, row, binding in bound]
    return _array(sealed, values.shape[1] + TAG_BYTES)


def open_cells(
    key: bytes,
    context: bytes,
    slots: npt.NDArray[np.uint32],
    cells: npt.NDArray[np.uint8],
    bindings: Sequence[bytes] | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the values, uint8 [n, width], of any subset of the sealed slots in any order.

    That slots are missing is not noticed here: the caller compares with the slots that it expects.
    Raises `CryptoError` "cells.tampered" at the first cell that does not belong to its slot, context and binding,
    without saying which; "cells.bad_key", "cells.wrong_shape".
    """
    _require_shapes(slots, cells, bindings, min_width=TAG_BYTES + 1)
    cipher, label = _cipher_and_label(key, context)
    decrypt, rows = cipher.decrypt, _rows(cells)
    try:
        if bindings is None:
            opened = [decrypt(nonce, row, label) for nonce, row in zip(_nonces(slots), rows, strict=True)]
        else:
            bound = zip(_nonces(slots), rows, bindings, strict=True)
            opened = [decrypt(nonce, row, label + binding) for nonce, row, binding in bound]
    except InvalidTag:
        raise CryptoError(
            "cells.tampered",
            "a cell does not authenticate under its slot, context and binding",
            "Do not use any cell of this array; have the sender's stored message sent again.",
        ) from None
    return _array(opened, cells.shape[1] - TAG_BYTES)


def _cipher_and_label(key: bytes, context: bytes) -> tuple[AESGCM, bytes]:
    if len(key) != KEY_BYTES:
        raise CryptoError("cells.bad_key", f"a cell key has {KEY_BYTES} bytes, got {len(key)}")
    # The domain ends in the version, and the hash has a fixed length, so the binding behind it cannot be shifted.
    label = domains.CELL + hashlib.sha256(context).digest()
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=label).derive(key)), label


def _nonces(slots: npt.NDArray[np.uint32]) -> list[bytes]:
    nonces = np.zeros((len(slots), _NONCE_BYTES), dtype=np.uint8)
    nonces[:, 4:] = slots.astype(">u8").view(np.uint8).reshape(-1, 8)
    return _rows(nonces)


def _rows(array: npt.NDArray[np.uint8]) -> list[bytes]:
    data, width = array.tobytes(), array.shape[1]
    return [data[start : start + width] for start in range(0, len(data), width)]


def _array(rows: list[bytes], width: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytearray(b"".join(rows)), dtype=np.uint8).reshape(len(rows), width)


def _require_shapes(
    slots: npt.NDArray[np.uint32], rows: npt.NDArray[np.uint8], bindings: Sequence[bytes] | None, min_width: int
) -> None:
    if slots.dtype != np.uint32 or slots.ndim != 1:
        raise CryptoError("cells.wrong_shape", "slots are a one-dimensional uint32 array")
    if rows.dtype != np.uint8 or rows.ndim != 2 or len(rows) != len(slots) or rows.shape[1] < min_width:
        raise CryptoError("cells.wrong_shape", f"there must be one row of at least {min_width} uint8 per slot")
    if bindings is not None and len(bindings) != len(slots):
        raise CryptoError("cells.wrong_shape", "there must be one binding per slot")
