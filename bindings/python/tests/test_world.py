import ctypes
import os
import tempfile
import time
import unittest

import gomax
from programs import run


class Errors(unittest.TestCase):
    def test_each_says_what_is_wrong(self):
        """Of the wrong type, out of bounds, and what C would cut off: an error in our words, and nothing was done."""
        calls = [(gomax.gomaxprocs, 10**9), (gomax.Channel, None)]
        for silly in ("a", 1.5, -1, 2**64 + 1, 10**30, [], object()):
            calls += [
                (gomax.CChannel, ctypes.c_int, silly),
                (gomax.Channel, silly),
                (gomax.Semaphore, silly),
                (gomax.WaitGroup, silly),
                (gomax.dump, silly),
                (gomax.Cond().notify, silly),
                (gomax.gomaxprocs, silly),
                (lambda n: gomax.go_c(1, stack_size=n), silly),
                (lambda n: gomax.init(maxprocs=n), silly),
                (lambda n: gomax.init(stack_size=n), silly),
            ]
        for silly in ("a", [], object(), float("nan")):
            calls += [
                (gomax.sleep, silly),
                (gomax.after, silly),
                (gomax.Channel().recv, silly),
                (gomax.Semaphore().acquire, silly),
                (gomax.WaitGroup(1).wait, silly),
                (gomax.scope, silly),
                (lambda t: gomax.select(gomax.Channel(), timeout=t), silly),
            ]
        procs = gomax.gomaxprocs()
        for call, *args in calls:
            with self.subTest(call=call, args=args):
                with self.assertRaises((TypeError, ValueError, MemoryError, gomax.Error)) as caught:
                    call(*args)
                self.assertRegex(str(caught.exception), "[a-z]{3}")
                self.assertNotRegex(str(caught.exception), "ctypes|multiply|argument [0-9]")
        self.assertEqual(gomax.gomaxprocs(), procs)


