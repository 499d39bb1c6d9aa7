"""The published line models, and what the loader refuses."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import policies.standards.model_loader
from crypto.errors import DoudiError
from policies.standards.model_loader import available_models, load_model_standard, parse_model_standard

FILE = Path(policies.standards.model_loader.__file__).parent / "models" / "perceptron-v1.json"


def document(**changes: Any) -> bytes:
    return json.dumps(json.loads(FILE.read_text(encoding="utf-8")) | changes).encode()


def test_the_perceptron_is_published() -> None:
    assert available_models() == [("perceptron", 1)]
    standard = load_model_standard("perceptron")
    assert (standard.name, standard.version) == ("perceptron", 1)
    assert standard.parameters(width=220) == standard.hidden_units * 222 + 1


def test_the_hash_is_that_of_the_files_bytes() -> None:
    assert load_model_standard("perceptron", 1).standard_hash() == hashlib.sha256(FILE.read_bytes()).hexdigest()


def test_nobody_chose_the_seed() -> None:
    seed = hashlib.sha256(b"doudi line model perceptron v1").hexdigest()
    assert load_model_standard("perceptron", 1).initial_seed == seed


@pytest.mark.parametrize(("name", "version"), [("perceptron", 2), ("../datasets/tax", 1), ("transformer", 1)])
def test_an_unpublished_model_is_refused(name: str, version: int) -> None:
    with pytest.raises(DoudiError) as caught:
        load_model_standard(name, version)
    assert caught.value.code == "standard.unknown_model"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        document(hidden_units=0),
        document(hidden_units="16"),
        document(initial_seed="12"),
        document(initial_seed="Z" * 64),
        document(extra=1),
        document(format_version=2),
        document(description="one language"),
    ],
)
def test_a_malformed_file_is_refused(raw: bytes) -> None:
    with pytest.raises(DoudiError) as caught:
        parse_model_standard(raw)
    assert caught.value.code == "standard.invalid_model"
