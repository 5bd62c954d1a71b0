"""Starts the application."""

from pathlib import Path

import tgscheduler
from tgscheduler import config, update_config


def start(configfile: str | None = None) -> None:
    """Serve the application until it is stopped; ``configfile`` (None: dev.cfg) overrides app.cfg."""
    update_config(configfile=configfile or str(Path(__file__).with_name("dev.cfg")), modulename="example_app.config")

    from example_app import model

    model.open_database(config.get("example.database"))
    tgscheduler.startup.call_on_shutdown.append(model.close_database)

    # The two lines of the guide: the jobs are scheduled at each start of the server.
    from example_app import jobs

    tgscheduler.startup.call_on_startup.append(jobs.schedule)

    from example_app.controllers import Root

    tgscheduler.start_server(Root())
