"""Cells: sealed one by one, forwarded in part, never read, changed or moved."""

import numpy as np
import numpy.typing as npt
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from crypto import cells
from crypto.errors import CryptoError

KEY = cells.generate_cell_key()
SLOTS = np.array([3, 0, 2**32 - 1, 17], dtype=np.uint32)
VALUES = np.arange(8, dtype=np.uint8).reshape(4, 2)
BINDINGS = [b"p1", b"p2", b"", b"p3"]
SEALED = cells.seal_cells(KEY, b"context", SLOTS, VALUES, BINDINGS)


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


@given(st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=20), st.integers(1, 9), st.booleans())
def test_sealed_cells_open(slots: list[int], width: int, bound: bool) -> None:
    numbers = np.array(slots, dtype=np.uint32)
    values = np.arange(len(slots) * width, dtype=np.uint8).reshape(len(slots), width)
    bindings = [str(slot).encode() for slot in slots] if bound else None
    sealed = cells.seal_cells(KEY, b"c", numbers, values, bindings)
    assert sealed.shape == (len(slots), width + 16)
    assert np.array_equal(cells.open_cells(KEY, b"c", numbers, sealed, bindings), values)


def test_any_subset_opens_in_any_order() -> None:
    chosen = [3, 1]
    opened = cells.open_cells(KEY, b"context", SLOTS[chosen], SEALED[chosen], [BINDINGS[index] for index in chosen])
    assert np.array_equal(opened, VALUES[chosen])


def test_equal_values_look_different_in_different_slots() -> None:
    sealed = cells.seal_cells(KEY, b"other", SLOTS, np.zeros((4, 8), dtype=np.uint8))
    assert len({bytes(row) for row in sealed[:, :8]}) == 4


def test_the_same_key_under_another_context_uses_another_stream() -> None:
    zeros = np.zeros((4, 16), dtype=np.uint8)
    one, two = (cells.seal_cells(KEY, context, SLOTS, zeros) for context in (b"a", b"b"))
    assert not np.array_equal(one[:, :16], two[:, :16])


def test_a_moved_changed_or_rebound_cell_is_refused() -> None:
    swapped = SEALED[[1, 0, 2, 3]]
    assert code_of(cells.open_cells, KEY, b"context", SLOTS, swapped, BINDINGS) == "cells.tampered"
    other = [BINDINGS[1], BINDINGS[0], *BINDINGS[2:]]
    assert code_of(cells.open_cells, KEY, b"context", SLOTS, SEALED, other) == "cells.tampered"
    assert code_of(cells.open_cells, KEY, b"context", SLOTS, SEALED, None) == "cells.tampered"
    assert code_of(cells.open_cells, KEY, b"contexu", SLOTS, SEALED, BINDINGS) == "cells.tampered"
    assert code_of(cells.open_cells, bytes(32), b"context", SLOTS, SEALED, BINDINGS) == "cells.tampered"
    assert code_of(cells.open_cells, KEY, b"context", SLOTS, SEALED[:, 1:], BINDINGS) == "cells.tampered"
    slots = SLOTS.copy()
    slots[2] = 5
    assert code_of(cells.open_cells, KEY, b"context", slots, SEALED, BINDINGS) == "cells.tampered"


@given(st.integers(0, 3), st.integers(0, 17), st.integers(1, 255))
def test_a_changed_byte_is_refused(row: int, column: int, difference: int) -> None:
    changed = SEALED.copy()
    changed[row, column] ^= difference
    assert code_of(cells.open_cells, KEY, b"context", SLOTS, changed, BINDINGS) == "cells.tampered"


def test_a_cell_of_another_sender_key_in_the_same_slot_is_refused() -> None:
    # Same nonce and context, other key: the tag decides, not the layout.
    foreign = AESGCM(bytes(32)).encrypt(bytes(12), b"ab", b"")
    rows = np.frombuffer(foreign, dtype=np.uint8).reshape(1, 18)
    assert code_of(cells.open_cells, KEY, b"context", SLOTS[1:2], rows) == "cells.tampered"


def test_a_slot_that_appears_twice_is_refused() -> None:
    assert code_of(cells.seal_cells, KEY, b"c", np.zeros(4, dtype=np.uint32), VALUES) == "cells.duplicate_slot"


SHAPES: list[tuple[npt.NDArray[np.generic], npt.NDArray[np.generic], list[bytes] | None]] = [
    (SLOTS.astype(np.int64), VALUES, None),
    (SLOTS[:3], VALUES, None),
    (SLOTS, VALUES[:, 0], None),
    (SLOTS, VALUES[:, :0], None),
    (SLOTS, VALUES.astype(np.int16), None),
    (SLOTS, VALUES, BINDINGS[:3]),
    (SLOTS.reshape(2, 2), VALUES, None),
]


@pytest.mark.parametrize(("slots", "values", "bindings"), SHAPES)
def test_arrays_of_another_shape_are_refused(slots: object, values: object, bindings: object) -> None:
    assert code_of(cells.seal_cells, KEY, b"c", slots, values, bindings) == "cells.wrong_shape"


def test_cells_too_narrow_for_a_tag_and_bad_keys_are_refused() -> None:
    assert code_of(cells.open_cells, KEY, b"c", SLOTS, np.zeros((4, 16), dtype=np.uint8)) == "cells.wrong_shape"
    assert code_of(cells.seal_cells, bytes(31), b"c", SLOTS, VALUES) == "cells.bad_key"
    assert code_of(cells.open_cells, b"", b"c", SLOTS, SEALED) == "cells.bad_key"
