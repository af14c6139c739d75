"""Where the library is, and what belongs to this process rather than to the one that forked it.

The library is the one in the wheel, or that of GOMAX_LIBRARY. Loading it starts nothing: the first call that needs the
runtime does.
"""

import os
from typing import Callable, List

from . import _abi

LIBRARY = os.environ.get("GOMAX_LIBRARY") or os.path.join(os.path.dirname(__file__), "libgomax.so.0")
gmx = _abi.Library(LIBRARY)

if gmx.gmx_version() >> 8 != _abi.GMX_VERSION_MAJOR << 8 | _abi.GMX_VERSION_MINOR:
    raise ImportError(f"a libgomax of version {gmx.gmx_version():#x}, but the package is for {_abi.VERSION}")


class Process:
    """What a child of fork has anew. `epoch` is another object there: whatever keeps one can tell that it is stale."""

    def __init__(self) -> None:
        self.epoch = object()
        self.resets: List[Callable[[], None]] = []

    def forked(self) -> None:
        self.epoch = object()
        for reset in self.resets:
            reset()


process = Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process.forked)
