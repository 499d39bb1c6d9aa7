"""A browser without a screen over the real application in this process: keeps cookies, and the secret field of its forms."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

HOST = "coordinator.example"
ORIGIN = f"https://{HOST}"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Browser:
    """A browser without a screen: keeps cookies, and fills in the secret field of the page that it saw last."""

    app: Any
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)
    seen: str = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, fields: Mapping[str, Any] | None = None, **headers: str) -> httpx.Response:
        """Send a form as the page that was seen last would."""
        found = _CSRF.search(self.seen)
        secret = {"csrf": found[1]} if found else {}
        return self.ask("POST", path, headers=headers, data={**secret, **(fields or {})})

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=self.cookies) as client:
                answer = await client.request(method, path, **options)
                self.cookies = client.cookies
                return answer

        answer = asyncio.run(call())
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.seen = answer.text
        return answer
