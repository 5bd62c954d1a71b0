"""The two lists of functions, and how the log calls what is in them."""

import functools

import pytest

import tgscheduler
from tgscheduler import startup


class Jobs:
    """Holds a method and can be called."""

    def schedule(self):
        """Schedule."""

    def __call__(self):
        """Schedule as well."""


def schedule():
    """Schedule."""


def test_they_are_plain_lists():
    assert type(startup.call_on_startup) is list
    assert type(startup.call_on_shutdown) is list
    assert tgscheduler.startup is startup


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        (schedule, f"{__name__}.schedule"),
        (Jobs().schedule, f"{__name__}.Jobs.schedule"),
        (Jobs, f"{__name__}.Jobs"),
        (Jobs(), f"{__name__}.Jobs"),
        (functools.partial(functools.partial(schedule), 1), f"{__name__}.schedule"),
        (lambda: None, f"{__name__}.<lambda>"),
        (print, "builtins.print"),
        (None, "None"),
    ],
)
def test_the_log_calls_a_function_by_its_full_name(hook, name):
    assert startup.name_of(hook) == name
