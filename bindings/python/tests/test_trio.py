"""What coroutines wait for, under trio, and under anyio on trio and on asyncio."""

import threading
import time
import unittest

import gomax

try:
    import anyio
    import trio
    import trio.testing
except ImportError:  # ci/python.sh installs them, if that can be done
    anyio = trio = None


@unittest.skipUnless(anyio and trio, "no trio, or no anyio")
class Loops(unittest.TestCase):
    def everywhere(self, main):
        for backend in ("asyncio", "trio"):
            with self.subTest(backend=backend):
                anyio.run(main, backend=backend)
        with self.subTest(backend="trio alone"):
            trio.run(main)

    def test_tasks_meet(self):
        async def main():
            channel, got = gomax.Channel(), []

            async def receives():
                async for value in channel:
                    got.append(value)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receives)
                for i in range(5):
                    await channel.send_async(i)
                channel.close()
            self.assertEqual(got, [0, 1, 2, 3, 4])

        self.everywhere(main)

    def test_threads_and_tasks_meet(self):
        async def main():
            there, back = gomax.Channel(), gomax.Channel(3)

            def echoes():
                for value in there:
                    back.send(value)
                back.close()
                return "ended"

            g = gomax.go(echoes)
            for i in range(100):
                await there.send_async(i)
                self.assertEqual(await back.recv_async(), i)
            there.close()
            with self.assertRaises(gomax.ClosedError):
                await back.recv_async()
            self.assertEqual(await g, "ended")
            with self.assertRaises(ZeroDivisionError):
                await gomax.go(lambda: 1 / 0)

        self.everywhere(main)

    def test_select_and_timers(self):
        async def main():
            one, other = gomax.Channel(), gomax.Channel(1)
            with self.assertRaises(TimeoutError):
                await gomax.select_async(one, timeout=0.001)
            with self.assertRaises(TimeoutError):
                await gomax.select_async(one, timeout=0)
            gomax.go(one.send, 5)
            self.assertEqual(await gomax.select_async(one, gomax.Channel()), (0, 5, True))
            self.assertEqual(await gomax.select_async(one, (other, 1)), (1, None, True))
            before = time.monotonic()
            await gomax.sleep_async(0.001)
            await gomax.sleep_async(-1)
            ticks = 0
            async for _ in gomax.Ticker(0.001):
                ticks += 1
                if ticks == 3:
                    break
            self.assertGreaterEqual(time.monotonic() - before, 0.001)

        self.everywhere(main)

    def test_a_wait_that_is_canceled_loses_nothing(self):
        """Threads send while receivers are canceled, at their wait and on the way from it."""

        async def main():
            channel, got = gomax.Channel(1), []
            n = 300

            def sends():
                for i in range(n):
                    channel.send(i)

            gs = [gomax.go(sends) for _ in range(2)]
            turn = 0
            while len(got) < 2 * n:
                turn += 1
                async with anyio.create_task_group() as tasks:

                    async def receives():
                        wait = channel.recv_async() if turn % 2 else gomax.select_async(channel, gomax.Channel())
                        value = await wait
                        got.append(value if turn % 2 else value.value)

                    for _ in range(3):
                        tasks.start_soon(receives)
                    for _ in range(turn % 5):
                        await anyio.sleep(0)
                    tasks.cancel_scope.cancel()
            for g in gs:
                await g
            self.assertEqual(sorted(got), sorted(list(range(n)) * 2))
            self.assertEqual(channel.waiters, (0, 0))

        self.everywhere(main)

    def test_every_call_is_a_checkpoint(self):
        async def main():
            channel = gomax.Channel(gomax.UNBOUNDED)
            ended = gomax.go(int)
            ended.join()

            async def awaits():
                await ended

            for call in (lambda: channel.send_async(1), channel.recv_async, lambda: gomax.select_async((channel, 1)), awaits):
                channel.send(1)
                before = len(channel)
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await call()
                self.assertTrue(scope.cancelled_caught)
                self.assertEqual(len(channel), before)  # it has done nothing
                with trio.testing.assert_checkpoints():
                    await call()

        trio.run(main)

    def test_a_loop_that_has_ended(self):
        channel = gomax.Channel(5)

        async def main():
            with trio.CancelScope() as scope:
                scope.cancel()
                await channel.recv_async()

        trio.run(main)
        event = []

        async def keeps():
            event.append(gomax._loops.future())

        trio.run(keeps)
        self.assertFalse(gomax._loops.wake(event[0]))
        channel.send(1)
        self.assertEqual(channel.recv(), 1)

    def test_both_loops_at_a_time(self):
        """asyncio on one thread, trio on another, at one channel."""
        import asyncio

        there, back = gomax.Channel(), gomax.Channel()

        async def one():
            for i in range(200):
                await there.send_async(i)
                assert await back.recv_async() == i
            there.close()

        async def other():
            async for value in there:
                await back.send_async(value)

        thread = threading.Thread(target=trio.run, args=(other,))
        thread.start()
        asyncio.run(one())
        thread.join()


if __name__ == "__main__":
    unittest.main()
