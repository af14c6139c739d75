import asyncio
import gc
import random
import threading
import time
import unittest
import weakref

import gomax
from programs import until_idle


class Thing:
    pass


class Channels(unittest.TestCase):
    def test_first_in_first_out(self):
        for capacity in (0, 1, 10):
            c = gomax.Channel(capacity)
            with gomax.scope() as s:
                s.go(lambda: [c.send(i) for i in range(100)])
                self.assertEqual([c.recv() for _ in range(100)], list(range(100)))

    def test_iterates_until_closed(self):
        c = gomax.Channel(3)

        def produce():
            with c:
                for i in range(10):
                    c.send(i)

        gomax.go(produce)
        self.assertEqual(list(c), list(range(10)))
        with self.assertRaises(gomax.ClosedError):
            c.send(1)
        with self.assertRaises(gomax.ClosedError):
            c.recv()
        with self.assertRaises(gomax.ClosedError):
            c.close()

    def test_closing_wakes_who_waits(self):
        c = gomax.Channel()
        gs = [gomax.go(c.recv) for _ in range(5)]
        c.close()
        for g in gs:
            with self.assertRaises(gomax.ClosedError) as e:
                g.join()
            self.assertEqual((e.exception.name, e.exception.status), ("GMX_ECLOSED", -1005))

    def test_times_out(self):
        c = gomax.Channel()
        for timeout in (0, 0.01):
            with self.assertRaises(TimeoutError):
                c.recv(timeout)
            with self.assertRaises(TimeoutError):
                c.send(1, timeout)
        self.assertEqual(c._boxes, {})
        with self.assertRaises(ValueError):
            c.recv(float("nan"))

    def test_len_and_capacity(self):
        c = gomax.Channel(3)
        c.send(None)
        self.assertEqual((len(c), c.capacity, bool(gomax.Channel())), (1, 3, True))
        with self.assertRaises(ValueError):
            gomax.Channel(2**62)

    def test_unbounded(self):
        c = gomax.Channel(gomax.UNBOUNDED)
        self.assertEqual(c.capacity, gomax.UNBOUNDED)
        for i in range(1000):
            c.send(i, timeout=0)
        self.assertEqual(len(c), 1000)
        self.assertEqual([c.recv() for _ in range(900)], list(range(900)))
        self.assertEqual(gomax.select((c, 1000)), (0, None, True))
        c.close(drop=True)
        self.assertEqual(len(c), 0)

    def test_closed(self):
        c = gomax.Channel(1)
        c.send(1)
        self.assertIs(c.closed, False)
        c.close()
        self.assertIs(c.closed, True)
        self.assertEqual(c.recv(), 1)

    def test_the_side_that_receives_ends_first(self):
        for closed in (False, True):
            c, d, thing = gomax.Channel(3), gomax.Channel(), Thing()
            for _ in range(3):
                c.send(thing)
            g = gomax.go(lambda: d.send(1))
            while not d.waiters.senders:
                time.sleep(0.001)
            if closed:
                c.close()
            gone = weakref.ref(thing)
            del thing
            c.close(drop=True)
            d.close(drop=True)
            self.assertRaises(gomax.ClosedError, g.join)
            self.assertRaises(gomax.ClosedError, c.recv)
            self.assertRaises(gomax.ClosedError, c.close)
            gc.collect()
            self.assertIsNone(gone())
            self.assertEqual((len(c), c._boxes, d._boxes), (0, {}, {}))

    def test_how_many_wait(self):
        a, b, v = gomax.Channel(), gomax.Channel(), gomax.Channel()
        self.assertEqual(a.waiters, (0, 0))
        gs = [gomax.go(a.recv) for _ in range(3)] + [gomax.go(lambda: gomax.select(a, (b, 1)))]
        while a.waiters.receivers < 4 or b.waiters.senders < 1:
            time.sleep(0.001)
        self.assertEqual((a.waiters, b.waiters, v.waiters), ((0, 4), (1, 0), (0, 0)))
        for _ in gs:
            a.send(0)
        for g in gs:
            g.join()
        self.assertEqual((a.waiters, b.waiters), ((0, 0), (0, 0)))

    def test_objects_are_the_same(self):
        c = gomax.Channel(5)
        things = [Thing(), None, c, 2**100]
        for thing in things:
            c.send(thing)
        for thing in things:
            self.assertIs(c.recv(), thing)

    def test_what_is_left_in_it_goes_with_it(self):
        c, thing = gomax.Channel(3), Thing()
        c.send(thing)
        c.send(thing)
        c.close()
        gone = weakref.ref(thing)
        del thing
        self.assertIsNotNone(gone())
        del c
        gc.collect()
        self.assertIsNone(gone())

    def test_a_channel_that_holds_itself_goes(self):
        c, thing = gomax.Channel(3), Thing()
        thing.c = c
        c.send(thing)
        c.send(c)
        gone = weakref.ref(c)
        del c, thing
        gc.collect()
        self.assertIsNone(gone())

    def test_what_was_received_is_not_kept(self):
        c, thing = gomax.Channel(), Thing()
        gone = weakref.ref(thing)
        g = gomax.go(lambda: (c.recv(), threading.current_thread()))
        c.send(thing)
        del thing
        self.assertIs(g.join()[0], gone())
        worker = g.join()[1]
        del g
        until_idle(worker)
        gc.collect()
        self.assertIsNone(gone())
        self.assertEqual(c._boxes, {})

    def test_many_senders_and_receivers(self):
        for capacity in (0, 7):
            c, n, each = gomax.Channel(capacity), 8, 300
            with gomax.scope() as s:
                receivers = [s.go(lambda: sum(c)) for _ in range(n)]
                with gomax.scope() as senders, c:
                    for i in range(n):
                        senders.go(lambda i=i: [c.send(i * each + j) for j in range(each)])
                    senders.__exit__(None, None, None)
            self.assertEqual(sum(g.join() for g in receivers), sum(range(n * each)))
            self.assertEqual(c._boxes, {})


