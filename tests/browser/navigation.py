"""From one page to the next: what leads away from a page is done here, and waits until the next page is there.

Chromium takes a click or a key before the page that it leads to has come. Whoever asks at once (`count()`, `is_visible()`,
`page.url`, axe) asks the page before: what must be there is missing, and what must not be there is missing for nothing. After
these functions every question is about the new page. On a page that stays, ask with Playwright's `expect`, which waits.
"""

from typing import Any


def follow(page: Any, locator: Any) -> None:
    """Click on what leads to another page, and return when that page has loaded."""
    with page.expect_navigation():
        locator.click()


def send_by_key(page: Any) -> None:
    """Press Enter where it sends a form, and return when the page that answers has loaded."""
    with page.expect_navigation():
        page.keyboard.press("Enter")
