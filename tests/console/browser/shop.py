"""The example application with jobs that fail, take long and are paused, and with a past.

::

    python shop.py CONFIG           serve it
    python shop.py CONFIG past      write three days of runs into the store of CONFIG, which is not there yet
"""

import logging
import os
import random
import sys
import time
from pathlib import Path

from example_app import commands, jobs
from tgscheduler import config, scheduler, startup, stores, update_config
from tgscheduler.testing import TickedScheduler, installed

#: A task whose name, log and error are markup.
ODD = "<script>alert(1)</script> a/b?c=%20#d & 🚚"

DAYS = 3
HOUR, DAY = 3600.0, 86400.0

log = logging.getLogger("example_app.jobs")
log.setLevel(logging.INFO)
chance = random.Random(20)

#: What an action calls to take its time: it moves the virtual clock while the past is written.
sleep = time.sleep


def send_newsletter(password="hunter2"):
    """Send the newsletter to its subscribers; the mail server refuses it."""
    log.info("Sending to 1,204 subscribers")
    sleep(0.2)
    log.warning("The mail server answers 535")
    raise ConnectionError(f"smtp.example.org refused the login: 535, password={password}")


def import_feed():
    """Read the supplier's feed; takes as long as there is something in it."""
    log.info("Reading https://feed.example.org/products.xml")
    sleep(40 * chance.uniform(0.8, 1.4) if sleep is not time.sleep else 600)


def back_up():
    """Copy the database."""
    sleep(12 * chance.uniform(0.8, 1.2))


def check_prices():
    """Compare the prices with those of the suppliers."""
    sleep(chance.uniform(0.4, 0.9))
    if chance.random() < 0.04:
        raise TimeoutError("no answer from prices.example.org after 10 s")


def beat():
    """Say that the shop is alive."""
    sleep(0.002)


def report():
    """Write the report of the day."""
    sleep(3 * chance.uniform(0.9, 1.3))


def say_markup():
    """Log what must stay text."""
    log.info("<img src=x onerror=alert(1)> & </pre><script>alert(2)</script>")
    raise ValueError("<b>bold</b> & </code><script>alert(3)</script>")


def schedule():
    """Add the jobs that the example application does not have."""
    add = scheduler
    add.add_weekday_task(
        send_newsletter, range(1, 8), [(9, 30), (15, 0)], kw={"password": "hunter2"}, taskname="newsletter", retry=2
    )
    add.add_weekday_task(
        import_feed, range(1, 8), (2, 30), processmethod=scheduler.method.forked, taskname="supplier feed",
        timeout=900, overlap="queue",
    )  # fmt: skip
    add.add_cron_task(back_up, "15 3 * * *", taskname="backup", misfire="skip")
    add.add_interval_task(check_prices, 900, initialdelay=300, taskname="prices", jitter=20)
    add.add_monthday_task(report, [1, "last"], (23, 0), taskname="month's report", timezone="America/New_York")
    if config.get("shop.odd"):
        add.add_interval_task(say_markup, 7200, initialdelay=60, taskname=ODD)


def schedule_beat():
    """Add the one that fires too often for three days of past."""
    scheduler.add_interval_task(beat, 20, initialdelay=5, taskname="heartbeat")


def write_past(url):
    """Let the days pass on a virtual clock that ends a little before now."""
    global sleep
    end = time.time() - 420
    zone = config.get("tg.scheduler.timezone")
    ticked = TickedScheduler(start=end - DAYS * DAY, timezone=zone, store=stores.open(url))
    ticked.stop()
    sleep = ticked.clock.advance
    log_at(ticked.clock.now)
    jobs.generate_product_ranking = lambda: sleep(chance.uniform(0.02, 0.05))
    jobs.synchronize_stock = lambda since: sleep(chance.uniform(0.2, 0.6))
    jobs.delete_expired_visits = lambda: sleep(chance.uniform(0.008, 0.02))
    jobs.catch_up = lambda: None
    with installed(ticked):
        jobs.schedule()
        schedule()
        ticked.start()
        ticked.tick(DAYS * DAY - 4 * HOUR)
        ticked.clock.advance(1500)  # the machine slept: what came due is late
        ticked.tick(3 * HOUR - 1500)
        schedule_beat()
        ticked.tick(HOUR)
        ticked.pause("backup", until=end + 2 * DAY)
    ticked.stop()


def log_at(now):
    """Let log records have the times of the virtual clock, and be seen nowhere but in the runs."""
    logging.getLogger().addHandler(logging.NullHandler())

    def record(*args, **kw):
        made = logging.LogRecord(*args, **kw)
        made.created = now()
        made.msecs = made.created % 1 * 1000
        return made

    logging.setLogRecordFactory(record)


def add_all():
    """Add the jobs at the server's start."""
    if config.get("tg.scheduler"):
        schedule()
        schedule_beat()


def main(configfile, what="serve"):
    """Serve the shop, or write its past."""
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    configfile = str(Path(configfile).resolve())
    if what == "past":
        update_config(configfile=configfile, modulename="example_app.config")
        write_past(config.get("tg.scheduler.store"))
    else:
        startup.call_on_startup.append(add_all)
        commands.start(configfile)


if __name__ == "__main__":
    import shop  # so that the jobs have a module's name

    shop.main(*sys.argv[1:])
