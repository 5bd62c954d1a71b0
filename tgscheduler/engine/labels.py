"""Labels of tasks without a name: ``module.qualname`` of the action, with ``#2`` for the second task, and so on."""

import functools
from typing import Any


class LabelPool:
    """The labels of one action's tasks, numbered from the second on.

    Returned labels are used first, and if all are returned, from the first one on: a label is built once, not per task.
    """

    __slots__ = ("base", "free", "made", "module")

    def __init__(self, module: str, qualname: str) -> None:
        self.module = module
        base = f"{module}.{qualname}"
        self.base = base if base.isprintable() else ascii(base)
        self.made: list[str] = []
        self.free: list[str] = []

    def make(self) -> str:
        """Return a label that no task has had."""
        label = f"{self.base}#{len(self.made) + 1}" if self.made else self.base
        self.made.append(label)
        return label

    def restart(self) -> None:
        """Begin with the first label again, as all are free; keep at most 1,000."""
        del self.made[1000:]
        self.free[:] = reversed(self.made)


class Labels:
    """The pools of all actions."""

    def __init__(self) -> None:
        self._pools: dict[str, LabelPool] = {}

    def take(self, action: Any) -> tuple[LabelPool, str]:
        """Return a label that no task of an action has, and the pool to return it to."""
        try:
            pool = self._pools[action.__qualname__]
            if pool.module != action.__module__:
                pool = self._pool(action)
        except Exception:  # its first task, or an action without names; custom attributes may raise anything
            pool = self._pool(action)
        return pool, pool.free.pop() if pool.free else pool.make()

    def _pool(self, action: Any) -> LabelPool:
        module, qualname = _action_name(action)
        for key in (qualname, f"{module}.{qualname}"):  # the second if two modules have a function of the same name
            pool = self._pools.setdefault(key, LabelPool(module, qualname))
            if pool.module == module:
                break
        return pool


def _action_name(action: Any) -> tuple[str, str]:
    """Return the module and the qualified name of any callable."""
    while isinstance(action, functools.partial):
        action = action.func
    try:
        kind = action if isinstance(action.__qualname__, str) else type(action)
    except Exception:
        kind = type(action)
    return str(getattr(kind, "__module__", None) or "?"), str(getattr(kind, "__qualname__", "?"))