class Select(unittest.TestCase):
    def test_ready(self):
        a, b = gomax.Channel(1), gomax.Channel(1)
        self.assertEqual(gomax.select(a, None, (b, "x")), (2, None, True))
        self.assertEqual(gomax.select(a, b), (1, "x", True))
        a.close()
        self.assertEqual(gomax.select(None, a), (1, None, False))
        with self.assertRaises(gomax.ClosedError):
            gomax.select((a, 1))
        with self.assertRaises(TimeoutError):
            gomax.select(b, timeout=0)
        with self.assertRaises(TimeoutError):
            gomax.select(None, timeout=0.01)
        with self.assertRaises(TypeError):
            gomax.select(5)

    def test_waits(self):
        a, b = gomax.Channel(), gomax.Channel()
        g = gomax.go(gomax.select, a, b, (a, "no"))
        b.send("y")
        self.assertEqual(g.join(), (1, "y", True))
        self.assertEqual((a._boxes, a._blocked, b._blocked), ({}, ({}, {}), ({}, {})))

    def test_chooses_at_random(self):
        a, b = gomax.Channel(200), gomax.Channel(200)
        for _ in range(200):
            a.send(0)
            b.send(1)
        got = [gomax.select(a, b).case for _ in range(100)]
        self.assertTrue(10 < sum(got) < 90, got)

    def test_timer(self):
        timer = gomax.after(0.01)
        chosen = gomax.select(gomax.Channel(), timer)
        self.assertEqual(chosen.case, 1)
        self.assertGreater(chosen.value, 0)

    def test_everything_arrives_once(self):
        channels = [gomax.Channel(i) for i in range(3)]
        n, each = 6, 300
        sums = []

        def send(i):
            for j in range(each):
                value = i * each + j
                gomax.select(*((c, value) for c in random.sample(channels, 2)))

        def recv():
            total, open_ = 0, list(channels)
            while open_:
                chosen = gomax.select(*open_)
                if chosen.ok:
                    total += chosen.value
                else:
                    del open_[chosen.case]
            sums.append(total)

        with gomax.scope() as receivers:
            for _ in range(3):
                receivers.go(recv)
            with gomax.scope() as senders:
                for i in range(n):
                    senders.go(send, i)
            for c in channels:
                c.close()
        self.assertEqual(sum(sums), sum(range(n * each)))
        for c in channels:
            self.assertEqual((c._boxes, c._blocked), ({}, ({}, {})))


class Timers(unittest.TestCase):
    def test_fires_once(self):
        timer = gomax.Timer(0.001)
        timer.recv(60)
        with self.assertRaises(TimeoutError):
            timer.recv(0.01)
        self.assertFalse(timer.stop())
        self.assertFalse(timer.reset(100))
        self.assertTrue(timer.stop())

    def test_ticks(self):
        ticks = iter(gomax.Ticker(0.001))
        times = [next(ticks) for _ in range(5)]
        self.assertEqual(times, sorted(times))
        with self.assertRaises(ValueError):
            gomax.Ticker(0)

    def test_plain_threads_wait_too(self):
        c = gomax.Channel()
        thread = threading.Thread(target=lambda: c.send(gomax.goid()))
        thread.start()
        self.assertEqual(c.recv(), 0)
        thread.join()


