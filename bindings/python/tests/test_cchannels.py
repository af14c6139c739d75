import ctypes
import gc
import shutil
import unittest
import weakref

import gomax
import points
from programs import c_library


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]


class CChannels(unittest.TestCase):
    def test_values(self):
        c = gomax.CChannel(ctypes.c_int32, 3)
        for i in (1, -5):
            c.send(i)
        self.assertEqual((len(c), c.capacity, bool(c), c.closed, c.waiters), (2, 3, True, False, (0, 0)))
        left = gomax.CChannel(ctypes.c_int, 3)
        left.send(1)
        left.close(drop=True)
        self.assertRaises(gomax.ClosedError, left.recv)
        left.close(drop=True)
        c.send(ctypes.c_int32(9))
        with self.assertRaises(TimeoutError):
            c.send(1, 0)
        self.assertEqual([c.recv() for _ in range(3)], [1, -5, 9])
        for timeout in (0, 0.01):
            with self.assertRaises(TimeoutError):
                c.recv(timeout)
        with self.assertRaises(TypeError):
            c.send("no number")
        self.assertEqual(len(c), 0)

    def test_structures(self):
        c = gomax.CChannel(Point)
        g = gomax.go(c.recv)
        c.send(Point(1, 2))
        p = g.join()
        self.assertEqual((type(p), p.x, p.y), (Point, 1, 2))
        c = gomax.CChannel(ctypes.c_int16 * 3, 1)
        c.send((ctypes.c_int16 * 3)(1, 2, 3))
        self.assertEqual(list(c.recv()), [1, 2, 3])

    def test_closing(self):
        c, d = gomax.CChannel(ctypes.c_uint64, 5), gomax.CChannel(ctypes.c_uint64)
        g = gomax.go(d.recv)
        d.close()
        with self.assertRaises(gomax.ClosedError):
            g.join()
        with c:
            c.send(2**64 - 1)
        self.assertEqual(list(c), [2**64 - 1])
        for wrong in (c.close, c.recv, lambda: c.send(1)):
            with self.assertRaises(gomax.ClosedError):
                wrong()

    def test_select(self):
        a, b = gomax.CChannel(Point), gomax.Channel()
        g = gomax.go(gomax.select, a, (a, Point(3, 4)), b)
        got = gomax.select((a, Point(5, 6)), a)
        other = g.join()
        self.assertEqual((got.case, other.case), (1, 1) if got.case == 1 else (0, 0))
        self.assertEqual([s.value.x for s in (got, other) if s.value], [3 if got.case == 1 else 5])
        with self.assertRaises(TimeoutError):
            gomax.select(a, (a, Point(1, 1)), timeout=0)
        a.close()
        self.assertEqual(gomax.select(a), (0, None, False))
        with self.assertRaises(gomax.ClosedError):
            gomax.select((a, Point(1, 1)))
        with self.assertRaises(TypeError):
            gomax.select((gomax.after(1), 1))

    def test_everything_arrives_once(self):
        channels, n, each = [gomax.CChannel(ctypes.c_int64, i) for i in range(3)], 6, 200

        def send(i):
            for j in range(each):
                value = i * each + j
                if j % 2:
                    gomax.select(*((c, value) for c in channels))
                else:
                    channels[j % 3].send(value)

        def recv():
            total, open_ = 0, list(channels)
            while open_:
                chosen = gomax.select(*open_)
                if chosen.ok:
                    total += chosen.value
                else:
                    del open_[chosen.case]
            return total

        receivers = [gomax.go(recv) for _ in range(3)]
        with gomax.scope() as s:
            for i in range(n):
                s.go(send, i)
        for c in channels:
            c.close()
        self.assertEqual(sum(g.join() for g in receivers), sum(range(n * each)))


