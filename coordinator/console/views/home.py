"""GET /console: what waits for the person who is signed in; and the switch of the language."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from coordinator.accounts.sessions import set_language
from coordinator.console.addresses import CONSOLE, safe_back
from coordinator.console.home_cards import cards_for
from coordinator.console.languages import LANGUAGES, choose_language
from coordinator.console.problems import NO_SUCH_PAGE
from coordinator.console.rendering import page, remember_language
from coordinator.console.security import SESSION_COOKIE, ConsoleUser, Visitor
from coordinator.context import Context
from crypto.errors import DoudiError

router = APIRouter(include_in_schema=False)


@router.get("/")
async def root() -> RedirectResponse:
    """Lead whoever typed the bare address to the console."""
    return RedirectResponse(CONSOLE, 303)


@router.get(CONSOLE)
def home(request: Request, user: ConsoleUser, context: Context) -> HTMLResponse:
    """Show the cards of the person's roles."""
    with context.read() as session:
        cards = cards_for(session, user, choose_language(request))
    return page(request, "home.html.j2", user, cards=cards)


@router.get(CONSOLE + "/language/{code}")
def switch_language(request: Request, context: Context, code: str, back: str | None = None) -> RedirectResponse:
    """Keep the language and lead back to where the switch was used. It changes only how pages look, so it may be a link."""
    if code not in LANGUAGES:
        raise DoudiError(NO_SUCH_PAGE, "there are no pages in this language")
    answer = RedirectResponse(safe_back(back), 303)
    remember_language(answer, LANGUAGES[code])
    if token := request.cookies.get(SESSION_COOKIE):
        with context.begin() as session:
            set_language(session, token, code)
    return answer


no_page = APIRouter(include_in_schema=False)


@no_page.get(CONSOLE + "/{rest:path}", name=NO_SUCH_PAGE)
def no_such_page(user: Visitor, rest: str) -> None:
    """Refuse every other address. It is a route, so that the page knows who is signed in and shows the menu."""
    raise DoudiError(NO_SUCH_PAGE, "the console has no such page")
