"""The pages of the operation where there is nothing yet: accessible too, and they say what to do next."""

import pytest
from playwright.sync_api import expect

NEXT = {
    "/console/runs": "doudi node create-run",
    "/console/queue": "doudi node schedule RUN",
    "/console/catalogue": "doudi node register-asset",
    "/console/policy": "A change is proposed by one person of the centre",
    "/console/parties/tax": "It reports when it runs",
}


@pytest.mark.parametrize("path", NEXT)
def test_an_empty_page_is_accessible_and_says_what_to_do(open_page, check_accessible, path):
    page = open_page(path, role="centre_officer")
    expect(page.locator("main")).to_contain_text(NEXT[path], use_inner_text=True)
    check_accessible(page, f"empty{path.replace('/', '-')}")


def test_an_own_node_that_never_reported_is_accessible(open_page, check_accessible):
    page = open_page("/console/node", role="department_it")
    expect(page.locator("main")).to_contain_text("The node has not reported yet.", use_inner_text=True)
    check_accessible(page, "empty-console-node")
