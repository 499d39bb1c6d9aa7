"""What is refused about the nodes' reports: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

PROBLEMS: Mapping[str, Problem] = {
    "report.none": Problem(404, "No report", "The node has not reported yet.", "Start the department's node."),
    "report.wrong_department": Problem(
        403, "Another's report", "The report and its address name different departments.", "Send the own report."
    ),
    "report.bad_signature": Problem(
        422, "Bad signature", "The report is not signed by its node's identity key.", "Compare the registered card."
    ),
    "report.rollback": Problem(
        409, "Older report", "A newer report is known, or another one with this number.", "Send the next report."
    ),
    "report.from_the_future": Problem(
        422, "Time has not come", "The report's time lies in the future.", "Set the clock of the node's host."
    ),
}
