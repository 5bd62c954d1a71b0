"""The pages of the console, as the tests visit them."""

import json
import re
import urllib.request
from base64 import b64encode
from urllib.parse import quote

from shop import ODD

#: Name of a page, and its path below the console; ``{failed}`` and ``{ok}`` are ids of runs.
PAGES = {
    "schedule": "",
    "schedule-of-a-week": "?span=week&sort=name",
    "schedule-filtered": "?state=failing",
    "schedule-without-match": "?q=nothing-like-this",
    "task": "tasks/newsletter",
    "task-charted": "tasks/prices",
    "task-paused": "tasks/backup",
    "task-odd": f"tasks/{quote(ODD, safe='')}",
    "runs": "runs",
    "runs-failed": "runs?state=failed",
    "runs-all": "runs?hidden=1",
    "runs-without-match": "runs?task=nothing",
    "run-failed": "runs/{failed}",
    "run-ok": "runs/{ok}",
    "calendar": "calendar",
    "simulate": "simulate",
    "simulated": "simulate?line=30+2+*+3,10+0&zone=Europe%2FBerlin",
    "simulated-wrong": "simulate?line=61+2+*+*+*&zone=Europe%2FBerlin",
    "why": "why",
    "why-answered": "why?task=newsletter&at={due}",
    "health": "health",
    "pause": "tasks/newsletter/pause",
    "run-now": "tasks/newsletter/run",
    "reschedule": "tasks/newsletter/reschedule",
    "reschedule-previewed": "tasks/newsletter/reschedule?line=0+10+*+*+1-5&zone=Europe%2FBerlin",
    "run-again": "runs/{failed}/rerun",
    "pause-all": "pause-all",
}


def path_of(name, site):
    """Return the path of a page, with what only the server knows filled in."""
    path = PAGES[name]
    if "{" in path:
        failed = ask(site, "api/v1/runs?task=newsletter&state=failed")["items"][0]
        ok = ask(site, "api/v1/runs?task=prices&state=ok")["items"][0]
        path = path.format(failed=quote(failed["id"]), ok=quote(ok["id"]), due=failed["due_posix"])
    return path


def ask(site, path, body=None):
    """Return what the API answers, to a POST if there is a body."""
    request = urllib.request.Request(site.url + path)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if site.user:
        request.add_header("Authorization", "Basic " + b64encode(":".join(site.user).encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def tell(site, verb, **body):
    """Let the API do something."""
    return ask(site, f"api/v1/{verb}", body)


def zones_shown(page):
    """Return the zones that the times of a page are written in."""
    return set(re.findall(r"[A-Z]{2,5}(?:[+-]\d\d)?$", "\n".join(page.locator("time > abbr").all_inner_texts()), re.M))