class Choice(unittest.TestCase):
    """A select among cases that can be done takes each of them equally often."""

    SHAPES = ([0, 1], [0, 9], [4, 5, 6], list(range(10)), [0, 1, 5])
    TURNS = 3000

    def check(self, counts, ready):
        self.assertEqual(sorted(counts), ready)
        mean = self.TURNS / len(ready)
        for n in counts.values():  # eight standard deviations: once in 10^15 runs
            self.assertLess(abs(n - mean), 8 * mean**0.5)

    def test_is_even(self):
        for ready in self.SHAPES:
            channels = [gomax.Channel(1) for _ in range(10)]
            for i in ready:
                channels[i].send(i)
            counts = {}
            for _ in range(self.TURNS):
                i = gomax.select(*channels)[0]
                channels[i].send(i)
                counts[i] = counts.get(i, 0) + 1
            self.check(counts, ready)

    def test_is_even_for_coroutines(self):
        async def main():
            for ready in self.SHAPES:
                channels = [gomax.Channel(1) for _ in range(10)]
                for i in ready:
                    channels[i].send(i)
                counts = {}
                for _ in range(self.TURNS):
                    i = (await gomax.select_async(*channels))[0]
                    channels[i].send(i)
                    counts[i] = counts.get(i, 0) + 1
                self.check(counts, ready)

        asyncio.run(main())

    def test_leaves_the_chance_of_the_program_alone(self):
        random.seed(1)
        expected = random.random()
        random.seed(1)
        c = gomax.Channel(1)
        gomax.select((c, 1), None, (gomax.Channel(1), 1))
        self.assertEqual(random.random(), expected)


class Ends(unittest.TestCase):
    """A goroutine as a case of select."""

    def test_of_python(self):
        go_on, other = gomax.Channel(), gomax.Channel()
        g = gomax.go(go_on.recv)
        for _ in range(2):
            with self.assertRaises(gomax.WouldBlockError):
                gomax.select_nowait(other, g)
        waits = gomax.go(gomax.select, other, g)
        while other.waiters.receivers != 1:
            gomax.sleep(0.0001)
        go_on.send(7)
        self.assertEqual(waits.join(), (1, None, False))
        self.assertEqual(gomax.select(None, g, other), (1, None, False))
        self.assertEqual(g.join(), 7)
        ended = gomax.go(lambda: 1 / 0)
        self.assertEqual(gomax.select(ended), (0, None, False))
        self.assertIsInstance(ended.exception(), ZeroDivisionError)
        for wrong in ((g, 1), g.join):
            with self.assertRaises(TypeError):
                gomax.select(wrong)

    def test_of_c(self):
        ends = gomax.Semaphore()
        g = gomax.go_c(gomax.gmx.gmx_sema_acquire, ends)
        for _ in range(2):
            with self.assertRaises(TimeoutError):
                gomax.select(g, timeout=0.001)
        ends.release()
        self.assertEqual(gomax.select(gomax.Channel(), g, timeout=60), (1, None, False))
        g.join()
        self.assertEqual(gomax.select(g), (0, None, False))

    def test_of_coroutines(self):
        async def main():
            go_on, other = gomax.Channel(), gomax.Channel()
            g, c = gomax.go(go_on.recv), gomax.go_c(gomax.gmx.gmx_sema_acquire, ends)
            with self.assertRaises(TimeoutError):
                await gomax.select_async(g, c, other, timeout=0.001)
            waits = asyncio.ensure_future(gomax.select_async(other, g))
            await asyncio.sleep(0)
            go_on.send(7)
            self.assertEqual(await waits, (1, None, False))
            self.assertEqual(await gomax.select_async(g, other), (0, None, False))
            ends.release()
            self.assertEqual(await gomax.select_async(other, c), (1, None, False))
            tick = gomax.after(0.001)
            self.assertEqual((await gomax.select_async(other, gomax.go(tick.recv))).case, 1)
            with self.assertRaises(TimeoutError):
                await gomax.select_async(tick, timeout=0.001)

        ends = gomax.Semaphore()
        asyncio.run(main())


if __name__ == "__main__":
    unittest.main()
