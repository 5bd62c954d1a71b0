"""Every action, in a real browser, with a dialog and without JavaScript: what it says, and its effect at once."""

import pytest
from helpers import wait_for
from pages import ask

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]


@pytest.fixture(params=["with JavaScript, at the root", "without JavaScript, behind a proxy"])
def there(request, browse, shop, office):
    """Return a site, and a function that opens its pages."""
    javascript = request.param.startswith("with ")
    site = shop if javascript else office
    return site, lambda path, **options: browse(site, path, javascript=javascript, **options)


def act(page, address, button, **fields):
    """Follow the link to an action, fill in its form, and confirm it; return what the page says then."""
    page.locator(f'a[href$="{address}"]:visible').first.click()
    form = page.locator("form.confirm")
    form.wait_for()
    for label, value in fields.items():
        form.get_by_label(label).fill(value)
    form.get_by_role("button", name=button, exact=True).click()
    notice = page.locator(".notices .banner")
    notice.wait_for()
    return notice.inner_text()


def test_a_task_is_paused_until_a_moment_and_resumed(there):
    site, visit = there
    page = visit("tasks/prices")
    page.locator('a[href$="tasks/prices/pause"]').first.click()
    form = page.locator("form.confirm")
    assert "prices" in form.inner_text()
    form.get_by_label("for an hour").check()
    form.get_by_role("button", name="Pause", exact=True).click()
    assert "aused" in page.locator(".notices .banner").inner_text()
    task = ask(site, "api/v1/tasks/prices")
    assert task["state"] == "paused"
    assert task["paused_until"] is not None
    assert page.locator(".tag", has_text="paused").count()
    assert "esumed" in act(page, "tasks/prices/resume", "Resume")
    assert ask(site, "api/v1/tasks/prices")["paused_until"] is None


def test_a_task_runs_now_and_its_run_is_shown(there):
    site, visit = there
    page = visit("tasks/prices")
    act(page, "tasks/prices/run", "Run now")
    assert "/runs/" in page.url
    id = page.url.partition("?")[0].rpartition("/")[2]
    run = wait_for(lambda: (run := ask(site, f"api/v1/runs/{id}")) and run["state"] in ("ok", "failed") and run)
    assert run["task"] == "prices"


def test_a_running_run_is_cancelled(there):
    site, visit = there
    page = visit("tasks/supplier%20feed")
    act(page, "tasks/supplier%20feed/run", "Run now")
    id = page.url.partition("?")[0].rpartition("/")[2]
    wait_for(lambda: ask(site, f"api/v1/runs/{id}")["state"] == "running")
    page.reload()
    assert page.locator(".tag", has_text="running").count()
    act(page, f"runs/{id}/cancel", "Cancel the run")
    wait_for(lambda: ask(site, f"api/v1/runs/{id}")["state"] == "cancelled")
    page.reload()
    assert page.locator("h1 .tag", has_text="cancelled").count()


def test_a_failed_run_is_run_again(there):
    site, visit = there
    failed = ask(site, "api/v1/runs?task=newsletter&state=failed")["items"][0]
    page = visit(f"runs/{failed['id']}")
    assert "smtp.example.org refused the login" in page.locator(".trace").inner_text()
    assert "hunter2" not in page.content()
    act(page, f"runs/{failed['id']}/rerun", "Run again")
    assert failed["id"] not in page.url
    id = page.url.partition("?")[0].rpartition("/")[2]
    assert ask(site, f"api/v1/runs/{id}")["task"] == "newsletter"


def test_a_task_is_rescheduled_after_its_next_fires_were_shown(there):
    site, visit = there
    page = visit("tasks/newsletter", expected="422")
    before = ask(site, "api/v1/tasks/newsletter")["timetable"]
    page.locator('a[href$="tasks/newsletter/reschedule"]').first.click()
    form = page.locator("form.confirm")
    assert form.get_by_role("button", name="Save").count() == 0
    form.get_by_label("Timetable").fill("61 * * * *")
    form.get_by_role("button", name="Preview").click()
    assert "61" in page.locator("form.confirm .problem").inner_text()
    form.get_by_label("Timetable").fill("45 11 * * 1-5")
    form.get_by_role("button", name="Preview").click()
    page.locator("form.confirm .preview").wait_for()
    assert page.locator("form.confirm .preview time").count() >= 5
    assert ask(site, "api/v1/tasks/newsletter")["timetable"] == before
    form.get_by_role("button", name="Save").click()
    page.locator(".notices .banner").wait_for()
    assert "11:45" in ask(site, "api/v1/tasks/newsletter")["timetable"]
    assert "11:45" in page.locator("main").inner_text()


def test_all_tasks_are_paused_and_resumed(there):
    site, visit = there
    page = visit("")
    act(page, "pause-all", "Pause all")
    assert states(site) <= {"paused", "failing"}
    assert page.locator("table.tasks .tag", has_text="paused").count() > 5
    act(page, "resume-all", "Resume all")
    assert "paused" not in states(site)


def states(site):
    """Return the states of all tasks."""
    return {task["state"] for task in ask(site, "api/v1/tasks")["items"]}


def test_what_was_done_stands_in_the_audit_trail(there):
    site, visit = there
    page = visit("tasks/stock")
    act(page, "tasks/stock/pause", "Pause")
    act(page, "tasks/stock/resume", "Resume")
    page = visit("tasks/stock")
    trail = page.locator("section.card", has=page.get_by_role("heading", name="Changes")).inner_text()
    assert "pause" in trail
    assert "resume" in trail
    assert ("anna" if site.user else "local") in trail


def test_a_notice_is_shown_once_and_cancel_changes_nothing(there):
    site, visit = there
    page = visit("tasks/stock")
    act(page, "tasks/stock/pause", "Pause")
    page.reload()
    assert page.locator(".notices .banner").count() == 0
    page.locator('a[href$="tasks/stock/resume"]').first.click()
    page.locator("form.confirm").get_by_role("link", name="Cancel").or_(
        page.locator("form.confirm").get_by_role("button", name="Cancel")
    ).click()
    assert ask(site, "api/v1/tasks/stock")["state"] == "paused"
    act(visit("tasks/stock"), "tasks/stock/resume", "Resume")
