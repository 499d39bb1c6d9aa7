"""The demo's report: report.json for machines, report.html for people, a table for the terminal.

It stands outside every party and only shows what the parties already gave out, beside the demo's reference. Usage:

    document = build_document(settings, results, nodes, reference, seconds_demo)
    json_path, html_path = write_report(folder, document)
    console.print(summary_table(document))

`make grid` has a page of its own: `write_grid_page(folder, document)` writes grid.html beside grid.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from command_line.documents import write_atomically
from demo.report.document import ReportSettings, build_document
from demo.report.grid_page import write_grid_page
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
    "write_grid_page",
    "write_report",
]


def write_report(folder: Path, document: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write report.json and report.html and return their paths. A reader sees the old file or the new one, never half of one.

    Raises `ValueError` for a figure that JSON has no number for, before anything is written.
    """
    content = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    page = render_page(document)
    data_file, page_file = folder / "report.json", folder / "report.html"
    folder.mkdir(parents=True, exist_ok=True)
    # Readable for all: a report is made to be handed on.
    write_atomically(data_file, (content + "\n").encode(), 0o644)
    write_atomically(page_file, page.encode(), 0o644)
    return data_file, page_file
