"""A year on the virtual clock: 1,000 tasks with intervals of 1 h to 24 h, nearly three million runs in one process."""

import time

from benchmarks.loads import arguments, conclude
from tgscheduler.testing import TickedScheduler

HOUR = 3600.0
DAY = 24 * HOUR

#: The tasks' intervals, in hours.
HOURS = (1, 2, 3, 4, 6, 8, 12, 24)


def main() -> None:
    """Run the year; every fire of its timetable must be a run."""
    short = arguments(__doc__).short
    days = 36 if short else 365
    scheduler = TickedScheduler(start=1_735_689_600.0, timezone="Europe/Berlin")
    ran = [0]

    def action() -> None:
        ran[0] += 1

    for number in range(1000):
        hours, delay = HOURS[number % len(HOURS)], number * 61 % 3600
        scheduler.add_interval_task(action, hours * HOUR, initialdelay=delay, taskname=f"task {number}")
    expected = sum(int((days * DAY - number * 61 % 3600) // (HOURS[number % 8] * HOUR)) + 1 for number in range(1000))
    began = time.perf_counter()
    scheduler.tick(days * DAY)
    took = time.perf_counter() - began
    counts = scheduler.counts()
    conclude(
        "year",
        short,
        {
            "each fire is one run": ran[0] == expected,
            "the journal adds up": sum(counts.values()) == counts["ok"] == expected,
            "under a minute": took < 60,
        },
        days=days,
        runs=ran[0],
        seconds=round(took, 1),
        microseconds_a_run_us=round(took / ran[0] * 1e6, 1),
    )


if __name__ == "__main__":
    main()
