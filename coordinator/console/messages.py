"""Which texts the console says, and which of them a catalogue lacks: `python -m coordinator.console.messages` prints the gaps.

Babel's extractor reads the templates and the code; what refusals say comes from the problem table. The catalogues are written by
hand: the printed entries are pasted into a `.po` file of `locale/` and translated there.
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from coordinator.console.languages import DOMAINS, LOCALE_FOLDER, read_catalogue
from coordinator.problems import PROBLEMS

_FOLDER = Path(__file__).parent
_METHODS = [("**.py", "python"), ("**.html.j2", "jinja2")]
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
_OPTIONS = {
    "**.html.j2": {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false", "extensions": "jinja2.ext.do"},
}

Text = str | tuple[str, ...]


def used_messages(domain: str) -> Catalog:
    """Return a catalogue of everything that is said in a domain, with the places where."""
    catalogue = Catalog(domain=domain)
    for text, place in _console_texts() if domain == "console" else _problem_texts():
        catalogue.add(text, locations=[place])
    return catalogue


def _console_texts() -> Iterator[tuple[Text, tuple[str, int]]]:
    found = extract_from_dir(_FOLDER, _METHODS, _OPTIONS, _KEYWORDS)
    for file, line, text, _comments, _context in found:
        yield text, (file, line)


def _problem_texts() -> Iterator[tuple[Text, tuple[str, int]]]:
    for code, problem in PROBLEMS.items():
        for text in (problem.title, problem.detail, problem.next_step):
            if text:
                yield text, (code, 1)


def missing_messages(domain: str, code: str, folder: Path = LOCALE_FOLDER) -> list[Message]:
    """Return what is said and has no translation in the files, or only a fuzzy one."""
    have, missing = read_catalogue(folder, code, domain), []
    for message in used_messages(domain):
        found = have.get(message.id) if message.id else None
        if message.id and (found is None or found.fuzzy or not found.string or not all(found.string)):
            missing.append(message)
    return missing


def unused_messages(domain: str, code: str) -> list[object]:
    """Return what the file translates and nobody says any more."""
    used = used_messages(domain)
    return [
        message.id
        for message in read_catalogue(LOCALE_FOLDER, code, domain)
        if message.id and used.get(message.id) is None
    ]


def main() -> int:
    """Print what the Chinese catalogues lack, ready to be pasted; the exit code says whether that is anything."""
    lacking = 0
    for domain in DOMAINS:
        missing = missing_messages(domain, "zh")
        lacking += len(missing)
        if missing:
            catalogue, printed = Catalog(domain=domain), BytesIO()
            for message in missing:
                catalogue.add(message.id, locations=message.locations)
            write_po(printed, catalogue, width=120, omit_header=True)
            sys.stdout.write(f"# {domain}.po lacks {len(missing)}\n{printed.getvalue().decode()}")
        for unused in unused_messages(domain, "zh"):
            sys.stdout.write(f"# {domain}.po: no longer said: {unused!r}\n")
    return 1 if lacking else 0


if __name__ == "__main__":
    raise SystemExit(main())
