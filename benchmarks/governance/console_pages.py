"""How long the console's pages take over a large database, and how long the coordinator takes to start over it.

The real process (`doudi centre run`), TLS, one browser's connection, no JavaScript: from the request to the page's last byte. The
pages are those that a person of each role comes to by following links, two clicks from the start, and those of the ledger.
"""

import re
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.governance.large_office import ASSETS, PARTIES, REQUESTS, Office, build
from demo.processes import LOOPBACK, Processes, free_ports

PAGES_PER_ROLE, REPEATS = 40, 8
# Visited by everybody who may see them, however few clicks lead there: the ledger is the largest table.
LEDGER_PAGES = (
    "/console/ledger",
    "/console/ledger/entries",
    "/console/ledger/entries?type=node.labels.released&producer=office-007",
    "/console/ledger/entries?type=account.signed_in&index=50000",
    "/console/ledger/entries/50000",
)
START_PATIENCE_S = 60.0
_LINK = re.compile(r'href="(/console[^"#]*)"')
_NO_PAGE = re.compile(r"/(events|sign-out|oidc|static)\b|\.(css|js|svg)$")


def measure() -> dict[str, Any]:
    """Return `console_p95_ms`, the slowest pages, and `startup_s`."""
    with tempfile.TemporaryDirectory(prefix="doudi-bench-") as name:
        folder = Path(name)
        office = build(folder, free_ports(3), int(time.time()))
        with _running(office, folder) as startup_s:
            seconds = _pages(office)
    times = sorted(second for found in seconds.values() for second in found)
    slowest = sorted(seconds, key=lambda page: -statistics.median(seconds[page]))[:5]
    return {
        "startup_s": round(startup_s, 2),
        "console_p95_ms": round(1000 * times[int(0.95 * len(times))], 1),
        "console_median_ms": round(1000 * statistics.median(times), 1),
        "console_pages": len(seconds),
        "console_slowest_ms": {page: round(1000 * statistics.median(seconds[page]), 1) for page in slowest},
        "console_database": {
            "parties": PARTIES,
            "assets": ASSETS,
            "requests": REQUESTS,
            "ledger_entries": office.ledger_entries,
        },
    }


@contextmanager
def _running(office: Office, folder: Path) -> Iterator[float]:
    """Run the coordinator; gives the seconds from its start to its first answer."""
    processes = Processes(folder / "logs")
    command = [str(Path(sys.executable).with_name("doudi")), "centre", "run", "--home", str(office.config.home)]
    started = time.perf_counter()
    processes.start("coordinator", command)
    try:
        with _client(office) as client:
            while time.perf_counter() - started < START_PATIENCE_S:
                try:
                    client.get("/v1/health").raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.02)
            else:
                raise RuntimeError(processes.log_tail("coordinator"))
        yield time.perf_counter() - started
    finally:
        processes.stop_all()


def _pages(office: Office) -> dict[str, list[float]]:
    """Return the seconds of each page, by role and address; the first look at each page is not counted."""
    seconds: dict[str, list[float]] = {}
    for role, token in office.sessions.items():
        with _client(office) as client:
            client.cookies.set("__Host-doudi", token, domain=LOOPBACK)
            for address in _addresses(client):
                for _ in range(REPEATS):
                    before = time.perf_counter()
                    client.get(address).raise_for_status()
                    seconds.setdefault(f"{role} {address}", []).append(time.perf_counter() - before)
    return seconds


def _addresses(client: httpx.Client) -> list[str]:
    found, begun = ["/console"], 0
    for _click in range(2):
        newly = found[begun:]
        begun = len(found)
        for address in newly:
            answer = client.get(address)
            if answer.status_code != 200:
                found.remove(address)
                begun -= 1
                continue
            for link in _LINK.findall(answer.text):
                link = link.replace("&amp;", "&")
                if link not in found and not _NO_PAGE.search(link) and len(found) < PAGES_PER_ROLE:
                    found.append(link)
    found += [address for address in LEDGER_PAGES if address not in found]
    return [address for address in found if client.get(address).status_code == 200]


def _client(office: Office) -> httpx.Client:
    trusted = ssl.create_default_context(cafile=str(office.config.path(office.config.tls_ca_file)))
    return httpx.Client(base_url=office.config.public_url, verify=trusted, trust_env=False, timeout=30)
