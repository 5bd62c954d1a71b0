"""Actions whose call does not do the work: refused when a task is made, or failed when they return.

================================  =======================================================================
seen before it is called          ``async def`` and ``yield``: functions, methods, partials, callable objects
seen by what it returns           the same behind a lambda, a decorator or a builtin
not seen                          what a wrapper makes and drops itself
================================  =======================================================================
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from functools import partial
from types import BuiltinFunctionType, CoroutineType, FunctionType, MethodType, MethodWrapperType
from typing import Any

from tgscheduler.errors import InvalidType, UnfinishedAction

#: The flags of a function whose call runs none of its body.
LAZY = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

#: Types that most actions return, if not None: one set lookup, instead of 5,000 instructions for the abstract classes.
_PLAIN = frozenset({bool, int, float, str, bytes, list, dict, tuple, set})
_BUILTIN = (BuiltinFunctionType, MethodWrapperType)
_RESULTS = (Awaitable, Generator, AsyncGenerator)
_AWAIT_IT = "coroutines are not run here: give a plain function, such as def job(): asyncio.run(work())"
_ITERATE_IT = "give a plain function that goes through it, such as def job(): for _ in work(): pass"


def check_callable(what: str, function: object) -> None:
    """Raise InvalidType unless ``function`` can be called and, as far as can be seen, does its work when called."""
    if not callable(function):
        raise InvalidType(f"{what}: expected a callable, got {function!r}")
    made = _made_by(function)
    if made is not None:
        mend = _AWAIT_IT if made == "a coroutine" else _ITERATE_IT
        raise InvalidType(
            f"{what}: expected a function that does its work, got {function!r}, which makes {made}; {mend}"
        )


def check_result(result: object, who: str = "the action") -> None:
    """Raise UnfinishedAction if ``result``, returned by ``who``, is unfinished work: an awaitable or a generator."""
    kind = type(result)
    if kind in _PLAIN or not issubclass(kind, _RESULTS):
        return
    mend = _AWAIT_IT
    if isinstance(result, Coroutine):
        what = "a coroutine"
        if isinstance(result, CoroutineType) and inspect.getcoroutinestate(result) == inspect.CORO_CREATED:
            result.close()  # otherwise Python warns that it was never awaited
    elif isinstance(result, Awaitable):
        what = f"an awaitable ({kind.__name__})"
    else:
        what = "a generator" if isinstance(result, Generator) else "an async generator"
        mend = _ITERATE_IT
    raise UnfinishedAction(f"{who} returned {what} and its work was not done; {mend}")


def _made_by(function: Any) -> str | None:
    """Return what a call makes instead of doing the work; None if nothing, as far as can be seen."""
    while (kind := type(function)) is not FunctionType:  # not by isinstance: a mock claims the class of its spec
        if kind is MethodType:
            function = function.__func__
        elif kind in _BUILTIN or issubclass(kind, type):
            return None
        elif issubclass(kind, partial):
            function = function.func
        elif _is_marked(function):
            return "a coroutine"
        elif type(kind.__call__) in (FunctionType, MethodType, partial):
            function = kind.__call__
        else:
            return None
    flags = function.__code__.co_flags
    if flags & inspect.CO_COROUTINE or (function.__dict__ and _is_marked(function)):
        return "a coroutine"
    if flags & inspect.CO_ASYNC_GENERATOR:
        return "an async generator"
    return "a generator" if flags & inspect.CO_GENERATOR else None


def _is_marked(function: object) -> bool:
    """Return whether it is marked as an ``async def`` (``inspect.markcoroutinefunction``)."""
    try:
        return inspect.iscoroutinefunction(function)
    except Exception:  # an object whose attributes cannot be read
        return False
