"""A real identity provider as a child process, and the browser that fills in its forms."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

SOURCE = Path(__file__).parent / "oidc_provider"
INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")


def install(cache: Path) -> Path:
    """Return a folder with the provider's program and its packages, installed once for each content of `package.json`."""
    files = [SOURCE / name for name in ("package.json", "server.mjs")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    folder = cache / digest
    if not folder.exists():
        fresh = Path(tempfile.mkdtemp(dir=cache))
        for path in files:
            shutil.copy(path, fresh)
        subprocess.run(INSTALL, cwd=fresh, check=True, timeout=240)
        # Of two test processes that install at once, one gives the name.
        with suppress(OSError):
            os.rename(fresh, folder)
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


@dataclass
class IdentityProvider:
    """The provider, for as long as the tests need it."""

    process: subprocess.Popen[bytes]
    issuer: str
    redirect: str
    password: str

    @classmethod
    def start(cls, folder: Path) -> "IdentityProvider":
        process = subprocess.Popen(["node", "server.mjs"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        return cls(process, facts["issuer"], facts["redirect"], facts["password"])

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        # It ends when its stdin does.
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def sign_in(
        self, url: str, name: str, *, password: str | None = None, amr: str = "", acr: str = ""
    ) -> dict[str, str]:
        """Follow an authorization address as a browser does; return the query with which the provider leads back."""
        given = self.password if password is None else password
        with httpx.Client(trust_env=False) as browser:
            answer = browser.get(url)
            for _ in range(6):
                if answer.is_redirect:
                    target = urljoin(str(answer.url), answer.headers["location"])
                    if target.startswith(self.redirect):
                        return dict(parse_qsl(urlsplit(target).query))
                    answer = browser.get(target)
                    continue
                action = re.search(r'<form method="post" action="([^"]+)"', answer.text)
                assert action is not None, answer.text
                form = {"name": name, "password": given, "amr": amr, "acr": acr}
                answer = browser.post(urljoin(str(answer.url), action[1]), data=form)
        raise AssertionError("the provider did not lead back")
