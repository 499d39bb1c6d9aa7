"""What is refused about projects: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

PROBLEMS: Mapping[str, Problem] = {
    "project.unknown": Problem(404, "Unknown project", "There is no such project.", "List the projects."),
    "project.already_exists": Problem(409, "Name in use", "Another project has this name.", "Choose another name."),
    "project.closed": Problem(
        409, "Project closed", "The project takes no more grants or runs.", "Open a new project."
    ),
}
