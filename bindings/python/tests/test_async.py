import asyncio
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

        async def main():
            channels = [gomax.Channel() for _ in range(n // 2)]
            one = gomax.Channel()
            waits = [asyncio.ensure_future(c.recv_async()) for c in channels]
            waits += [asyncio.ensure_future(one.recv_async()) for _ in range(n // 4)]
            timers = [asyncio.ensure_future(gomax.sleep_async(1000)) for _ in range(n // 4)]
            await asyncio.sleep(0)
            self.assertLess(threading.active_count(), 30)
            self.assertLess(gomax.stats()["threads"], 30)

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

    def test_cancelled_waits_leave_nothing(self):
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

    def test_value_for_one_that_was_cancelled_goes_to_the_next(self):
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


class Everybody(unittest.TestCase):
    """Threads and coroutines at both ends, some of which give up: everything arrives once."""

    def mix(self, capacity):
        c, received, sent = gomax.Channel(capacity), [], []
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
                await c.send_async(i * each + j)
                sent.append(i * each + j)

        async def recv_async(rng):
            while True:
                try:
                    received.append(await asyncio.wait_for(c.recv_async(), 0.002))
                except asyncio.TimeoutError:
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
        self.assertEqual((c._boxes, c._blocked), ({}, [0, 0]))
        self.assertEqual(len(c._waiting.receivers) + len(c._waiting.senders), 0)

    def test_meeting(self):
        self.mix(0)

    def test_buffered(self):
        self.mix(2)


if __name__ == "__main__":
    unittest.main()
