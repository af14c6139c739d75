import ctypes
import gc
import os
import shutil
import subprocess
import tempfile
import threading
import unittest
import unittest.mock
import weakref

import gomax
from programs import until_idle


class Go(unittest.TestCase):
    def test_result(self):
        self.assertEqual(gomax.go(lambda a, b=0: a + b, 20, b=22).join(), 42)

    def test_error_crosses_join(self):
        g = gomax.go(lambda: 1 / 0)
        for _ in range(2):
            with self.assertRaises(ZeroDivisionError):
                g.join()

    def test_is_a_g_on_a_thread_of_its_own(self):
        seen = gomax.go(lambda: (gomax.goid(), threading.get_ident())).join()
        self.assertGreater(seen[0], 0)
        self.assertNotEqual(seen[1], threading.get_ident())
        self.assertEqual(gomax.goid(), 0)

    def test_does_not_change_threads(self):
        c = gomax.Channel()

        def ident():
            before = threading.get_ident()
            c.recv()
            gomax.sleep(0.001)
            return before == threading.get_ident()

        gs = [gomax.go(ident) for _ in range(50)]
        for _ in gs:
            c.send(None)
        self.assertTrue(all(g.join() for g in gs))

    def test_threads_are_used_again(self):
        idents = {gomax.go(threading.get_ident).join() for _ in range(200)}
        self.assertLess(len(idents), 50)

    def test_join_times_out(self):
        c = gomax.Channel()
        g = gomax.go(c.recv)
        with self.assertRaises(TimeoutError):
            g.join(0.01)
        c.send(5)
        self.assertEqual(g.join(), 5)
        self.assertTrue(g.done())

    def test_many_wait_at_once(self):
        c, n = gomax.Channel(), 300
        gs = [gomax.go(c.recv) for _ in range(n)]
        for i in range(n):
            c.send(i)
        self.assertEqual(sorted(g.join() for g in gs), list(range(n)))

    def test_an_error_is_reported_as_that_of_its_thread(self):
        """Not of the thread that forgets it last, whichever that is."""
        seen = []
        before, threading.excepthook = threading.excepthook, lambda args: seen.append(args.thread)

        def fails():
            ran.append(threading.current_thread())
            raise ValueError

        try:
            for forget in ("here", "elsewhere", "at once"):
                ran, seen[:] = [], []
                g = gomax.go(fails)
                while forget != "at once" and not g.done():
                    gomax.sleep(0.001)
                if forget == "elsewhere":
                    held = [g]
                    del g
                    thread = threading.Thread(target=held.clear, name="another")
                    thread.start()
                    thread.join()
                else:
                    del g
                while not seen:
                    gc.collect()
                    gomax.sleep(0.001)
                self.assertEqual(seen, ran, forget)
                self.assertTrue(seen[0].name.startswith("gomax-"))
        finally:
            threading.excepthook = before

    def test_as_a_future(self):
        go_on = gomax.Channel()
        g = gomax.go(go_on.recv)
        self.assertEqual((g.done(), g.cancelled()), (False, False))
        for wait in (g.result, g.exception):
            with self.assertRaises(TimeoutError):
                wait(0)
        called = []
        g.add_done_callback(lambda g: called.append((g.done(), threading.current_thread())))
        g.add_done_callback(lambda g: called.append(g.result()))
        go_on.send(7)
        self.assertEqual((g.result(), g.exception(), g.done(), g.cancelled()), (7, None, True, False))
        self.assertEqual((called[0][0], called[1]), (True, 7))
        self.assertIsNot(called[0][1], threading.current_thread())
        g.add_done_callback(called.append)
        self.assertIs(called[2], g)
        with self.assertRaises(TypeError):
            g.add_done_callback(None)
        failed = gomax.go(lambda: 1 / 0)
        self.assertIsInstance(failed.exception(), ZeroDivisionError)
        with self.assertRaises(ZeroDivisionError):
            failed.result()

    def test_errors_of_callbacks_are_reported(self):
        seen = []
        before, threading.excepthook = threading.excepthook, lambda args: seen.append(args.exc_type)
        try:
            go_on = gomax.Channel()
            g = gomax.go(go_on.recv)
            g.add_done_callback(lambda g: 1 / 0)
            g.add_done_callback(lambda g: seen.append("next"))
            go_on.send(None)
            g.join()
        finally:
            threading.excepthook = before
        self.assertEqual(seen, [ZeroDivisionError, "next"])

    def test_cancel(self):
        started = gomax.Channel()

        def waits():
            started.send(1)
            gomax.sleep(60)

        g = gomax.go(waits)
        other = gomax.go(lambda: (started.recv(), gomax.sleep(0.001)))
        other.join()
        self.assertTrue(g.cancel())
        for wait in (g.join, g.exception):
            with self.assertRaises(gomax.CanceledError):
                wait()
        self.assertEqual((g.done(), g.cancelled(), g.cancel()), (True, True, False))

        def handles():
            try:
                waits()
            except gomax.CanceledError:
                return 5

        g = gomax.go(handles)
        started.recv()
        g.cancel()
        self.assertEqual((g.join(), g.cancelled()), (5, False))
        # before its first step
        with unittest.mock.patch.object(gomax._goroutines.pool, "run"):
            g = gomax.go(gomax.sleep, 60)
        self.assertTrue(g.cancel())
        threading.Thread(target=g._run).start()
        with self.assertRaises(gomax.CanceledError):
            g.join()

    def test_to_be_canceled_is_not_reported(self):
        seen = []
        before, threading.excepthook = threading.excepthook, lambda args: seen.append(args.exc_type)

        def another():
            raise gomax.CanceledError()  # of something else than its own cancellation

        try:
            token = gomax.Token()
            token.cancel()
            ended = threading.Event()
            token.go(gomax.sleep, 60).add_done_callback(lambda _: ended.set())
            ended.wait()
            gomax.go(another)
            while not seen:
                gomax.sleep(0.0001)
        finally:
            threading.excepthook = before
        self.assertEqual(seen, [gomax.CanceledError])

    def test_an_error_is_reported_without_the_collector(self):
        seen = threading.Event()
        before, threading.excepthook = threading.excepthook, lambda args: seen.set()
        gc.collect()
        gc.disable()
        try:
            gomax.go(lambda: 1 / 0)
            self.assertTrue(seen.wait(60))
        finally:
            gc.enable()
            threading.excepthook = before

    def test_error_that_nobody_asks_for_is_reported(self):
        seen = []
        before, threading.excepthook = threading.excepthook, lambda args: seen.append(args.exc_type)
        try:
            g = gomax.go(lambda: 1 / 0)
            group = gomax.WaitGroup(1)
            g._when_finished(lambda _: group.done())
            group.wait()
            while not seen:  # until the worker has let go of it too
                del g
                gc.collect()
                g = None
        finally:
            threading.excepthook = before
        self.assertEqual(seen, [ZeroDivisionError])

    def test_keeps_nothing(self):
        class Thing:
            pass

        thing = Thing()
        g = gomax.go(lambda t: (t, threading.current_thread()), thing)
        self.assertIs(g.join()[0], thing)
        worker, gone = g.join()[1], weakref.ref(thing)
        del thing, g
        until_idle(worker)
        gc.collect()
        self.assertIsNone(gone())

    def test_no_thread_for_it(self):
        from gomax import _goroutines

        def fails(g):
            raise RuntimeError("can't start new thread")

        group, before = gomax.WaitGroup(), _goroutines.pool.run
        _goroutines.pool.run = fails
        try:
            with self.assertRaises(RuntimeError):
                group.go(int)
            with self.assertRaises(RuntimeError):
                with gomax.scope() as s:
                    s.go(int)
        finally:
            _goroutines.pool.run = before
        group.wait()

    def test_callbacks_that_raise(self):
        """An error of what is called at the end of a goroutine is reported, and costs neither a join nor the others."""
        seen, called = [], []

        def bad(g):
            called.append("bad")
            raise KeyError

        def hook(args):
            seen.append(args.exc_type)
            raise OSError

        before, threading.excepthook = threading.excepthook, hook
        try:
            group = gomax.WaitGroup()
            group.go(lambda: group.done()).join(60)  # counts below zero when it has ended
            go_on = gomax.Channel()
            g = gomax.go(go_on.recv)
            for f in (bad, called.append, bad, lambda g: called.append(1)):
                g._when_finished(f)
            go_on.send(1)
            self.assertEqual(g.join(60), 1)
            self.assertEqual(called, ["bad", g, 1])
            g._when_finished(lambda g: 1 / 0)  # late
        finally:
            threading.excepthook = before
        self.assertEqual(called, ["bad", g, 1])
        self.assertEqual(seen, [ValueError, KeyError, ZeroDivisionError])
        self.assertEqual(g._then, {})

    def test_a_callback_is_called_once(self):
        """However its addition meets the end of the goroutine."""
        calls = [[] for _ in range(300)]
        for mine in calls:
            g = gomax.go(int)
            for i in range(5):
                g._when_finished(lambda g, i=i: mine.append(i))
            g.join()
        self.assertEqual([sorted(mine) for mine in calls], [list(range(5))] * 300)

    def test_wants_a_function(self):
        with self.assertRaises(TypeError):
            gomax.go(5)


