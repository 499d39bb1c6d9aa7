"""Real operating-system processes on this host: started in their own groups, ended in reverse order, gone when the demo dies."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crypto.errors import DoudiError

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free now; they are held together, so that no two are the same."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind((LOOPBACK, 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


@dataclass
class Processes:
    """The processes of one cluster, by name. Each writes its output to `<logs>/<name>.log`."""

    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a process in a group of its own."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def wait_for_port(self, name: str, port: int, timeout_s: float = 60) -> None:
        """Return when the process accepts connections. Raises `demo.not_ready` when it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.running[name].poll() is not None:
                raise self._not_ready(name, "ended")
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex((LOOPBACK, port)) == 0:
                    return
            time.sleep(0.1)
        raise self._not_ready(name, "does not answer")

    def kill(self, name: str) -> None:
        """End a process and its children at once, as a power failure would."""
        self._signal(name, signal.SIGKILL)
        self.running.pop(name).wait(timeout=10)

    def pause(self, name: str) -> None:
        """Halt a process and its children, as an overloaded or hung host would; only `kill` ends them."""
        self._signal(name, signal.SIGSTOP)

    def stop(self, name: str, patience_s: float = 10) -> None:
        """Ask a process to end, and make it end."""
        process = self.running.pop(name, None)
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop_all(self) -> None:
        """End everything, newest first."""
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        for name in reversed(list(self.running)):
            self.stop(name)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """Return the last lines of a process's output."""
        path = self.logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.is_file() else ""

    def _signal(self, name: str, number: int) -> None:
        process = self.running[name]
        if process.poll() is None:
            os.killpg(process.pid, number)

    def _not_ready(self, name: str, how: str) -> DoudiError:
        return DoudiError("demo.not_ready", f"{name} {how}:\n{self.log_tail(name)}", "See the logs in the run folder.")


def doudi(*arguments: str, timeout_s: float = 120, environment: Mapping[str, str] | None = None) -> str:
    """Run the `doudi` command as an officer would and return what it prints. Raises `demo.command_failed`."""
    command = [str(Path(sys.executable).with_name("doudi")), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise DoudiError("demo.command_failed", f"doudi {' '.join(arguments[:2])} ended with {done.returncode}: {said}")
    return done.stdout


def _die_with_parent() -> None:
    """Ask the kernel to end the process when the demo dies (PR_SET_PDEATHSIG, Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
