"""The demo's report: report.json for machines, report.html for people, a table for the terminal.

It stands outside every party and only shows what the parties already gave out, beside the demo's reference. Usage:

    document = build_document(settings, results, nodes, reference, seconds_demo)
    json_path, html_path = write_report(folder, document)
    console.print(summary_table(document))
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.report.document import ReportSettings, build_document
from demo.report.machine import describe_machine, installed_versions
from demo.report.page import render_page
from demo.report.summary import summary_table
from demo.report.svg import warm_up

__all__ = [
    "ReportSettings",
    "build_document",
    "describe_machine",
    "installed_versions",
    "render_page",
    "summary_table",
    "warm_up",
    "write_report",
]


def write_report(folder: Path, document: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write report.json and report.html and return their paths. A reader sees the old file or the new one, never half of one.

    Raises `ValueError` for a figure that JSON has no number for, before anything is written.
    """
    content = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    page = render_page(document)
    folder.mkdir(parents=True, exist_ok=True)
    return _replace(folder / "report.json", content + "\n"), _replace(folder / "report.html", page)


def _replace(path: Path, text: str) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # A temporary file is readable for its owner only; a report is made to be handed on.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path
