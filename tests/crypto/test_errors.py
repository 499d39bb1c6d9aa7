"""Errors carry a code for the wire and a sentence for the log."""

import pickle
import re
from pathlib import Path

import crypto
from crypto import domains
from crypto.errors import CryptoError, DoudiError


def test_the_text_is_code_message_and_next_step() -> None:
    assert str(DoudiError("a.b", "it broke", "Mend it.")) == "a.b: it broke. Mend it."
    assert str(CryptoError("a.b", "it broke.")) == "a.b: it broke."


def test_an_error_survives_pickling_between_processes() -> None:
    error = pickle.loads(pickle.dumps(CryptoError("a.b", "it broke", "Mend it.")))  # noqa: S301
    assert (error.code, error.message, error.next_step) == ("a.b", "it broke", "Mend it.")


def test_every_code_in_the_package_is_dotted_lower_case() -> None:
    package = Path(crypto.__file__).parent
    source = "".join(path.read_text("utf-8") for path in package.glob("*.py"))
    codes = re.findall(r'CryptoError\(\s*"([^"]*)"', source)
    assert len(codes) > 25
    assert [code for code in codes if not re.fullmatch(r"[a-z_]+\.[a-z_]+", code)] == []


def test_no_domain_is_a_prefix_of_another() -> None:
    labels = [value for name, value in vars(domains).items() if name.isupper() and isinstance(value, bytes)]
    assert len(labels) == len(set(labels)) >= 11
    assert [(a, b) for a in labels for b in labels if a != b and b.startswith(a)] == []


def test_framing_tells_lists_apart_that_join_to_the_same_bytes() -> None:
    assert len({domains.frame(b"ab", b"c"), domains.frame(b"a", b"bc"), domains.frame(b"abc"), domains.frame()}) == 4
