"""A recorded traceback in parts: frames of this package, which a page folds, all others, and the exception itself."""

import itertools
import re
from pathlib import Path
from typing import NamedTuple

#: Where the frames of this package are: here, or in another host's installation.
_OURS = (f"{Path(__file__).parents[2].as_posix()}/", "site-packages/tgscheduler/")

#: The first line of a frame; within a group of exceptions it is indented, with bars.
_FRAME = re.compile(r'(?P<indent>[ |]+)File "(?P<file>.+)", line \d+')

#: What a line belongs to: a frame of this package, another frame or text between frames, what follows the last frame.
_INNER, _OUTER, _END = "inner", "outer", "end"


class Part(NamedTuple):
    """Successive lines of a traceback."""

    text: str
    #: How many frames of this package they are; 0: they are others.
    frames: int
    #: Whether it is the exception itself.
    is_end: bool


def parts(error: str) -> list[Part]:
    """Return a traceback's text in parts."""
    blocks: list[tuple[str, str]] = []
    indent = None
    for line in error.splitlines():
        frame = _FRAME.match(line)
        if frame is not None:
            indent = frame["indent"] + "  "
            file = frame["file"].replace("\\", "/")
            blocks = [(_OUTER if kind is _END else kind, text) for kind, text in blocks]
            blocks.append((_INNER if any(ours in file for ours in _OURS) else _OUTER, line))
        elif indent is not None and line.startswith(indent):
            blocks[-1] = (blocks[-1][0], f"{blocks[-1][1]}\n{line}")
        else:
            indent = None
            blocks.append((_END, line))
    found = [(kind, [text for _, text in group]) for kind, group in itertools.groupby(blocks, lambda block: block[0])]
    return [Part("\n".join(texts), len(texts) if kind is _INNER else 0, kind is _END) for kind, texts in found]
