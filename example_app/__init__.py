"""The guide's usage example as a whole application: a small shop whose background jobs the scheduler runs.

::

    python -m example_app                 with dev.cfg: http://127.0.0.1:8080/
    python -m example_app my.cfg          my.cfg over config/app.cfg

    config/app.cfg   the application: its jobs' intervals, its database
    dev.cfg          a deployment: port, log, short intervals to watch
    commands.py      start(): configuration, database, the two lines of the guide, the server
    jobs.py          the jobs, and schedule()
    model.py         the tables
    controllers.py   the requests; page.py makes the page
"""
