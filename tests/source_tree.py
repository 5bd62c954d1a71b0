"""The package as syntax trees, and what its checks look up in them."""

import ast
import functools

from helpers import ROOT


@functools.cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


PACKAGE = ROOT / "tgscheduler"
PATHS = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {module: tree(path) for module, path in PATHS.items()}
ENGINE = {module: found for module, found in TREES.items() if module.startswith("engine")}


def place(module, node):
    return f"{module or 'tgscheduler'}:{node.lineno}"


def classes(found):
    return [node for node in ast.walk(found) if isinstance(node, ast.ClassDef)]


def functions(found):
    return [node for node in ast.walk(found) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def stored(found):
    """Yield each attribute that is set, deleted or, if it is a container, changed in place."""
    for node in ast.walk(found):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Attribute)
            and node.func.attr in {"append", "appendleft", "extend", "remove", "pop", "popleft", "clear"}
        ):
            yield node.func.value


def slots(node):
    """Return the names in ``__slots__`` of a class."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__slots__":
            names = ast.literal_eval(statement.value)
            return [names] if isinstance(names, str) else list(names)
    return []


def definitions(module, found):
    """Yield (owner, name, line) of each class, function, attribute and constant; its owner is a class or a module."""
    stem = module.rpartition(".")[2] or "tgscheduler"

    def walk(node, owner, in_function):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                if not in_function:
                    yield owner, child.name, child.lineno
                inside = child.name if isinstance(child, ast.ClassDef) else owner
                if isinstance(child, ast.ClassDef):
                    for name in slots(child):
                        yield inside, name, child.lineno
                yield from walk(child, inside, not isinstance(child, ast.ClassDef))
                continue
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store) and not in_function:
                yield owner, child.id, child.lineno
            elif (
                isinstance(child, ast.Attribute)
                and isinstance(child.ctx, ast.Store)
                and ast.unparse(child.value) == "self"
            ):
                yield owner, child.attr, child.lineno
            yield from walk(child, owner, in_function)

    yield from walk(found, stem, False)


def imports(module, found):
    """Yield (dotted name, line) of each import from this package, wherever it stands, types included."""
    inside = PATHS.get(module, ROOT / "x.py").name == "__init__.py"
    for node in ast.walk(found):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["tgscheduler", *filter(None, module.split("."))]
                up = node.level - 1 if inside else node.level
                base = ".".join([*here[: len(here) - up], *filter(None, [base])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "tgscheduler":
                yield name, node.lineno


def module_of(name):
    """Return the module of ours that a dotted name stands in."""
    inner = name.partition(".")[2]
    while inner and inner not in TREES:
        inner = inner.rpartition(".")[0]
    return inner


def documented(found):
    """Yield each class, function and module that has a docstring."""
    for node in ast.walk(found):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            yield node


def prose(path):
    """Yield (line, text) of what documents the code: docstrings, and comments that begin with ``#:``."""
    for node in documented(tree(path)):
        first = node.body[0]
        yield from enumerate(ast.get_docstring(node, clean=False).splitlines(), first.lineno)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip().startswith("#:"):
            yield number, line