@unittest.skipUnless(shutil.which("cc"), "no C compiler")
class WithC(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with c_library(
            r"""
struct pair { gmx_chan *in, *out; };
gmx_status squares(void *arg) {
  struct pair *p = arg;
  int64_t n;
  while (gmx_chan_recv(p->in, &n) == GMX_OK) {
    n *= n;
    if (gmx_chan_send(p->out, &n) != GMX_OK) break;
  }
  return gmx_chan_close(p->out);
}
void sends(void *arg) {
  for (int64_t i = 0; i < 1000; i++)
    if (gmx_chan_send(arg, &i) != GMX_OK) return;
  gmx_chan_close(arg);
}
gmx_status waits(void *arg) { return gmx_chan_recv(arg, NULL); }
gmx_status fails(void *arg) { return arg ? *(int32_t *)arg : -5; }
gmx_status adds(void *arg) { __atomic_fetch_add((int32_t *)arg, 1, __ATOMIC_RELAXED); return 7; }
"""
        ) as cls.code:
            pass

    def test_c_sends(self):
        for capacity in (0, 10):
            c = gomax.CChannel(ctypes.c_int64, capacity)
            gomax.go_c(self.code.sends, c)
            self.assertEqual(list(c), list(range(1000)))

    def test_pipeline(self):
        class Pair(ctypes.Structure):
            _fields_ = [("into", ctypes.c_void_p), ("out", ctypes.c_void_p)]

        into, out = gomax.CChannel(ctypes.c_int64), gomax.CChannel(ctypes.c_int64, 4)
        with gomax.scope() as s:
            s.go_c(self.code.squares, Pair(into.address, out.address))

            def feed():
                with into:
                    for i in range(200):
                        into.send(i)

            s.go(feed)
            self.assertEqual(list(out), [i * i for i in range(200)])

    def test_scope_waits_and_keeps(self):
        n = ctypes.c_int32(0)
        with gomax.scope() as s:
            for _ in range(100):
                s.go_c(self.code.adds, n)

            def more():
                for _ in range(100):
                    s.go_c(self.code.adds, n)

            s.go(more)
            gc.collect()
        self.assertEqual(n.value, 200)
        with self.assertRaises(RuntimeError):
            s.go_c(self.code.adds, n)

    def test_a_value_that_is_given_back(self):
        """A receiver in C gets it, which waits already or comes later, and so does a goroutine of Python."""
        receivers = (
            lambda c: gomax.go_c(self.code.waits, c),
            lambda c: gomax.go(c.recv),
            lambda c: gomax.go(gomax.select, c, gomax.Channel()),
        )
        for capacity in (0, 1, 2):
            for receive in receivers:
                for late in (False, True):
                    with self.subTest(capacity=capacity, receiver=receivers.index(receive), late=late):
                        c = gomax.CChannel(ctypes.c_int64, capacity)
                        if late:
                            c._give_back([7])
                            g = receive(c)
                        else:
                            g = receive(c)
                            while not c.waiters.receivers:
                                gomax.sleep(0.0001)
                            c._give_back([7])
                        g.join(timeout=60)
                        self.assertEqual(len(c), 0)

    def test_given_back_to_many(self):
        for capacity in (0, 3):
            c, n = gomax.CChannel(ctypes.c_int64, capacity), 30
            gs = [gomax.go_c(self.code.waits, c) for _ in range(n)]
            for i in range(2 * n):
                c._give_back([i])
            gs += [gomax.go_c(self.code.waits, c) for _ in range(n)]
            for g in gs:
                g.join(timeout=60)
            self.assertEqual(len(c), 0)

    def test_given_back_and_closed(self):
        c = gomax.CChannel(ctypes.c_int64)
        c._give_back([7])
        c.close()
        self.assertEqual(list(c), [7])
        c, before = gomax.CChannel(ctypes.c_int64), gomax.num_g()
        c._give_back([7])
        gone = weakref.ref(c)
        del c
        self.assertIsNone(gone())
        while gomax.num_g() > before:  # the goroutine that would have sent it ends
            gomax.sleep(0.0001)

    def test_interrupted_receiver(self):
        """An exception at each point of a receive: the value was received, or another gets it."""
        for capacity in (0, 1):

            def begin():
                c = gomax.CChannel(ctypes.c_int64, capacity)
                g = gomax.go(c.send, 7)

                def check(result, raised):
                    if raised:
                        other = gomax.go_c(self.code.waits, c)
                        other.join(timeout=60)
                    g.join()
                    self.assertEqual(len(c), 0)

                return c.recv, check

            points.everywhere(self, points.inject, begin)

    def test_scope_cancels_c(self):
        c = gomax.CChannel(ctypes.c_int64)
        with self.assertRaises(TimeoutError):
            with gomax.scope(0.01) as s:
                for _ in range(10):
                    s.go_c(self.code.waits, c)
        with self.assertRaises(ZeroDivisionError):
            with gomax.scope() as s:
                s.go_c(self.code.waits, c)
                s.go(lambda: 1 / 0)
        with gomax.scope() as s:
            s.go_c(self.code.waits, c)
            s.cancel()

    def test_c_fails(self):
        for where in (lambda f: f(), lambda f: gomax.go(f).join()):
            with self.assertRaises(gomax.Error) as e:
                where(self.failing)
            self.assertEqual((type(e.exception), e.exception.status), (gomax.Error, -5))
        with self.assertRaises(ValueError):
            with gomax.scope() as s:
                s.go_c(self.code.fails, ctypes.c_int32(-22))

    def failing(self):
        with gomax.scope() as s:
            s.go(gomax.Channel().recv)
            s.go_c(self.code.waits, gomax.CChannel(ctypes.c_int64, 1))
            s.go_c(self.code.fails)
            gomax.sleep(1000)


class Inner(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int), ("text", ctypes.c_char_p)]


class Derived(Inner):
    _fields_ = [("more", ctypes.c_int)]


class Outer(ctypes.Union):
    _fields_ = [("n", ctypes.c_int), ("inner", Inner * 2)]


class Plain(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("text", ctypes.c_char * 5)]


class Text(ctypes.c_char_p):
    pass


class Types(unittest.TestCase):
    def test_that_point_to_memory_of_python(self):
        for type, name in (
            (ctypes.py_object, "py_object"),
            (ctypes.c_char_p, "c_char_p"),
            (ctypes.c_wchar_p, "c_wchar_p"),
            (Text, "Text"),
            (ctypes.POINTER(ctypes.c_int), "LP_c_int"),
            (ctypes.CFUNCTYPE(None), "CFunctionType"),
            (ctypes.c_char_p * 3, "c_char_p"),
            (Inner, "c_char_p"),
            (Derived, "c_char_p"),
            (Outer, "c_char_p"),
            (Outer * 2, "c_char_p"),
        ):
            with self.assertRaisesRegex(TypeError, name):
                gomax.CChannel(type, 1)

    def test_that_are_bytes(self):
        for type in (ctypes.c_int, ctypes.c_double, ctypes.c_void_p, ctypes.c_char, ctypes.c_char * 5, Plain, Plain * 2):
            self.assertEqual(gomax.CChannel(type, 1).capacity, 1)
        for type in (5, "c_int", int):
            with self.assertRaises(TypeError):
                gomax.CChannel(type)


if __name__ == "__main__":
    unittest.main()
