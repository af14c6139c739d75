import asyncio
import ctypes
import gc
import random
import threading
import unittest
import weakref

import gomax


def run(main):
    """With an end: what is lost here would hang."""

    async def limited():
        return await asyncio.wait_for(main(), 600)

    return asyncio.run(limited())


class Awaitables(unittest.TestCase):
    def test_goroutine(self):
        async def main():
            c = gomax.Channel()
            g = gomax.go(c.recv)
            await c.send_async(5)
            with self.assertRaises(ZeroDivisionError):
                await gomax.go(lambda: 1 / 0)
            return await g

        self.assertEqual(run(main), 5)

    def test_coroutines_that_wait_are_counted(self):
        async def main():
            c = gomax.Channel()
            waits = [asyncio.ensure_future(c.send_async(i)) for i in range(3)]
            while c.waiters != (3, 0):
                await asyncio.sleep(0)
            waits.pop().cancel()
            while c.waiters != (2, 0):
                await asyncio.sleep(0)
            got = {c.recv(), await c.recv_async()}
            await asyncio.gather(*waits)
            return got, c.waiters

        self.assertEqual(run(main), ({0, 1}, (0, 0)))

    def test_iterates(self):
        async def main():
            c = gomax.Channel(2)

            def produce():
                with c:
                    for i in range(100):
                        c.send(i)

            g = gomax.go(produce)
            got = [i async for i in c]
            await g
            return got

        self.assertEqual(run(main), list(range(100)))

    def test_coroutines_among_themselves(self):
        async def main():
            for capacity in (0, 3):
                c = gomax.Channel(capacity)

                async def produce():
                    for i in range(100):
                        await c.send_async(i)
                    c.close()

                task = asyncio.ensure_future(produce())
                self.assertEqual([i async for i in c], list(range(100)))
                await task
                with self.assertRaises(gomax.ClosedError):
                    await c.send_async(1)

        run(main)

    def test_closing_ends_waits(self):
        async def main():
            a, b = gomax.Channel(), gomax.Channel()
            tasks = [asyncio.ensure_future(a.recv_async()), asyncio.ensure_future(b.send_async(1))]
            await asyncio.sleep(0)
            gomax.go(lambda: (a.close(), b.close()))
            for e in await asyncio.gather(*tasks, return_exceptions=True):
                self.assertIsInstance(e, gomax.ClosedError)

        run(main)

    def test_timers(self):
        async def main():
            await gomax.sleep_async(0.001)
            n = 0
            async for _ in gomax.Ticker(0.001):
                n += 1
                if n == 3:
                    return

        run(main)

    def test_a_hundred_thousand_waits(self):
        n = 100_000
        threads = threading.active_count(), gomax.stats()["threads"]  # with those that idle since earlier tests

        async def main():
            channels = [gomax.Channel() for _ in range(n // 2)]
            one = gomax.Channel()
            waits = [asyncio.ensure_future(c.recv_async()) for c in channels]
            waits += [asyncio.ensure_future(one.recv_async()) for _ in range(n // 4)]
            timers = [asyncio.ensure_future(gomax.sleep_async(1000)) for _ in range(n // 4)]
            await asyncio.sleep(0)
            self.assertLess(threading.active_count(), threads[0] + 10)
            self.assertLess(gomax.stats()["threads"], threads[1] + 10)

            def feed():
                for i, c in enumerate(channels):
                    c.send(i)
                for i in range(n // 4):
                    one.send(i)

            g = gomax.go(feed)
            got = await asyncio.gather(*waits)
            await g
            self.assertEqual(got[: n // 2], list(range(n // 2)))
            self.assertEqual(sorted(got[n // 2 :]), list(range(n // 4)))
            for timer in timers:
                timer.cancel()
            await asyncio.gather(*timers, return_exceptions=True)

        run(main)

    def test_canceled_waits_leave_nothing(self):
        async def main():
            c = gomax.Channel()
            for op in (c.recv_async, lambda: c.send_async(1)):
                waits = [asyncio.ensure_future(op()) for _ in range(1000)]
                await asyncio.sleep(0)
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
            self.assertEqual(len(c._waiting.receivers) + len(c._waiting.senders), 0)

        run(main)

    def test_value_for_one_that_was_canceled_goes_to_the_next(self):
        async def main():
            c = gomax.Channel()
            first = asyncio.ensure_future(c.recv_async())
            await asyncio.sleep(0)
            gomax.go(c.send, 5).join()  # served, but has not run
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            self.assertTrue(first.cancelled())
            self.assertEqual(c.recv(0), 5)

        run(main)

    def test_loop_that_is_gone(self):
        c = gomax.Channel()
        loop = asyncio.new_event_loop()
        task = loop.create_task(c.recv_async())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        task._log_destroy_pending = False
        g = gomax.go(c.send, 5)
        self.assertEqual(c.recv(), 5)
        g.join()

    def test_canceled_waits_for_a_goroutine_leave_nothing(self):
        async def main():
            end = gomax.Channel()
            g = gomax.go(end.recv)
            for _ in range(100):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(asyncio.ensure_future(self.joined(g)), 0.0001)
            self.assertEqual(g._then, {})
            end.close()
            with self.assertRaises(gomax.ClosedError):
                await g

        run(main)

    @staticmethod
    async def joined(g):
        return await g

    def test_values_of_waiting_senders_go_with_the_channel(self):
        class Thing:
            pass

        async def main():
            c = gomax.Channel()
            thing = Thing()
            task = asyncio.ensure_future(c.send_async(thing))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return weakref.ref(thing)

        gone = run(main)
        gc.collect()
        self.assertIsNone(gone())


class Select(unittest.TestCase):
    def test_ready(self):
        async def main():
            a, b = gomax.Channel(1), gomax.Channel(1)
            self.assertEqual(await gomax.select_async(a, None, (b, "x")), (2, None, True))
            self.assertEqual(await gomax.select_async(a, b), (1, "x", True))
            for timeout in (0, 0.01):
                with self.assertRaises(TimeoutError):
                    await gomax.select_async(a, b, timeout=timeout)
                with self.assertRaises(TimeoutError):
                    await gomax.select_async(None, timeout=timeout)
            a.close()
            self.assertEqual(await gomax.select_async(b, a), (1, None, False))
            with self.assertRaises(gomax.ClosedError):
                await gomax.select_async((a, 1))
            with self.assertRaises(TypeError):
                await gomax.select_async(1)
            for c in (a, b):
                self.assertEqual(len(c._waiting.receivers) + len(c._waiting.senders) if c._waiting else 0, 0)

        run(main)

    def test_waits(self):
        async def main():
            a, b = gomax.Channel(), gomax.Channel()
            for other in (lambda: b.send("y"), lambda: gomax.select(gomax.Channel(), (b, "y"))):
                g = gomax.go(other)
                self.assertEqual(await gomax.select_async(a, b, (a, "no")), (1, "y", True))
                await g
            g = gomax.go(b.recv)
            self.assertEqual(await gomax.select_async(a, (b, 3)), (1, None, True))
            self.assertEqual(await g, 3)
            task = asyncio.ensure_future(gomax.select_async(a, (a, 4)))  # not with itself
            await asyncio.sleep(0)
            self.assertFalse(task.done())
            got = [await gomax.select_async(a, (a, 5)), await task]
            self.assertIn(got, ([(0, 4, True), (1, None, True)], [(1, None, True), (0, 5, True)]))

        run(main)

    def test_closing_ends_it(self):
        async def main():
            a, b, c = gomax.Channel(), gomax.Channel(), gomax.Channel()
            waits = [asyncio.ensure_future(gomax.select_async(*cases)) for cases in ((a, b), (b, (c, 1)))]
            await asyncio.sleep(0)
            gomax.go(lambda: (a.close(), c.close())).join()
            self.assertEqual(await waits[0], (0, None, False))
            with self.assertRaises(gomax.ClosedError):
                await waits[1]
            self.assertEqual(len(b._waiting.receivers), 0)

        run(main)

    def test_canceled_one_loses_nothing(self):
        async def main():
            a, b = gomax.Channel(), gomax.Channel(1)
            task = asyncio.ensure_future(gomax.select_async(a, b))
            await asyncio.sleep(0)
            gomax.go(a.send, 5).join()  # served, but has not run
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.assertTrue(task.cancelled())
            self.assertEqual(await a.recv_async(), 5)
            b.send(1)
            self.assertEqual(b.recv(0), 1)

        run(main)

    def test_what_only_the_library_knows(self):
        """Timers, tokens and channels of C values: one that waits for them takes nothing but what it gives."""

        async def main():
            never, numbers = gomax.Channel(), gomax.CChannel(ctypes.c_int)
            goroutines = gomax.num_g()
            at = await gomax.select_async(never, gomax.after(0.001))
            self.assertEqual((at.case, at.ok), (1, True))
            self.assertGreater(at.value, 0)
            token = gomax.Token()
            g = gomax.go(lambda: (gomax.sleep(0.001), token.cancel()))
            self.assertEqual(await gomax.select_async(gomax.after(1000), token), (1, None, False))
            self.assertEqual(await gomax.select_async(never, token), (1, None, False))
            g.join()
            g = gomax.go(lambda: (numbers.send(5, 60), numbers.recv(60)))
            self.assertEqual(await gomax.select_async(never, numbers), (1, 5, True))
            self.assertEqual(await gomax.select_async((numbers, 6), never), (0, None, True))
            self.assertEqual(g.join()[1], 6)
            for timeout in (0, 0.001):
                with self.assertRaises(TimeoutError):
                    await gomax.select_async(numbers, never, timeout=timeout)
            # another case than one of these
            task = asyncio.ensure_future(gomax.select_async(numbers, never))
            while not never.waiters.receivers:
                await asyncio.sleep(0)
            never.send(7)
            self.assertEqual(await task, (1, 7, True))
            # one that is canceled, and one whose value another takes
            task, other = [asyncio.ensure_future(gomax.select_async(numbers, never)) for _ in range(2)]
            while never.waiters.receivers < 2:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await gomax.go(numbers.send, 8, 60)
            self.assertEqual(await other, (0, 8, True))
            while gomax.num_g() > goroutines:
                await asyncio.sleep(0.001)
            numbers.close()
            self.assertEqual(await gomax.select_async(numbers, never), (0, None, False))
            self.assertEqual(never.waiters, (0, 0))

        run(main)

    def test_room_that_appears_is_used(self):
        async def main():
            a, b = gomax.Channel(1), gomax.Channel()
            a.send(0)
            tasks = [asyncio.ensure_future(gomax.select_async((a, i), b)) for i in (1, 2)]
            await asyncio.sleep(0)
            self.assertEqual(a.recv(0), 0)
            self.assertEqual(len(a), 1)
            self.assertEqual([a.recv(0), a.recv(0)], [1, 2])
            for task in tasks:
                self.assertEqual(await task, (0, None, True))

        run(main)


class Everybody(unittest.TestCase):
    """Threads and coroutines at both ends, some of which give up: everything arrives once."""

    def mix(self, capacity):
        c, never, received, sent = gomax.Channel(capacity), gomax.Channel(), [], []
        n, each = 4, 150
        stop = threading.Event()

        def send(i):
            rng = random.Random(i)
            for j in range(each):
                value = i * each + j
                while True:
                    try:
                        if rng.random() < 0.5:
                            c.send(value, rng.random() / 1000)
                        else:
                            gomax.select((c, value), timeout=rng.random() / 1000)
                        sent.append(value)
                        break
                    except TimeoutError:
                        pass

        def recv():
            rng = random.Random()
            while True:
                try:
                    received.append(c.recv(rng.random() / 1000))
                except TimeoutError:
                    pass
                except gomax.ClosedError:
                    return

        async def send_async(i):
            for j in range(each):
                value = i * each + j
                if i % 2:
                    await c.send_async(value)
                else:
                    while True:
                        try:
                            await gomax.select_async(never, (c, value), timeout=random.random() / 1000)
                            break
                        except TimeoutError:
                            pass
                sent.append(value)

        async def recv_async(rng):
            while True:
                try:
                    if rng.random() < 0.5:
                        received.append(await asyncio.wait_for(c.recv_async(), 0.002))
                    else:
                        wait = gomax.select_async(never, c, timeout=0.003)
                        chosen = await asyncio.wait_for(wait, 0.002 + rng.random() / 500)
                        if not chosen.ok:
                            return
                        received.append(chosen.value)
                except (asyncio.TimeoutError, TimeoutError):
                    pass
                except gomax.ClosedError:
                    return

        async def main():
            receivers = [asyncio.ensure_future(recv_async(random.Random(i))) for i in range(n)]
            receivers += [gomax.go(recv) for _ in range(n)]
            senders = [asyncio.ensure_future(send_async(i)) for i in range(n)]
            senders += [gomax.go(send, n + i) for i in range(n)]
            for sender in senders:
                await sender
            stop.set()
            c.close()
            for receiver in receivers:
                await receiver

        run(main)
        self.assertEqual(sorted(received), list(range(2 * n * each)))
        self.assertEqual((c._boxes, c._blocked), ({}, ({}, {})))
        for channel in (c, never):
            self.assertEqual(len(channel._waiting.receivers) + len(channel._waiting.senders), 0)

    def test_meeting(self):
        self.mix(0)

    def test_buffered(self):
        self.mix(2)


if __name__ == "__main__":
    unittest.main()
