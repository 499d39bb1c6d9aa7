"""Checkpoints and cosignatures: published notes of other logs and witnesses, other code (tlog-scales), and refusals."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales.signing import PlainEd25519Signer, Vkey, VkeySet
from tlog_scales.tlog import Checkpoint as OtherCheckpoint

from crypto import checkpoint, signing
from crypto.checkpoint import LOG_KEY, WITNESS_KEY, Checkpoint, Note, NoteKey, Signature
from crypto.errors import CryptoError

# A checkpoint of the staging log "arche2025h1" with two signatures of the log (the first of another kind, 05) and four
# cosignatures, published in the tests of florolf/tlog-scales. The keys are the ones that the operators publish.
REAL = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev \
zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev \
ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden \
2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 \
pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de \
2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu \
Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""
REAL_LOG = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
REAL_WITNESSES = [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
]
# Not checkpoints: the notes of golang.org/x/mod/sumdb/note (note_test.go) and of c2sp.org/signed-note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
PETER_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

LOG_PRIVATE, WITNESS_PRIVATE, OTHER_PRIVATE = (hashlib.sha256(bytes([one])).digest() for one in range(3))
ORIGIN = "doudi.example/ledger"
LOG = NoteKey(ORIGIN, signing.signing_public_key(LOG_PRIVATE), LOG_KEY)
WITNESS = NoteKey("civil-affairs", signing.signing_public_key(WITNESS_PRIVATE), WITNESS_KEY)
OTHER = NoteKey("audit", signing.signing_public_key(OTHER_PRIVATE), WITNESS_KEY)
CHECKPOINT = Checkpoint(ORIGIN, 1234, hashlib.sha256(b"root").digest())
SIGNED = checkpoint.sign_checkpoint(CHECKPOINT, ORIGIN, LOG_PRIVATE)
NOW_S = 1_780_000_000
COSIGNED = checkpoint.with_signatures(
    SIGNED,
    [
        checkpoint.cosign(SIGNED, "civil-affairs", WITNESS_PRIVATE, NOW_S),
        checkpoint.cosign(SIGNED, "audit", OTHER_PRIVATE, NOW_S + 9),
    ],
)
KEYS = [WITNESS, OTHER]


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def outcome(call: object, *arguments: object) -> object:
    """Return the result, or the code of the refusal; any other exception passes."""
    try:
        return call(*arguments)  # type: ignore[operator]
    except CryptoError as error:
        return error.code


def note_of(text: str, *lines: str) -> bytes:
    return (text + "\n" + "".join(lines)).encode()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Published notes


def test_a_real_checkpoint_and_its_cosignatures_verify() -> None:
    note = checkpoint.parse_note(REAL.encode())
    found = checkpoint.verify_checkpoint(note, checkpoint.parse_vkey(REAL_LOG))
    assert (found.origin, found.size) == ("arche2025h1.staging.ct.transparency.dev", 1432088532)
    assert found.root == base64.b64decode("U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=")
    keys = [checkpoint.parse_vkey(text) for text in REAL_WITNESSES]
    assert checkpoint.cosignature_times(note, keys) == {key.name: 1779573024 for key in keys}
    assert note.to_bytes() == REAL.encode()


def test_a_real_checkpoint_of_another_size_does_not_verify() -> None:
    note = checkpoint.parse_note(REAL.replace("1432088532", "1432088533").encode())
    assert code_of(checkpoint.verify_checkpoint, note, checkpoint.parse_vkey(REAL_LOG)) == "checkpoint.bad_signature"
    for text in REAL_WITNESSES:
        key = checkpoint.parse_vkey(text)
        assert code_of(checkpoint.verify_cosignature, note, key) == "checkpoint.bad_signature"


def test_a_checkpoint_from_the_tests_of_litewitness_verifies() -> None:
    origin = "sigsum.org/v1/tree/985ea163f5af026723561354f51f2ebcdcf2af809ce254ccfb64aa9aadd80f90"
    public = bytes.fromhex("52c05edad1bf5feffa81354faae59a655d9a9a1a793ed2f62c39c26c0be2aecd")
    line = f"— {origin} 7BKT0gOfNZ1J0So9unY3BZtm2YkPIoNYM/dce0Z2avJDs8dxN6ts9bOSwwrVrbjm6P9K3ZxpK6jJngOG6YvGGzV/lwo=\n"
    note = checkpoint.parse_note(note_of(f"{origin}\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", line))
    found = checkpoint.verify_checkpoint(note, NoteKey(origin, public, LOG_KEY))
    assert found == Checkpoint(origin, 1, b"\x2a" + bytes(31))


@pytest.mark.parametrize("text", [PETER, ENOCH, FOO, REAL_LOG, *REAL_WITNESSES])
def test_published_keys_have_their_published_hash(text: str) -> None:
    key = checkpoint.parse_vkey(text)
    assert key.vkey() == text
    assert key.kind == (WITNESS_KEY if text in REAL_WITNESSES else LOG_KEY)


@pytest.mark.parametrize(
    ("data", "vkeys"),
    [
        (note_of(PETER_TEXT, PETER_LINE, ENOCH_LINE), [PETER, ENOCH]),
        (FOO_NOTE.encode(), [FOO]),
    ],
)
def test_published_notes_are_read_and_their_signatures_fit(data: bytes, vkeys: list[str]) -> None:
    note = checkpoint.parse_note(data)
    assert note.to_bytes() == data
    for signature, text in zip(note.signatures, vkeys, strict=True):
        key = checkpoint.parse_vkey(text)
        assert (signature.name, signature.key_hash) == (key.name, key.key_hash)
        signing.load_public_key(key.public).verify(signature.value, note.text.encode())
        # They are notes, but no checkpoints.
        assert code_of(checkpoint.verify_checkpoint, note, key) == "checkpoint.malformed"


def test_signing_gives_the_published_line() -> None:
    value = signing.load_private_key(PETER_PRIVATE).sign(PETER_TEXT.encode())
    assert Signature("PeterNeumann", bytes.fromhex("c74f20a3"), value).line() == PETER_LINE


def test_the_text_may_hold_blank_lines_and_ends_at_the_last() -> None:
    # The example of c2sp.org/signed-note.
    text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n"
    line = (
        "— quasimodo.example/salvatore "
        "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    )
    note = checkpoint.parse_note(note_of(text, line))
    assert (note.text, [one.line() for one in note.signatures]) == (text, [line])


def test_the_example_of_tlog_cosignature_is_read() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    line = (
        "— witness.example.com/w1 "
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    note = checkpoint.parse_note(note_of(text, line))
    assert int.from_bytes(note.signatures[0].value[:8], "big") == 1679315147
    assert checkpoint.parse_checkpoint(note.text).size == 20852163


# Other code


def test_other_code_accepts_our_checkpoint_and_cosignatures() -> None:
    other = OtherCheckpoint.from_text(COSIGNED.to_bytes().decode())
    assert (other.origin, other.size, other.root_hash) == (ORIGIN, 1234, CHECKPOINT.root)
    keys = [Vkey.from_string(key.vkey()) for key in (LOG, WITNESS, OTHER)]
    for key in keys:
        other.verify(key)
    assert len(VkeySet(*keys).verify(other.signatures, other)) == 3
    assert other.serialize().encode() == COSIGNED.to_bytes()


def test_our_code_accepts_the_checkpoint_of_other_code() -> None:
    signer = PlainEd25519Signer(ORIGIN, LOG_PRIVATE)
    other = OtherCheckpoint.make_signed(ORIGIN, 1234, CHECKPOINT.root, [signer])
    assert signer.vkey.serialize() == LOG.vkey()
    assert other.serialize().encode() == SIGNED.to_bytes()
    assert checkpoint.verify_checkpoint(checkpoint.parse_note(other.serialize().encode()), LOG) == CHECKPOINT


# Our own


def test_a_cosigned_checkpoint_survives_its_bytes() -> None:
    note = checkpoint.parse_note(COSIGNED.to_bytes())
    assert note == COSIGNED
    assert checkpoint.verify_checkpoint(note, LOG) == CHECKPOINT
    assert checkpoint.verify_cosignature(note, WITNESS) == NOW_S
    assert checkpoint.cosignature_times(note, KEYS) == {"civil-affairs": NOW_S, "audit": NOW_S + 9}


def test_what_is_signed_is_what_the_specification_says() -> None:
    text = f"{ORIGIN}\n1234\n{encoded(CHECKPOINT.root)}\n"
    assert CHECKPOINT.text() == SIGNED.text == text
    signing.load_public_key(LOG.public).verify(SIGNED.signatures[0].value, text.encode())
    value = COSIGNED.signatures[1].value
    assert value[:8] == NOW_S.to_bytes(8, "big")
    message = f"cosignature/v1\ntime {NOW_S}\n{text}".encode()
    signing.load_public_key(WITNESS.public).verify(value[8:], message)
    assert LOG.key_hash == hashlib.sha256(ORIGIN.encode() + b"\n\x01" + LOG.public).digest()[:4]
    assert WITNESS.key_hash == hashlib.sha256(b"civil-affairs\n\x04" + WITNESS.public).digest()[:4]


def test_no_signature_of_one_kind_passes_as_another() -> None:
    log_value, witness_value = SIGNED.signatures[0].value, COSIGNED.signatures[1].value
    # One key in both roles: the log's signature as a cosignature, the cosignature as the log's.
    both_log, both_witness = LOG, NoteKey(ORIGIN, LOG.public, WITNESS_KEY)
    assert both_log.key_hash != both_witness.key_hash
    own = checkpoint.cosign(SIGNED, ORIGIN, LOG_PRIVATE, NOW_S)
    for value in (own.value, own.value[8:], witness_value, witness_value[8:]):
        note = Note(SIGNED.text, (Signature(ORIGIN, both_log.key_hash, value),))
        assert code_of(checkpoint.verify_checkpoint, note, both_log) == "checkpoint.bad_signature"
    for value in (log_value, NOW_S.to_bytes(8, "big") + log_value):
        note = Note(SIGNED.text, (Signature(ORIGIN, both_witness.key_hash, value),))
        assert code_of(checkpoint.verify_cosignature, note, both_witness) == "checkpoint.bad_signature"
    # A document signature of the same key, over the same text.
    document = signing.sign(LOG_PRIVATE, "cosignature/v1", SIGNED.text.encode())
    note = Note(SIGNED.text, (Signature(ORIGIN, both_log.key_hash, document),))
    assert code_of(checkpoint.verify_checkpoint, note, both_log) == "checkpoint.bad_signature"
    for value in (log_value, own.value[8:]):
        assert code_of(signing.verify, LOG.public, "doudi-x", SIGNED.text.encode(), value) == "crypto.bad_signature"


@pytest.mark.parametrize("origin", ["cosignature/v1", "doudi-signature"])
def test_no_checkpoint_text_is_a_cosignature_message_or_a_document(origin: str) -> None:
    text = Checkpoint(origin, 7, bytes(32)).text()
    assert not text.startswith("cosignature/v1\ntime ")
    assert not text.encode().startswith(b"doudi-signature\x01")
    assert code_of(Checkpoint, "doudi-signature\x01x", 7, bytes(32)) == "checkpoint.malformed"


def test_the_name_of_the_key_is_the_origin() -> None:
    assert code_of(checkpoint.sign_checkpoint, CHECKPOINT, "another", LOG_PRIVATE) == "checkpoint.wrong_origin"
    key = NoteKey("another", LOG.public, LOG_KEY)
    value = signing.load_private_key(LOG_PRIVATE).sign(SIGNED.text.encode())
    note = Note(SIGNED.text, (Signature("another", key.key_hash, value),))
    assert code_of(checkpoint.verify_checkpoint, note, key) == "checkpoint.wrong_origin"


def test_an_absent_signature_is_told_from_a_wrong_one() -> None:
    assert code_of(checkpoint.verify_cosignature, SIGNED, WITNESS) == "checkpoint.no_signature"
    assert checkpoint.cosignature_times(SIGNED, KEYS) == {}
    unsigned = Note(SIGNED.text, COSIGNED.signatures[1:])
    assert code_of(checkpoint.verify_checkpoint, unsigned, LOG) == "checkpoint.no_signature"
    # The same name with another key is an unknown key, and so is the same hash under another name.
    renewed = NoteKey(ORIGIN, OTHER.public, LOG_KEY)
    assert code_of(checkpoint.verify_checkpoint, SIGNED, renewed) == "checkpoint.no_signature"
    renamed = Note(SIGNED.text, (Signature("x", LOG.key_hash, SIGNED.signatures[0].value),))
    assert code_of(checkpoint.verify_checkpoint, renamed, LOG) == "checkpoint.no_signature"


def test_a_second_line_of_one_key_is_refused() -> None:
    for signatures, verify, key in (
        (SIGNED.signatures * 2, checkpoint.verify_checkpoint, LOG),
        ((*COSIGNED.signatures, COSIGNED.signatures[1]), checkpoint.verify_cosignature, WITNESS),
    ):
        assert code_of(verify, Note(SIGNED.text, signatures), key) == "checkpoint.malformed"
    doubled = Note(SIGNED.text, (*COSIGNED.signatures, COSIGNED.signatures[2]))
    assert code_of(checkpoint.cosignature_times, doubled, KEYS) == "checkpoint.malformed"


@pytest.mark.parametrize("at", range(0, 72, 3))
def test_a_changed_bit_of_a_cosignature_is_found(at: int) -> None:
    good = COSIGNED.signatures[1]
    value = bytearray(good.value)
    value[at] ^= 1
    note = Note(SIGNED.text, (SIGNED.signatures[0], Signature(good.name, good.key_hash, bytes(value))))
    assert code_of(checkpoint.verify_cosignature, note, WITNESS) == "checkpoint.bad_signature"
    assert code_of(checkpoint.cosignature_times, note, KEYS) == "checkpoint.bad_signature"


@pytest.mark.parametrize("length", [1, 7, 8, 63, 64, 71, 73, 136])
def test_a_signature_of_another_length_is_wrong(length: int) -> None:
    for key, verify in ((LOG, checkpoint.verify_checkpoint), (WITNESS, checkpoint.verify_cosignature)):
        if (key, length) != (LOG, 64):
            note = Note(SIGNED.text, (Signature(key.name, key.key_hash, bytes(length)),))
            assert code_of(verify, note, key) == "checkpoint.bad_signature"


def test_unknown_witnesses_are_ignored() -> None:
    junk = Signature("somebody", b"1234", b"\x00")
    note = Note(SIGNED.text, (junk, *COSIGNED.signatures, junk))
    assert checkpoint.cosignature_times(note, [WITNESS]) == {"civil-affairs": NOW_S}
    assert checkpoint.verify_checkpoint(note, LOG) == CHECKPOINT


def test_of_two_keys_of_one_witness_the_latest_time_counts() -> None:
    old_key = NoteKey("civil-affairs", OTHER.public, WITNESS_KEY)
    older = checkpoint.cosign(SIGNED, "civil-affairs", OTHER_PRIVATE, NOW_S - 5)
    note = checkpoint.with_signatures(COSIGNED, [older])
    for keys in ([WITNESS, old_key], [old_key, WITNESS]):
        assert checkpoint.cosignature_times(note, keys) == {"civil-affairs": NOW_S}
    assert checkpoint.cosignature_times(note, [old_key]) == {"civil-affairs": NOW_S - 5}


def test_a_key_of_the_other_kind_is_refused() -> None:
    assert code_of(checkpoint.verify_checkpoint, COSIGNED, WITNESS) == "checkpoint.bad_key"
    assert code_of(checkpoint.verify_cosignature, COSIGNED, LOG) == "checkpoint.bad_key"


@pytest.mark.parametrize("time_s", [0, 1, NOW_S, (1 << 63) - 1])
def test_every_time_survives(time_s: int) -> None:
    note = checkpoint.with_signatures(SIGNED, [checkpoint.cosign(SIGNED, "civil-affairs", WITNESS_PRIVATE, time_s)])
    assert checkpoint.verify_cosignature(note, WITNESS) == time_s


@pytest.mark.parametrize("time_s", [-1, 1 << 63, 1 << 64])
def test_a_time_outside_the_format_is_refused(time_s: int) -> None:
    assert code_of(checkpoint.cosign, SIGNED, "civil-affairs", WITNESS_PRIVATE, time_s) == "checkpoint.bad_time"


def test_a_right_signature_of_a_time_outside_the_format_is_refused() -> None:
    message = f"cosignature/v1\ntime {1 << 63}\n{SIGNED.text}".encode()
    value = (1 << 63).to_bytes(8, "big") + signing.load_private_key(WITNESS_PRIVATE).sign(message)
    note = Note(SIGNED.text, (Signature("civil-affairs", WITNESS.key_hash, value),))
    assert code_of(checkpoint.verify_cosignature, note, WITNESS) == "checkpoint.bad_signature"


def test_a_witness_signs_checkpoints_only() -> None:
    for text in (PETER_TEXT, "", "\n", SIGNED.text + "extension\n"):
        note = Note(text, SIGNED.signatures)
        assert code_of(checkpoint.cosign, note, "civil-affairs", WITNESS_PRIVATE, NOW_S) == "checkpoint.malformed"
    assert code_of(checkpoint.cosign, SIGNED, "civil affairs", WITNESS_PRIVATE, NOW_S) == "checkpoint.bad_key"
    assert code_of(checkpoint.cosign, SIGNED, "civil-affairs", b"short", NOW_S) == "crypto.bad_key"


def test_a_cosignature_over_extension_lines_is_refused() -> None:
    text = SIGNED.text + "extension\n"
    message = f"cosignature/v1\ntime {NOW_S}\n{text}".encode()
    value = NOW_S.to_bytes(8, "big") + signing.load_private_key(WITNESS_PRIVATE).sign(message)
    log_value = signing.load_private_key(LOG_PRIVATE).sign(text.encode())
    note = Note(
        text,
        (Signature(ORIGIN, LOG.key_hash, log_value), Signature("civil-affairs", WITNESS.key_hash, value)),
    )
    assert checkpoint.parse_note(note.to_bytes()) == note
    assert code_of(checkpoint.verify_checkpoint, note, LOG) == "checkpoint.malformed"
    assert code_of(checkpoint.verify_cosignature, note, WITNESS) == "checkpoint.malformed"


# Adding signatures


def test_the_newest_cosignature_of_a_key_stays() -> None:
    newer = checkpoint.cosign(SIGNED, "civil-affairs", WITNESS_PRIVATE, NOW_S + 256)
    older = checkpoint.cosign(SIGNED, "civil-affairs", WITNESS_PRIVATE, NOW_S - 1)
    for added in ([newer, older], [older, newer], [newer, newer]):
        note = checkpoint.with_signatures(COSIGNED, added)
        assert len(note.signatures) == 3
        assert checkpoint.verify_cosignature(note, WITNESS) == NOW_S + 256
        assert checkpoint.verify_checkpoint(note, LOG) == CHECKPOINT
    assert checkpoint.with_signatures(COSIGNED, [older]) == COSIGNED
    assert checkpoint.with_signatures(COSIGNED, []) == COSIGNED


def test_another_signature_of_the_log_does_not_replace_the_first() -> None:
    forged = Signature(ORIGIN, LOG.key_hash, b"\xff" * 64)
    long = Signature(ORIGIN, LOG.key_hash, b"\xff" * 72)
    assert checkpoint.with_signatures(SIGNED, [forged, long]) == SIGNED


def test_more_signatures_than_a_note_holds_are_refused() -> None:
    lines = [Signature(f"witness-{number}", b"1234", b"\x00") for number in range(checkpoint.MAX_SIGNATURES)]
    note = checkpoint.with_signatures(SIGNED, lines[:-1])
    assert checkpoint.parse_note(note.to_bytes()) == note
    assert code_of(checkpoint.with_signatures, SIGNED, lines) == "checkpoint.malformed"
    long = [Signature("民" * 120 + str(number), b"1234", bytes(200)) for number in range(500)]
    assert code_of(checkpoint.with_signatures, SIGNED, long) == "checkpoint.malformed"


# Malformed notes


LINE = SIGNED.signatures[0].line()
TEXT = SIGNED.text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n",
        TEXT.encode(),
        note_of(TEXT),
        note_of(TEXT, "\n"),
        note_of(TEXT, LINE[:-1]),
        note_of(TEXT, "— name AAAAAAAAX"),
        note_of(TEXT, LINE, "\n"),
        note_of(TEXT, LINE, "Unexpected line.\n"),
        note_of(TEXT, "Unexpected line.\n", LINE),
        note_of(TEXT[:-1], LINE),
        note_of(TEXT, LINE.replace("—", "-")),
        note_of(TEXT, LINE.replace("— ", "—")),
        note_of(TEXT, " " + LINE),
        note_of(TEXT, LINE.replace("\n", " \n")),
        note_of(TEXT, LINE.replace("\n", "\r\n")),
        note_of(TEXT.replace("\n", "\r\n"), LINE),
        note_of("\x01" + TEXT, LINE),
        note_of(TEXT + "\t\n", LINE),
        note_of(TEXT + "\x00\n", LINE),
        b"\xff" + note_of(TEXT, LINE),
        note_of(TEXT, LINE)[:-2] + b"\xed\xa0\x80\n",
        note_of(TEXT, "— a+b AAAAAAA=\n"),
        note_of(TEXT, "— Bad Name AAAAAAA=\n"),
        note_of(TEXT, "— bad\u3000name AAAAAAA=\n"),
        note_of(TEXT, "— bad\u0085name AAAAAAA=\n"),
        note_of(TEXT, "—  AAAAAAA=\n"),
        note_of(TEXT, f"— {'n' * 129} AAAAAAA=\n"),
        note_of(TEXT, "— name \n"),
        note_of(TEXT, "— name\n"),
        note_of(TEXT, "— name AAAAAA==\n"),  # a key hash without a signature
        note_of(TEXT, "— name AAAA\n"),
        note_of(TEXT, "— name AAAAAAB=\n"),  # set bits behind the padding
        note_of(TEXT, "— name AAAAAAA\n"),
        note_of(TEXT, "— name AAAAAAA==\n"),
        note_of(TEXT, "— name AAAAAAAA=\n"),
        note_of(TEXT, "— name AAAA AAAA\n"),
        note_of(TEXT, "— name AAAA-_AA\n"),
        note_of(TEXT, "— name ＡＡＡＡＡＡＡＡ\n"),
        note_of(TEXT, *([LINE] * (checkpoint.MAX_SIGNATURES + 1))),
        note_of(TEXT + "x" * checkpoint.MAX_NOTE_BYTES + "\n", LINE),
    ],
)
def test_a_malformed_note_is_refused(data: bytes) -> None:
    assert code_of(checkpoint.parse_note, data) == "checkpoint.malformed"


def test_the_bounds_of_a_note_are_inclusive() -> None:
    assert len(checkpoint.parse_note(note_of(TEXT, *([LINE] * checkpoint.MAX_SIGNATURES))).signatures) == 1024
    filler = "x" * (checkpoint.MAX_NOTE_BYTES - len(note_of("", LINE)) - 1) + "\n"
    assert len(note_of(filler, LINE)) == 256 * 1024
    assert checkpoint.parse_note(note_of(filler, LINE)).text == filler
    assert code_of(checkpoint.parse_note, note_of("x" + filler, LINE)) == "checkpoint.malformed"
    assert checkpoint.parse_note(note_of("\n", f"— {'名' * 128} AAAAAAA=\n")).signatures[0].value == b"\x00"


ROOT = encoded(CHECKPOINT.root)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n1234\n{ROOT}",
        f"{ORIGIN}\n1234\n{ROOT}\n\n",
        f"{ORIGIN}\n1234\n{ROOT}\nextension\n",
        f"{ORIGIN}\n1234\n{ROOT}\nextension",
        f"{ORIGIN}\n1234\n",
        f"\n1234\n{ROOT}\n",
        f"two words\n1234\n{ROOT}\n",
        f"a+b\n1234\n{ROOT}\n",
        f"{'x' * 129}\n1234\n{ROOT}\n",
        f"\ud800\n1234\n{ROOT}\n",
        *(
            f"{ORIGIN}\n{size}\n{ROOT}\n"
            for size in (
                "",
                "-1",
                "+1",
                "01",
                "00",
                "1_0",
                "1.0",
                "1e3",
                "0x1",
                " 1",
                "1 ",
                "١",
                "１",
                "9" * 20,
                "1" * 9999,
            )
        ),
        f"{ORIGIN}\n{1 << 63}\n{ROOT}\n",
        f"{ORIGIN}\n1234\n\n",
        f"{ORIGIN}\n1234\n{encoded(bytes(31))}\n",
        f"{ORIGIN}\n1234\n{encoded(bytes(33))}\n",
        f"{ORIGIN}\n1234\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n1234\n{ROOT}=\n",
        f"{ORIGIN}\n1234\n{encoded(bytes(32))[:-2]}B=\n",
        f"{ORIGIN}\n1234\n {ROOT}\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    assert code_of(checkpoint.parse_checkpoint, text) == "checkpoint.malformed"
    note = Note(text, SIGNED.signatures)
    assert code_of(checkpoint.verify_checkpoint, note, LOG) == "checkpoint.malformed"


@pytest.mark.parametrize("size", [0, 1, 9, 10, (1 << 63) - 1])
def test_every_checkpoint_survives_its_text(size: int) -> None:
    one = Checkpoint("民政局/账本", size, bytes(range(32)))
    assert checkpoint.parse_checkpoint(one.text()) == one


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, bytes(32)), ("a b", 1, bytes(32)), ("a", -1, bytes(32)), ("a", 1 << 63, bytes(32)), ("a", 1, bytes(31))],
)
def test_a_checkpoint_that_cannot_be_written_is_refused(origin: str, size: int, root: bytes) -> None:
    assert code_of(Checkpoint, origin, size, root) == "checkpoint.malformed"


# Keys


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a+b",
        "a\nb",
        "a\tb",
        "a\x00b",
        "a\x1fb",
        "a\u00a0b",
        "a\u2028b",
        "a\u3000b",
        "\udfff",
        "x" * 129,
    ],
)
def test_a_name_that_fits_no_line_is_refused(name: str) -> None:
    assert code_of(NoteKey, name, LOG.public, LOG_KEY) == "checkpoint.bad_key"


def test_a_public_key_that_proves_nothing_is_refused() -> None:
    for public in (bytes(32), b"\x01" + bytes(31), bytes(31), bytes(33), b""):
        assert code_of(NoteKey, "name", public, LOG_KEY) == "crypto.bad_key"
    for kind in (0, 2, 5, 6, 255):
        assert code_of(NoteKey, "name", LOG.public, kind) == "checkpoint.bad_key"


def test_no_part_and_no_changed_character_of_a_key_is_a_key() -> None:
    # The manglings of note_test.go.
    for start in range(len(PETER)):
        for end in range(start + 1, len(PETER) + 1):
            if end - start < len(PETER):
                assert code_of(checkpoint.parse_vkey, PETER[start:end]).endswith(".bad_key")
    for at, character in enumerate(PETER):
        mangled = PETER[:at] + chr(ord(character) + 1) + PETER[at + 1 :]
        assert code_of(checkpoint.parse_vkey, mangled).endswith(".bad_key")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        "name",
        "name+c74f20a3",
        "name+c74f20a3+",
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("c74f20a3", "c7 4f20a3"),
        PETER.replace("c74f20a3", "c74f20a"),
        PETER + "=",
        PETER + "\n",
        " " + PETER,
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "\ud800+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_a_malformed_key_line_is_refused(text: str) -> None:
    assert code_of(checkpoint.parse_vkey, text).endswith(".bad_key")


# Arbitrary input

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
PIECES = st.sampled_from(
    [
        "\n",
        "\n\n",
        "— ",
        " ",
        "+",
        "=",
        "A",
        "AAAA",
        "AAAAAAA=",
        ORIGIN,
        "1234",
        "0",
        ROOT,
        LINE,
        TEXT,
        "name",
        "\r",
        "\x00",
    ]
)


@given(st.binary(max_size=200) | TEXTS.map(str.encode) | st.lists(PIECES, max_size=12).map("".join).map(str.encode))
def test_any_bytes_are_a_note_or_refused(data: bytes) -> None:
    note = outcome(checkpoint.parse_note, data)
    if note != "checkpoint.malformed":
        assert isinstance(note, Note)
        assert note.to_bytes() == data
        refusals = ("checkpoint.malformed", "checkpoint.no_signature", "checkpoint.bad_signature")
        assert outcome(checkpoint.verify_checkpoint, note, LOG) in (*refusals, CHECKPOINT)
        assert outcome(checkpoint.verify_cosignature, note, WITNESS) in refusals


@given(st.data())
def test_a_mutated_note_never_states_anything_else(data: st.DataObject) -> None:
    original = COSIGNED.to_bytes()
    at = data.draw(st.integers(0, len(original)))
    cut = data.draw(st.integers(0, 3))
    mutated = original[:at] + data.draw(st.binary(max_size=3)) + original[at + cut :]
    note = outcome(checkpoint.parse_note, mutated)
    if isinstance(note, Note):
        for verify, key, truth in (
            (checkpoint.verify_checkpoint, LOG, CHECKPOINT),
            (checkpoint.verify_cosignature, WITNESS, NOW_S),
            (checkpoint.verify_cosignature, OTHER, NOW_S + 9),
        ):
            result = outcome(verify, note, key)
            assert result == truth or str(result).startswith("checkpoint.")
    else:
        assert note == "checkpoint.malformed"


@given(TEXTS | st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=20))
def test_any_text_is_a_checkpoint_or_refused(text: str) -> None:
    found = outcome(checkpoint.parse_checkpoint, text)
    assert found == "checkpoint.malformed" or (isinstance(found, Checkpoint) and found.text() == text)


@given(TEXTS, st.binary(max_size=6), st.binary(max_size=40))
def test_any_text_is_a_key_or_refused(name: str, key_hash: bytes, key: bytes) -> None:
    for text in (name, f"{name}+{key_hash.hex()}+{encoded(key)}", f"{name}+c74f20a3+{PETER.split('+', 2)[2]}"):
        found = outcome(checkpoint.parse_vkey, text)
        if not isinstance(found, NoteKey):
            assert found in ("checkpoint.bad_key", "crypto.bad_key")
        else:
            assert found.vkey() == text


@given(st.binary(min_size=32, max_size=32), st.sampled_from([LOG_KEY, WITNESS_KEY]))
def test_every_key_survives_its_line(private: bytes, kind: int) -> None:
    key = NoteKey("财政局", signing.signing_public_key(private), kind)
    assert checkpoint.parse_vkey(key.vkey()) == key


@given(TEXTS | st.just(TEXT), st.binary(max_size=80), st.sampled_from([LOG, WITNESS]))
def test_any_signature_value_raises_only_our_error(text: str, value: bytes, key: NoteKey) -> None:
    note = Note(text, (Signature(key.name, key.key_hash, value),))
    verify = checkpoint.verify_checkpoint if key is LOG else checkpoint.verify_cosignature
    assert code_of(verify, note, key) in ("checkpoint.malformed", "checkpoint.bad_signature")
