"""The lead's labels: frozen per period, turned into one randomised bit per household, the same bit for ever.

Privacy unit: a household's label for one target and period. Neighbouring relation: that label replaced. Guarantee: ε-local
differential privacy by randomised response (Warner 1965; label DP: Ghazi et al. 2021), towards everybody but the lead. The 64
bits behind each draw come from HMAC-SHA256 under a release key that never leaves the lead, so pure ε-DP becomes computational:
said openly. The bit is stable because the label is frozen at the first release of a period, and drawn from a key, not from a
generator.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from command_line.documents import write_atomically
from crypto.errors import DoudiError
from crypto.randomised_response import draw_words, held_out_flags, keep_threshold, randomise
from crypto.sealing import open_at_rest, seal_at_rest
from department_nodes.extract import Extract
from department_nodes.home import RELEASE_KEY, STORAGE_KEY, NodeHome
from policies.contracts.grant import LabelTerms
from policies.standards.loader import DatasetStandard

UInt8Array = np.ndarray[Any, np.dtype[np.uint8]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]
Int64Array = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Register:
    """The lead's households. `household_of_row` int64 [people] points into `households`; `labels` uint8 [households]."""

    households: list[str]
    household_of_row: Int64Array
    labels: UInt8Array


@dataclass(frozen=True)
class Release:
    """What is released for every unit, in the order asked: bits uint8, held-out flags bool, and the frozen labels uint8."""

    bits: UInt8Array
    held_out: BoolArray
    labels: UInt8Array


def read_register(extract: Extract, target: str) -> Register:
    """Return the households of the lead's extract with the target reached by any member. Raises `label.unknown_target`."""
    standard = extract.standard
    if target not in column_names(standard, "outcome"):
        raise DoudiError("label.unknown_target", "the lead's data standard has no such outcome")
    households = extract.table.column(column_names(standard, "household")[0]).to_numpy(zero_copy_only=False)
    names, household_of_row = np.unique(households.astype(str), return_inverse=True)
    outcome = extract.table.column(target).to_numpy(zero_copy_only=False).astype(np.uint8)
    labels = np.zeros(len(names), np.uint8)
    np.maximum.at(labels, household_of_row, outcome)
    return Register([str(name) for name in names], household_of_row.astype(np.int64), labels)


def column_names(standard: DatasetStandard, role: str) -> list[str]:
    """Return the names of a standard's columns with a role, for example `household`."""
    return [column.name for column in standard.columns if column.role == role]


class LabelOffice:
    """Freezes labels and draws bits for one project at the lead's node."""

    def __init__(self, home: NodeHome, project_id: str) -> None:
        self._folder = home.path / "periods" / project_id
        self._storage_key = home.key(STORAGE_KEY)
        self._seed = home.config.held_out_seed
        # Made with the node: a key that is missing stops the release (`key.missing`), for a new one would draw again.
        master = home.key(RELEASE_KEY)
        self._release_key = _derive(master, "release", project_id)
        # The flag is permanent: it depends on the household and the target, not on project or period.
        self._split_key = split_key(self._seed) if self._seed else _derive(master, "split", "")
        # Outside the register the flag always comes from the secret key: with a public seed a department could otherwise
        # compute the flags of its own pseudonyms, and see from the ones that differ who is in the register.
        self._outside_split_key = _derive(master, "split-outside", project_id)

    def frozen_labels(self, register: Register, terms: LabelTerms) -> dict[str, int]:
        """Return the labels of this period by household: those frozen at its first release, and new households as they are now.

        The file lies beside the database: one that was restored from a backup finds labels and ε again.
        Raises `label.epsilon_changed` when the period was released with another ε, whatever the database remembers.
        """
        path = self._folder / f"{terms.target}-{terms.label_period}.sealed"
        context = f"frozen-labels|{path.name}".encode()
        frozen: dict[str, int] = {}
        if path.is_file():
            stored = json.loads(open_at_rest(self._storage_key, context, path.read_bytes()))
            if stored["epsilon_milli"] != terms.epsilon_milli:
                raise DoudiError("label.epsilon_changed", "this period was released with another ε")
            frozen = stored["labels"]
        new = [i for i, name in enumerate(register.households) if name not in frozen]
        if new:
            frozen.update({register.households[i]: int(register.labels[i]) for i in new})
            document = json.dumps({"epsilon_milli": terms.epsilon_milli, "labels": frozen})
            write_atomically(path, seal_at_rest(self._storage_key, context, document.encode()))
        return frozen

    def release(
        self, register: Register, household_of_slot: Int64Array, outside: Sequence[bytes], terms: LabelTerms
    ) -> Release:
        """Return bit, flag and frozen label for the slots of the register and for the pseudonyms outside it.

        `household_of_slot` int64 [slots in the register]; `outside` the pseudonyms of the other slots: their label is 0. The
        result lists the register's slots first. Slots of one household share one bit and one flag.
        """
        frozen = self.frozen_labels(register, terms)
        units = [b"household|" + name.encode() for name in register.households]
        labels = np.array([frozen[name] for name in register.households], np.uint8)
        inside = self._draw(units, labels, terms, self._split_key)
        others = self._draw(
            [b"pseudonym|" + point for point in outside],
            np.zeros(len(outside), np.uint8),
            terms,
            self._outside_split_key,
        )
        return Release(
            bits=np.concatenate([inside.bits[household_of_slot], others.bits]),
            held_out=np.concatenate([inside.held_out[household_of_slot], others.held_out]),
            labels=np.concatenate([labels[household_of_slot], others.labels]),
        )

    def held_out(self, register: Register, terms: LabelTerms) -> BoolArray:
        """Return the permanent held-out flag of each household of the register."""
        units = [b"household|" + name.encode() for name in register.households]
        return held_out_flags(self._split_key, units, terms.target, terms.held_out_percent)

    def _draw(self, units: Sequence[bytes], labels: UInt8Array, terms: LabelTerms, split: bytes) -> Release:
        words = draw_words(self._release_key, units, terms.target, terms.label_period, terms.epsilon_milli)
        bits = randomise(labels, words, keep_threshold(terms.epsilon_milli))
        return Release(bits, held_out_flags(split, units, terms.target, terms.held_out_percent), labels)


def split_key(seed: str) -> bytes:
    """Return the key of the held-out flags that a published seed stands for; it protects nothing."""
    return hashlib.sha256(b"doudi-split-v1|" + seed.encode()).digest()


def _derive(master: bytes, use: str, project_id: str) -> bytes:
    return hmac.digest(master, f"doudi-label-v1|{use}|{project_id}".encode(), "sha256")
