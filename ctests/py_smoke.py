"""libgomax as Python's ctypes meets it: no header, no compiler, a host with threads and signals of its own.

GMX_LIB names the library. Ends with `N passed, N failed`.
"""

import ctypes
import os
import sys
import threading
import traceback
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_uint32, c_uint64, c_void_p

here = os.path.dirname(os.path.abspath(__file__))
gmx = ctypes.CDLL(os.environ.get("GMX_LIB", os.path.join(here, "..", "target", "release", "libgomax.so")))

FN = ctypes.CFUNCTYPE(None, c_void_p)
SECOND = 1_000_000_000

for name, result, arguments in [
    ("gmx_version", c_uint32, []),
    ("gmx_err_name", c_char_p, [c_int32]),
    ("gmx_init", c_int32, [c_void_p]),
    ("gmx_shutdown", c_int32, [c_int64]),
    ("gmx_spawn", c_int32, [c_void_p, c_void_p]),
    ("gmx_goid", c_uint64, []),
    ("gmx_callback", c_int32, [FN, c_void_p]),
    ("gmx_sema_acquire", c_int32, [POINTER(c_uint32)]),
    ("gmx_sema_acquire_timeout", c_int32, [POINTER(c_uint32), c_int64]),
    ("gmx_sema_release", c_int32, [POINTER(c_uint32)]),
    ("gmx_sleep", c_int32, [c_int64]),
    ("gmx_gomaxprocs", c_int32, [c_int32]),
]:
    function = getattr(gmx, name)
    function.restype, function.argtypes = result, arguments


def ok(status):
    assert status >= 0, gmx.gmx_err_name(status).decode()
    return status


def address(function):
    return ctypes.cast(function, c_void_p)


def version():
    assert gmx.gmx_version() > 0
    assert gmx.gmx_err_name(-22) == b"GMX_EINVAL"


def starts():
    ok(gmx.gmx_init(None))
    assert ok(gmx.gmx_gomaxprocs(0)) >= 1


def c_functions_run_as_gs():
    """gmx_sema_release(arg) is a C function of one pointer, so it can be a G with no Python in it."""
    sema = c_uint32(0)
    for _ in range(1000):
        ok(gmx.gmx_spawn(address(gmx.gmx_sema_release), ctypes.addressof(sema)))
    for _ in range(1000):
        ok(gmx.gmx_sema_acquire_timeout(byref(sema), 30 * SECOND))
    assert sema.value == 0


def callback_is_a_g_on_this_thread():
    seen = []

    @FN
    def fn(arg):
        seen.append((arg, gmx.gmx_goid(), threading.get_ident()))
        seen.append(gmx.gmx_sleep(1_000_000))  # parks; the thread and its Python frames stay
        seen.append(threading.get_ident())

    assert gmx.gmx_goid() == 0
    ok(gmx.gmx_callback(fn, 7))
    assert gmx.gmx_goid() == 0
    arg, goid, thread = seen[0]
    assert arg == 7 and goid > 0 and thread == threading.get_ident(), seen
    assert seen[1:] == [0, thread], seen


def callbacks_from_many_threads():
    """Each thread comes in, waits for the one before it as a G, and wakes the next."""
    count = 16
    semas = [c_uint32(0) for _ in range(count + 1)]
    errors = []

    def thread(i):
        @FN
        def fn(_):
            for status in (
                gmx.gmx_sema_acquire_timeout(byref(semas[i]), 30 * SECOND),
                gmx.gmx_sema_release(byref(semas[i + 1])),
            ):
                if status < 0:
                    errors.append(gmx.gmx_err_name(status))

        for _ in range(20):
            ok(gmx.gmx_callback(fn, None))

    threads = [threading.Thread(target=thread, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for _ in range(20):
        ok(gmx.gmx_sema_release(byref(semas[0])))
    for t in threads:
        t.join()
    assert not errors, errors
    assert semas[count].value == 20


def foreign_thread_waits():
    sema = c_uint32(0)
    status = gmx.gmx_sema_acquire_timeout(byref(sema), 10_000_000)
    assert gmx.gmx_err_name(status) == b"GMX_ETIMEDOUT"
    timer = threading.Timer(0.05, lambda: gmx.gmx_sema_release(byref(sema)))
    timer.start()
    ok(gmx.gmx_sema_acquire(byref(sema)))
    timer.join()


def ends_and_starts_again():
    ok(gmx.gmx_shutdown(10 * SECOND))
    c_functions_run_as_gs()
    ok(gmx.gmx_shutdown(10 * SECOND))


def main():
    passed = failed = 0
    for test in (
        version,
        starts,
        c_functions_run_as_gs,
        callback_is_a_g_on_this_thread,
        callbacks_from_many_threads,
        foreign_thread_waits,
        ends_and_starts_again,
    ):
        try:
            test()
            passed += 1
        except Exception:
            failed += 1
            print(f"FAILED  {test.__name__}")
            traceback.print_exc()
    print(f"{passed} passed, {failed} failed", flush=True)
    # a half-stopped runtime must not turn a failure into a hang
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
