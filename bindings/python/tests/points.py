"""Something comes at the n-th point of an operation where CPython lets it come: an exception, or a call.

CPython runs signal handlers (and stops for asynchronous exceptions, and lets other threads run) when a call of a C
function has returned, before its result is stored; where a function of Python begins; and where a loop turns. A
generator that continues behind a `yield` begins within the `try` in which it was suspended; one that continues behind
an `await` has no such point. `at(n, what, operation)` traces the frames of the package, counts these points, and calls
`what` at the n-th. Python before 3.11 has more of them, behind calls of functions in Python and (3.9) between other
instructions: those are left out, since there not even `with threading.Lock()` is safe.
"""

import dis
import functools
import inspect
import os
import random
import sys

import gomax

# Finalisers, whose exceptions Python forgets; and callbacks of C, where ctypes does, if one comes before their `try`.
LEFT_OUT = {"__del__", "each"}
USER = "uses"  # a function of a test that is traced too: what comes behind its calls comes there
PACKAGE = os.path.dirname(gomax._waits.__file__) + os.sep


class Injected(KeyboardInterrupt):
    pass


def inject():
    raise Injected


@functools.lru_cache(maxsize=None)
def instructions(code):
    return {i.offset: i for i in dis.get_instructions(code)}


@functools.lru_cache(maxsize=None)
def handlers(code):
    """From 3.11 on an exception of a call is that of the call's own place, not of the next instruction."""
    parse = getattr(dis, "_parse_exception_table", None)
    return parse(code) if parse else ()


def handler(code, offset):
    for entry in handlers(code):
        if entry.start <= offset < entry.end:
            return entry.target
    return None


GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
BEGINS, BEHIND_YIELD, BEHIND_AWAIT = range(3)


def place(frame):
    """Where a frame is that is entered."""
    if not frame.f_code.co_flags & GENERATORS:
        return BEGINS
    found = instructions(frame.f_code)
    here, following = found.get(frame.f_lasti), found.get(frame.f_lasti + 2)
    for instruction in (here, following):
        if instruction and instruction.opname == "RESUME":
            return min(instruction.arg & 3, BEHIND_AWAIT)
    if following and following.opname == "YIELD_FROM":
        return BEHIND_AWAIT
    if here and here.opname == "YIELD_VALUE":
        return BEHIND_YIELD
    return BEGINS if frame.f_lasti < 0 else BEHIND_AWAIT  # with an exception that was thrown into what it waited for


class Frame:
    """The tracer of one frame."""

    def __init__(self, tracer, resumed):
        self.tracer = tracer
        self.resumed = resumed
        self.last = None
        self.python = False

    def __call__(self, frame, event, arg):
        if event == "opcode":
            if self.resumed:  # (what comes at the event of the call does not come within the `try`, before 3.12)
                self.resumed = False
                self.tracer.point(frame)
            last, self.last = self.last, frame.f_lasti
            python, self.python = self.python, False
            if last is not None and not python:
                name = instructions(frame.f_code)[last].opname
                called = name.startswith("CALL") and not name.startswith("CALL_INTRINSIC")
                following = instructions(frame.f_code)[frame.f_lasti]
                if following.opname == "GET_AWAITABLE" and following.arg != 2:  # (2: of `__aexit__`)
                    called = False  # of a coroutine function, which begins where it is awaited
                turned = frame.f_lasti < last and name != "JUMP_BACKWARD_NO_INTERRUPT"
                same = handler(frame.f_code, last) == handler(frame.f_code, frame.f_lasti)
                if turned or (called and same):
                    self.tracer.point(frame)
        return self


class Tracer:
    def __init__(self, n, what):
        self.left = n
        self.what = what
        self.where = None

    def __call__(self, frame, event, arg):
        if event != "call":
            return None
        name, package = frame.f_code.co_name, frame.f_code.co_filename.startswith(PACKAGE)
        caller = frame.f_back and frame.f_back.f_trace
        where = place(frame) if caller or package or name == USER else BEGINS
        if isinstance(caller, Frame) and where == BEGINS:
            if not name.startswith("__") or (not package and name in ("__enter__", "__exit__")):
                caller.python = True
        if name in LEFT_OUT or not (package or name == USER):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if where == BEGINS:
            self.point(frame)
        return Frame(self, where == BEHIND_YIELD)

    def point(self, frame):
        self.left -= 1
        if self.left == 0:
            self.where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_name}"
            sys.settrace(None)
            self.what()


def untraced(f):
    """Calls it, for an operation that looks at itself."""
    before = sys.gettrace()
    sys.settrace(None)
    try:
        return f()
    finally:
        sys.settrace(before)


def at(n, what, operation):
    """Runs it. What it has returned or raised, and where `what` was called; None if it has fewer points."""
    tracer = Tracer(n, what)
    before = sys.gettrace()
    result = error = None
    sys.settrace(tracer)
    try:
        result = operation()
    except BaseException as e:
        error = e
    finally:
        sys.settrace(before)
    return result, error, tracer.where


def everywhere(test, what, begin, least=1, allowed=(), part=1):
    """begin() gives an operation and a check of what it leaves, for each point anew; the check gets what the operation
    has returned and raised. How many points there are. `part`: one in so many, at random."""
    n = 0
    while True:
        n += 1 + random.randrange(2 * part - 1)
        operation, check = begin()
        result, error, where = at(n, what, operation)
        with test.subTest(point=n, where=where):
            if error is not None and not isinstance(error, (Injected, *allowed)):
                raise error
            check(result, error)
        if error is not None:
            error.__traceback__ = None
        if where is None:
            test.assertGreaterEqual(n, least)
            return n
