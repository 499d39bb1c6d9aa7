"""A gate that is always open: engines of tests act without a log and its witnesses. Never in production code."""


class UnsafeOpenGate:
    """Lets every step through at once, and remembers the numbers of their intents."""

    def __init__(self) -> None:
        self.passed: list[int] = []

    def wait(self, number: int) -> None:
        """Return at once."""
        self.passed.append(number)
