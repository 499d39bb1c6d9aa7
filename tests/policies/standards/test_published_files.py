"""A published version is never edited: grants name files by hash, and nodes refuse a grant whose hash is not their file's."""

import hashlib
import json
from pathlib import Path

import policies.standards.published

STANDARDS = Path(policies.standards.published.__file__).parent
KNOWN = json.loads((Path(__file__).parent / "published_hashes.json").read_text(encoding="utf-8"))


def test_no_published_file_was_edited_or_taken_away() -> None:
    for name, digest in KNOWN.items():
        found = hashlib.sha256((STANDARDS / name).read_bytes()).hexdigest()
        assert found == digest, f"{name} was edited: publish a new version beside it"


def test_every_published_file_is_in_the_list() -> None:
    kinds = ("datasets", "models", "purposes", "tiers")
    published = {f"{kind}/{path.name}" for kind in kinds for path in (STANDARDS / kind).glob("*.json")}
    assert published == set(KNOWN), "a new version is added to published_hashes.json in the commit that publishes it"