class World(unittest.TestCase):
    def test_gomaxprocs(self):
        before = gomax.gomaxprocs()
        self.assertEqual(gomax.gomaxprocs(before + 3), before)
        self.assertEqual(gomax.go(gomax.gomaxprocs, before).join(), before + 3)
        self.assertEqual(gomax.gomaxprocs(), before)
        self.assertGreaterEqual(gomax.num_cpu(), 1)
        with self.assertRaises(ValueError):
            gomax.gomaxprocs(0)

    def test_for_each_p(self):
        for n in (1, 7):
            before = gomax.gomaxprocs(n)
            try:
                for where in (lambda f: gomax.for_each_p(f), lambda f: gomax.go(gomax.for_each_p, f).join()):
                    seen = []
                    where(seen.append)
                    self.assertEqual(sorted(seen), list(range(n)))
            finally:
                gomax.gomaxprocs(before)

    def test_for_each_p_with_goroutines_in_python_and_in_c(self):
        c, words = gomax.Channel(), [gomax.Semaphore() for _ in range(20)]
        gs = [gomax.go(lambda: sum(c)) for _ in range(5)]
        cs = [gomax.go_c(gomax.gmx.gmx_sema_acquire, w.address) for w in words]
        for _ in range(20):
            seen = []
            gomax.for_each_p(seen.append)
            self.assertEqual(sorted(seen), list(range(gomax.gomaxprocs())))
        c.close()
        for w in words:
            w.release()
        for g in gs + cs:
            g.join()

    def test_for_each_p_raises(self):
        with self.assertRaises(ZeroDivisionError):
            gomax.for_each_p(lambda p: 1 / 0)

    def test_for_each_p_in_c(self):
        group = gomax.WaitGroup(gomax.gomaxprocs())
        gomax.for_each_p(gomax.gmx.gmx_waitgroup_done, group.address)
        group.wait()

    def test_stopped_world(self):
        s = gomax.Semaphore()
        g = gomax.go_c(gomax.gmx.gmx_sema_acquire, s.address, name="waits")
        while not any(i.name == "waits" and i.status == "waiting" for i in self.look()):
            pass
        for i in gomax.go(self.look).join():
            self.assertIn(i.status, ("runnable", "running", "syscall", "waiting", "parked"))
        s.release()
        g.join()

    @staticmethod
    def look():
        with gomax.stopped_world() as world:
            return world.goroutines()

    def test_no_waiting_in_a_stopped_world(self):
        with gomax.stopped_world(timeout=60):
            with self.assertRaises(gomax.Error) as e:
                gomax.sleep(1)
        self.assertEqual(e.exception.name, "GMX_ENOTG")
        gomax.sleep(0.001)

    def test_stats_and_dump(self):
        self.assertGreaterEqual(gomax.stats()["gomaxprocs"], 1)
        with tempfile.TemporaryFile() as f:
            gomax.dump(f.fileno())
            f.seek(0)
            self.assertIn(b"gomaxprocs", f.read())
        self.assertGreaterEqual(gomax.num_g(), 0)

    def test_memory(self):
        s = gomax.Semaphore()
        gs = [gomax.go_c(gomax.gmx.gmx_sema_acquire, s) for _ in range(50)]
        while gomax.stats()["g_waiting"] < 50:
            pass
        for seen in (gomax.mem_stats(), gomax.go(gomax.mem_stats).join()):
            self.assertGreaterEqual(seen["stacks_inuse"], 50)
            self.assertNotIn("struct_size", seen)
        for g in gs:
            s.release()
        for g in gs:
            g.join()
        gomax.release_memory()
        self.assertGreaterEqual(gomax.mem_stats()["stacks_released"], 1)

    def test_default_number_of_ps(self):
        before = gomax.gomaxprocs(13)
        try:
            gomax.set_default_gomaxprocs()
            self.assertEqual(gomax.gomaxprocs(), gomax.num_cpu())
            gomax.go(gomax.set_default_gomaxprocs).join()
        finally:
            gomax.gomaxprocs(before)

    def test_options(self):
        text = """
import gomax
try:
    gomax.init(maxprocs=-1)
except ValueError as e:
    print(e)
gomax.init(maxprocs=3, stack_size=1 << 20, g0_stack_size=1 << 19, slice=0.001, max_threads=50)
print(gomax.gomaxprocs())
seen = []
gomax.for_each_p(seen.append)
print(sorted(seen))
try:
    gomax.init()
except gomax.Error as e:
    print(e.name)
"""
        self.assertEqual(run(text), "maxprocs is from 0 to 2147483647, not -1\n3\n[0, 1, 2]\nGMX_EBUSY\n")

    def test_preempt(self):
        # SIGURG, which holds threads, has a handler or not.
        text = """
import gomax
gomax.init(%s)
with open("/proc/self/status") as status:
    print([int(line.split()[1], 16) >> 22 & 1 for line in status if line.startswith("SigCgt")])
"""
        self.assertEqual([run(text % how) for how in ("", "preempt=True", "preempt=False")], ["[1]\n"] * 2 + ["[0]\n"])

    def test_since_when_it_waits(self):
        s = gomax.Semaphore()
        g = gomax.go_c(gomax.gmx.gmx_sema_acquire, s, name="since")
        found = []
        while not found:
            found = [i for i in self.look() if i.name == "since" and i.status == "waiting"]
        s.release()
        g.join()
        self.assertTrue(0 < found[0].since <= time.monotonic())
        self.assertEqual([i.since for i in gomax.go(self.look).join() if i.status == "running"], [None])

    def test_p_local(self):
        before = gomax.gomaxprocs(3)
        try:
            words = gomax.PLocal()
            self.assertEqual(words.get(), None)
            self.assertEqual(set(words.all()), {None})
            gomax.for_each_p(lambda p: words.set(p + 100))
            seen = []
            gomax.for_each_p(lambda p: seen.append((p, words.get())))
            self.assertEqual(sorted(seen), [(p, p + 100) for p in range(3)])
            gomax.gomaxprocs(2)
            self.assertEqual(words.all()[:3], [100, 101, 102])
            cell = ctypes.c_int64(7)
            gomax.for_each_p(lambda p: words.set(cell))
            self.assertEqual(words.all()[:3], [ctypes.addressof(cell)] * 2 + [102])
            with self.assertRaises(gomax.Error):
                words.set(1)
        finally:
            gomax.gomaxprocs(before)
        with self.assertRaises(gomax.Error) as e:
            [gomax.PLocal() for _ in range(65)]
        self.assertEqual(e.exception.name, "GMX_EAGAIN")
        del e
        gomax.PLocal()  # those have been given back

    def test_version(self):
        self.assertEqual(gomax.gmx.gmx_version(), sum(int(n) << s for n, s in zip(gomax.__version__.split("."), (16, 8, 0))))
        self.assertTrue(os.path.exists(os.path.join(gomax.__path__[0], "py.typed")))


if __name__ == "__main__":
    unittest.main()