SOURCE = r"""
#include <stdint.h>
#include <stdatomic.h>
void square(void *arg) { int64_t *n = arg; *n *= *n; }
int yield_status;
int gmx_yield(void);
void yields(void *arg) { for (int i = 0; i < 100; i++) gmx_yield(); atomic_fetch_add((_Atomic int64_t *)arg, 1); }
"""


class GoC(unittest.TestCase):
    def test_library_function(self):
        libc = ctypes.CDLL(None)
        text = ctypes.create_string_buffer(os.fsencode(os.path.join(tempfile.gettempdir(), "gomax-XXXXXX")))
        libc.mkdtemp.restype = ctypes.c_void_p
        gomax.go_c(libc.mkdtemp, text).join()
        os.rmdir(text.value)

    def test_own_functions(self):
        if not shutil.which("cc"):
            self.skipTest("no C compiler")
        with tempfile.TemporaryDirectory() as directory:
            source, lib = os.path.join(directory, "square.c"), os.path.join(directory, "square.so")
            with open(source, "w") as f:
                f.write(SOURCE)
            subprocess.run(["cc", "-shared", "-fPIC", "-o", lib, source], check=True)
            ctypes.CDLL(gomax.LIBRARY, ctypes.RTLD_GLOBAL)
            code = ctypes.CDLL(lib)
            numbers = [ctypes.c_int64(i) for i in range(1000)]
            for g in [gomax.go_c(code.square, n, name="square") for n in numbers]:
                g.join()
            self.assertEqual([n.value for n in numbers], [i * i for i in range(1000)])
            count = ctypes.c_int64(0)
            for g in [gomax.go_c(code.yields, ctypes.byref(count)._obj, stack_size=16384) for _ in range(200)]:
                g.join(30)
            self.assertEqual(count.value, 200)

    def test_semaphore_from_c(self):
        s = gomax.Semaphore()
        release = gomax.gmx.gmx_sema_release
        for _ in range(1000):  # they are never joined, and their records are freed by and by
            gomax.go_c(release, s.address)
        for _ in range(1000):
            self.assertTrue(s.acquire(timeout=60))

    def test_python_is_refused(self):
        callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda arg: None)
        with self.assertRaises(TypeError):
            gomax.go_c(callback)
        with self.assertRaises(TypeError):
            gomax.go_c(print)

    def test_argument_lives_until_the_end(self):
        s = gomax.Semaphore()
        other = gomax.Semaphore()
        word = ctypes.c_uint32(0)
        gone = weakref.ref(word)
        g = gomax.go_c(gomax.gmx.gmx_sema_acquire, word)
        address = ctypes.addressof(word)
        del g, word
        gc.collect()
        self.assertIsNotNone(gone())
        gomax.gmx.gmx_sema_release(address)
        while gone():  # each new goroutine looks after two that are never joined
            gomax.go_c(gomax.gmx.gmx_sema_release, other.address).join()
            gc.collect()


if __name__ == "__main__":
    unittest.main()
