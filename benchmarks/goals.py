"""The goals: the bound of each, and how its ratio is computed from the figures of one round."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass


class Round:
    """The figures of one round."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str], dict[int, float]] = {}

    def put(self, who: str, name: str, n: int, figure: float) -> None:
        """Add a figure."""
        self._figures.setdefault((who, name), {})[n] = figure

    def __call__(self, who: str, name: str) -> float:
        """Return a figure of a case with one size; raise KeyError if it is void."""
        (figure,) = self._figures[who, name].values()
        return figure

    def by_size(self, who: str, name: str) -> list[float]:
        """Return a figure at each size, smallest first; raise KeyError if there are none to compare."""
        sizes = self._figures[who, name]
        if len(sizes) < 2:
            raise KeyError((who, name))
        return [figure for _, figure in sorted(sizes.items())]


@dataclass(frozen=True)
class Goal:
    """``ratio`` of a round, ``>=`` or ``<=`` than ``bound``; the median of the rounds counts."""

    name: str
    case: str
    what: str
    sense: str
    bound: float
    unit: str
    ratio: Callable[[Round], float]

    def median(self, ratios: Iterable[float]) -> float | None:
        """Return the median, None if all rounds are void."""
        known = list(ratios)
        return statistics.median(known) if known else None

    def holds(self, ratio: float) -> bool:
        """Return whether a ratio is good enough."""
        return ratio >= self.bound if self.sense == ">=" else ratio <= self.bound

    def margin(self, ratio: float) -> float:
        """Return how many times better than the bound a ratio is: 1 is just enough."""
        if self.sense == ">=":
            return ratio / self.bound
        return self.bound / max(ratio, 1e-9)


def _growth(name: str) -> Callable[[Round], float]:
    def ratio(r: Round) -> float:
        smallest, *larger = r.by_size("ours", name)
        return max(larger) / smallest

    return ratio


