"""The snippets of the guide that TurboGears 1 had, as they stand there, told for Python 3.

``turbogears`` is ``tgscheduler``; ``print`` is a function; ``from``, a keyword, is ``since``; ``MetaData`` is not bound
to a database any more, so SQLAlchemy 2 executes on a connection. Nothing else differs.
"""

APP_CFG = """\
[global]
# Set to True if the scheduler should be started
tg.scheduler = True
"""

EVERY_TEN_SECONDS = """\
from tgscheduler import scheduler

def do_something():
    print("Hello world.")

scheduler.add_interval_task(action=do_something, taskname='do_something',
    initialdelay=0, interval=10)
"""

SEQUENTIAL = """\
tgscheduler.scheduler.add_interval_task(
    processmethod=tgscheduler.scheduler.method.sequential,
    action=do_something,
    taskname='do_something',
    initialdelay=5,
    interval=60)
"""

USAGE_JOBS = """\
# jobs.py

import datetime
from tgscheduler.scheduler import add_weekday_task, add_interval_task

def generate_product_ranking():
    # do something useful here...
    pass

def synchronize_stock(since=None):
    # do something useful here...
    pass

def schedule():
    add_weekday_task(action=generate_product_ranking,
        weekdays=range(1,8), timeonday=(0))

    add_interval_task(action=synchronize_stock,
        args=[lambda:datetime.datetime.now() -
            datetime.timedelta(minutes=2)],
        interval=120)
"""

USAGE_COMMANDS = """\
# commands.py

...

def start():

    ...

    # following two lines added
    from yourpkg import jobs
    tgscheduler.startup.call_on_startup.append(jobs.schedule)

    from yourpkg.controllers import Root
    tgscheduler.start_server(Root())
"""

VISITS_JOBS = """\
# jobs.py

from sqlalchemy import sql

from tgscheduler import config
from tgscheduler.scheduler import add_interval_task

from yourpkg.model import engine, visits_table, visit_identity_table

import logging
log = logging.getLogger("yourpkg.jobs")

_expired_visits = sql.text("expiry<current_timestamp-'15min'::interval")
_orphaned_identities = sql.text("not exists(select * from visit"
    " where visit_key=visit_identity.visit_key)")

def delete_expired_visits():
    \"\"\"Delete expired visits from database.\"\"\"
    log.info("Deleting expired visits from database...")
    with engine.begin() as connection:
        connection.execute(visits_table.delete().where(_expired_visits))
        connection.execute(visit_identity_table.delete().where(_orphaned_identities))

def schedule():
    if config.get('tg.scheduler'):
        log.info("Scheduling background jobs...")
        add_interval_task(action=delete_expired_visits, interval=30*60)
    else:
        log.warning("Scheduler not activated!")
"""
