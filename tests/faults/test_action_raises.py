"""What an action can raise."""

import gc

import pytest
from helpers import wait_for
from probe import METHODS, on_time, run_once

from tgscheduler import logs
from tgscheduler.messages import clean
from tgscheduler.scheduler import ThreadedScheduler, method

pytestmark = pytest.mark.realtime


class Own(BaseException):
    pass


class EvilText(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class EvilAttributes(Exception):
    def __setattr__(self, name, value):
        raise RuntimeError("read only")


class EvilCause(Exception):
    @property
    def __cause__(self):
        raise RuntimeError("no cause")


class EvilKind(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=EvilKind):
    pass


def cycle():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def ten_thousand_links():
    error = ValueError("last")
    for number in range(10_000):
        cause, error = error, ValueError(f"link {number}")
        error.__cause__ = cause
    raise error


def huge_locals():
    big = dict.fromkeys(range(100_000), "x" * 100)
    raise ValueError(f"{len(big)} locals")


def huge_text():
    raise ValueError("x" * 5_000_000)


def huge_group():
    raise ExceptionGroup("many", [ValueError(number) for number in range(10_000)])


def raiser(error):
    def action():
        raise error

    return action


EVIL = {
    "str raises": raiser(EvilText()),
    "setattr raises": raiser(EvilAttributes()),
    "cause raises": raiser(EvilCause()),
    "name raises": raiser(Nameless()),
    "cycle": cycle,
    "10,000 links": ten_thousand_links,
    "huge locals": huge_locals,
    "huge text": huge_text,
    "huge group": huge_group,
    "no memory": lambda: bytearray(1 << 62),
}


@pytest.mark.parametrize("processmethod", METHODS)
def test_what_is_raised_ends_neither_loop_nor_pool_nor_forker(processmethod, caplog):
    errors = [Own(), SystemExit(3), KeyboardInterrupt(), GeneratorExit()]
    with on_time(ThreadedScheduler()) as probe:
        for error in errors:
            name = type(error).__name__
            run = run_once(probe.scheduler, raiser(error), method=processmethod, name=name)
            assert (run.state, name in run.error) == ("failed", True)
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition("\n")[0] for line in said] == [
        f"{type(error).__name__}: the action raised {type(error).__name__}" for error in errors
    ]


@pytest.mark.parametrize("processmethod", METHODS)
def test_an_evil_exception_is_a_failure_with_a_bounded_text(processmethod, caplog):
    with on_time(ThreadedScheduler()) as probe:
        for kind, action in EVIL.items():
            run = run_once(probe.scheduler, action, method=processmethod, name=kind)
            assert run.state == "failed", kind
            assert 0 < len(run.error) < 20_000, kind
            assert run_once(probe.scheduler, int, method=processmethod, name=f"after {kind}").state == "ok"
    said = [record.getMessage().partition(": ")[0] for record in caplog.records]
    assert said == list(EVIL)


@pytest.mark.parametrize("text", ["\ud800" * 100_000, "\0" * 100_000, "ü\udfff\0" * 50_000, "x\n" * 100_000])
def test_a_text_is_bounded_after_what_has_no_encoding_is_spelled_out(text):
    error = ValueError(text)
    assert len(logs.describe(error)) <= logs.LONGEST_ERROR + 3
    assert clean(logs.describe(error)) == logs.describe(error), "a store makes it no longer"
    assert len(logs.brief(error)) <= 200 + len("ValueError: ")
    assert logs.brief(error).isprintable()


class Marker:
    pass


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded])
def test_the_locals_of_a_failed_action_are_gone_after_its_record(processmethod):
    def action():
        marker = Marker()
        try:
            raise ValueError(id(marker))
        except ValueError as error:
            raise KeyError("chained") from error

    with on_time(ThreadedScheduler()) as probe:
        assert run_once(probe.scheduler, action, method=processmethod).state == "failed"
        # No collection: nobody's cycle has to be waited for.
        wait_for(lambda: not [found for found in gc.get_objects() if type(found) is Marker])


def test_an_exception_that_the_application_keeps_keeps_none_of_our_frames():
    kept = []

    def action():
        kept.append(ValueError("kept"))
        raise kept[0]

    with on_time(ThreadedScheduler()) as probe:
        run_once(probe.scheduler, action)
    assert kept[0].__traceback__ is None
    assert not [found for found in gc.get_referrers(kept[0]) if type(found).__name__ == "frame"]
