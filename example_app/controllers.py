"""The requests of visitors."""

import cherrypy

from example_app import model, page
from tgscheduler import config, scheduler


class Root:
    """The shop."""

    @cherrypy.expose
    @cherrypy.tools.allow(methods=["GET", "HEAD"])
    def index(self, refresh: str = "on") -> str:
        """Show the page, and record the visit; ``?refresh=off`` shows it without a reload."""
        model.record_visit(config.get("example.visit_timeout"))
        tasks = scheduler.get_tasks()
        return page.render(
            page.Facts(
                ranking=model.ranking(),
                visits=model.visits(),
                deletions=model.deletions(limit=5),
                tasks=tasks,
                runs=scheduler.runs(limit=12),
                last={name: next(iter(scheduler.runs(name, limit=1)), None) for name in tasks},
                counts=scheduler.counts(),
                health=scheduler.health(),
                console=config.get("tg.scheduler.console"),
            ),
            refresh=config.get("example.refresh") if refresh == "on" else None,
        )

    @cherrypy.expose
    @cherrypy.tools.allow(methods=["POST"])
    def order(self, product_id: str) -> None:
        """Order one of a product, and go back to the page."""
        if cherrypy.request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise cherrypy.HTTPError(403, "Orders come from the shop's own page.")
        if not (product_id.isascii() and product_id.isdigit() and len(product_id) < 9 and model.order(int(product_id))):
            raise cherrypy.HTTPError(404, "There is no such product.")
        raise cherrypy.HTTPRedirect("/")