#: Every goal; its case is in ``benchmarks/cases``.
GOALS = (
    Goal(
        "add, by APScheduler", "add",
        "add_interval_task at 100k pending, running scheduler, by APScheduler at 10k",
        ">=", 12, "x faster", lambda r: r("apscheduler", "add") / r("ours", "add"),
    ),
    Goal(
        "add, by heappush", "add",
        "the same, by bare heappush((time() + d, n, f)) at 100k",
        "<=", 14, "x its time", lambda r: r("ours", "add") / r("bare", "add"),
    ),
    Goal(
        "growth of add", "growth",
        "add per task, 1k to 1M pending, the worst by that at 1k",
        "<=", 2, "x", _growth("add"),
    ),
    Goal(
        "growth of cancel", "growth",
        "cancel per task, 1k to 1M pending, the worst by that at 1k",
        "<=", 2, "x", _growth("cancel"),
    ),
    Goal(
        "growth of fire", "growth",
        "fire per task, 1k to 1M due at once, the worst by that at 1k",
        "<=", 2, "x", _growth("fire"),
    ),
    Goal(
        "cancel, by sched", "cancel",
        "cancel at 100k pending, by sched.cancel",
        ">=", 1000, "x faster", lambda r: r("bare", "cancel") / r("ours", "cancel"),
    ),
    Goal(
        "fire threaded, by APScheduler", "fire_threaded",
        "fire 20k due single tasks, threaded, by APScheduler",
        ">=", 8, "x its rate", lambda r: r("ours", "fire threaded") / r("apscheduler", "fire threaded"),
    ),
    Goal(
        "fire threaded, by ThreadPoolExecutor", "fire_threaded",
        "the same, by bare ThreadPoolExecutor(10).submit",
        ">=", 1.5, "x its rate", lambda r: r("ours", "fire threaded") / r("bare", "fire threaded"),
    ),
    Goal(
        "fire sequential, by APScheduler", "fire_sequential",
        "fire 20k due single tasks, sequential, by APScheduler (DebugExecutor)",
        ">=", 2.5, "x its rate", lambda r: r("ours", "fire sequential") / r("apscheduler", "fire sequential"),
    ),
    Goal(
        "fire sequential, by sched", "fire_sequential",
        "the same, by sched.run with a no-op delay",
        ">=", 0.3, "of its rate", lambda r: r("ours", "fire sequential") / r("bare", "fire sequential"),
    ),
    Goal(
        "short actions, by a bare pool", "short_actions",
        "1,500 threaded actions of 100 us, by a bare SimpleQueue pool of 8",
        ">=", 0.8, "of its rate", lambda r: r("ours", "short actions") / r("bare", "short actions"),
    ),
    Goal(
        "sleepers, by a bare pool", "sleepers",
        "100 threaded actions that sleep 100 ms, all due at once, by a bare pool of 100",
        ">=", 0.7, "of its rate", lambda r: r("bare", "sleepers") / r("ours", "sleepers"),
    ),
    Goal(
        "forked, by os.fork", "forked",
        "forked runs/s from a 50 MB parent, outcome and traceback back, by bare os.fork and wait one at a time",
        ">=", 0.8, "of its rate", lambda r: r("ours", "forked") / r("bare", "forked"),
    ),
    Goal(
        "wake-up", "wakeup",
        "add to run while the loop sleeps, median",
        "<=", 2, "ms", lambda r: r("ours", "wake-up"),
    ),
    Goal(
        "wake-up, by APScheduler", "wakeup",
        "the same, by APScheduler",
        "<=", 0.8, "x its time", lambda r: r("ours", "wake-up") / r("apscheduler", "wake-up"),
    ),
    Goal(
        "lateness", "lateness",
        "lateness at 1,000 runs/s, none dropped, p99 by max(2 ms, 1.5x APScheduler's)",
        "<=", 1, "x", lambda r: r("ours", "late p99") / max(2.0, 1.5 * r("apscheduler", "late p99")),
    ),
    Goal(
        "CPU per run, by APScheduler", "cpu",
        "CPU per run, 1,000 interval tasks of 1 s, by APScheduler",
        ">=", 5, "x less", lambda r: r("apscheduler", "CPU per run") / r("ours", "CPU per run"),
    ),
    Goal(
        "idle CPU", "idle",
        "idle CPU with 100k far-off tasks",
        "<=", 0.05, "% of a core", lambda r: r("ours", "idle CPU"),
    ),
    Goal(
        "memory, by APScheduler", "memory",
        "bytes (RSS) per pending interval task, by APScheduler",
        "<=", 1, "x", lambda r: r("ours", "memory") / r("apscheduler", "memory"),
    ),
    Goal(
        "drift", "drift",
        "1 s interval, 0.3 s action, sequential: worst offset from the grid",
        "<=", 50, "ms", lambda r: r("ours", "worst offset"),
    ),
    Goal(
        "add in a burst", "burst",
        "one add while 80k due tasks burst, p90",
        "<=", 50, "ms", lambda r: r("ours", "add in a burst p90"),
    ),
    Goal(
        "beside a CPU-bound thread", "beside",
        "100 runs/s threaded beside one CPU-bound thread, p50 by max(12 ms, 1.1x APScheduler's)",
        "<=", 1, "x", lambda r: r("ours", "late p50") / max(12.0, 1.1 * r("apscheduler", "late p50")),
    ),
    Goal(
        "recorded in SQLite", "stores",
        "sequential runs that do nothing, each claimed and recorded in SQLite",
        ">=", 20_000, "runs/s", lambda r: r("sqlite", "recorded"),
    ),
    Goal(
        "lateness with SQLite", "stores",
        "lateness at 1,000 threaded runs/s, p99, above that in memory",
        "<=", 5, "ms", lambda r: r("sqlite", "late p99") - r("ours", "late p99"),
    ),
    Goal(
        "CPU per run with SQLite", "stores",
        "CPU per run at 1,000 threaded runs/s, by that in memory",
        "<=", 3, "x", lambda r: r("sqlite", "CPU per run") / r("ours", "CPU per run"),
    ),
)  # fmt: skip
