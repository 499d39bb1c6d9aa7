"""How a demo ends: with an exit code, a coded error and its next step, or a word that everything has stopped."""

from collections.abc import Callable

from rich.console import Console

from crypto.errors import DoudiError


def ending_with_code(act: Callable[[Console], int]) -> int:
    """Return the exit code of `act`, which prints to the terminal it is given; 1 after an error, 130 when interrupted."""
    terminal = Console()
    try:
        return act(terminal)
    except DoudiError as error:
        terminal.print(f"[bold red]{error.code}[/]: {error.message}", highlight=False, markup=True)
        terminal.print(error.next_step)
        return 1
    except KeyboardInterrupt:
        terminal.print("stopped; all processes have ended  已停止,所有进程已结束")
        return 130
