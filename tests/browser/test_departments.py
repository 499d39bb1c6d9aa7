"""Departments, the own node and the catalogue in a real browser."""

import pytest
from navigation import follow
from playwright.sync_api import expect


@pytest.fixture
def console(working_console):
    """In the place of the console that all tests share."""
    return working_console


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/console/parties", "centre_officer"),
        ("/console/parties", "department_it"),
        ("/console/parties/tax", "centre_approver"),
        ("/console/parties/health", "department_it"),
        ("/console/parties/housing", "auditor"),
        ("/console/parties/tax/sent", "auditor"),
        ("/console/node", "department_it"),
        ("/console/catalogue", "department_it"),
        ("/console/catalogue?tier=core", "auditor"),
        ("/console/catalogue/tax/tax", "department_it"),
    ],
)
def test_a_page_is_accessible(open_page, check_accessible, path, role):
    name = path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-")
    check_accessible(open_page(path, role=role), f"{name}-{role}")


@pytest.mark.parametrize("role", ["centre_officer", "centre_approver", "department_it", "scheduler", "auditor"])
def test_the_home_page_with_work_is_accessible(open_page, check_accessible, role):
    check_accessible(open_page("/console", role=role), f"home-at-work-{role}")


def test_from_the_list_to_what_left_a_node(open_page):
    page = open_page("/console/parties", role="auditor")
    follow(page, page.get_by_role("link", name="Tax", exact=True))
    expect(page.get_by_role("img", name="Budgets in ε")).to_be_visible()
    follow(page, page.get_by_role("link", name="All 120 rows of the newest report"))
    follow(page, page.get_by_role("link", name="Next page"))
    expect(page.get_by_text("Rows 51 to 100 of 120")).to_be_visible()
    follow(page, page.get_by_role("link", name="Next page"))
    expect(page.get_by_text("Rows 101 to 120 of 120")).to_be_visible()
    expect(page.get_by_role("link", name="Next page")).to_have_count(0)
    follow(page, page.get_by_role("link", name="First page"))
    expect(page.get_by_text("Rows 1 to 50 of 120")).to_be_visible()


def test_the_catalogue_is_narrowed_without_a_script(open_page):
    page = open_page("/console/catalogue", role="department_it", java_script_enabled=False)
    page.get_by_label("Owner").select_option("health")
    page.get_by_label("Part of the data set's name").fill("disab")
    follow(page, page.get_by_role("button", name="Show"))
    expect(page.locator("main table a")).to_have_text(["Disability"])
    # What was chosen is still chosen.
    expect(page.get_by_label("Owner")).to_have_value("health")
    follow(page, page.get_by_role("link", name="Show all"))
    expect(page.locator("main table a")).to_have_count(7)


def test_a_fingerprint_is_text_that_can_be_read_out(open_page, working_console):
    card = working_console.prepared.world.card("tax")
    page = open_page("/console/parties/tax", role="department_it", width_px=360)
    expect(page.locator(".print .card-print")).to_have_text(card.fingerprint(), use_inner_text=True)
