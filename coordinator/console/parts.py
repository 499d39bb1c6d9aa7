"""What the console keeps between requests, made once when it is mounted. Nothing here outlives the process."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from coordinator.console.live_streams import LiveStreams, SharedLooks
from coordinator.console.run_progress import RunNow
from coordinator.console.shown_once import ShownOnce
from coordinator.reports.summaries import ReportSummaries


@dataclass(frozen=True)
class ConsoleParts:
    """The console's own parts; everything else is in the application's context."""

    shown_once: ShownOnce = field(default_factory=ShownOnce)
    report_summaries: ReportSummaries = field(default_factory=ReportSummaries)
    live_streams: LiveStreams = field(default_factory=LiveStreams)
    run_looks: SharedLooks[RunNow] = field(default_factory=SharedLooks)


def console_parts(request: Request) -> ConsoleParts:
    """Return the console's parts, for handlers."""
    parts: ConsoleParts = request.app.state.console
    return parts


Parts = Annotated[ConsoleParts, Depends(console_parts)]
