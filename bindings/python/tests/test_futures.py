import asyncio
import contextvars
import threading
import unittest
import unittest.mock
from concurrent import futures

import gomax
from programs import run


class Futures(unittest.TestCase):
    """A goroutine as a future of concurrent.futures."""

    def test_outcomes(self):
        self.assertEqual(gomax.go(pow, 2, 10).future().result(60), 1024)
        with self.assertRaises(ZeroDivisionError):
            gomax.go(lambda: 1 / 0).future().result(60)
        g = gomax.go(int)
        g.join()
        self.assertEqual(g.future().result(0), 0)
        self.assertIsInstance(g.future(), futures.Future)

    def test_a_goroutine_runs_already(self):
        go_on = gomax.Channel()
        g = gomax.go(go_on.recv)
        future = g.future()
        self.assertEqual((future.running(), future.cancel(), future.done()), (True, False, False))
        g.cancel()
        with self.assertRaises(gomax.CanceledError):
            future.result(60)
        self.assertTrue(g.cancelled())

    def test_functions_of_the_module(self):
        go_on = [gomax.Channel() for _ in range(4)]
        all_ = [gomax.go(channel.recv).future() for channel in go_on]
        go_on[2].send("first")
        done, rest = futures.wait(all_, 60, return_when=futures.FIRST_COMPLETED)
        self.assertEqual(({f.result() for f in done}, len(rest)), ({"first"}, 3))
        for i, channel in enumerate(go_on):
            if i != 2:
                channel.send(i)
        self.assertEqual({f.result() for f in futures.as_completed(all_, 60)}, {"first", 0, 1, 3})
        called = []
        all_[0].add_done_callback(called.append)
        self.assertEqual(called, [all_[0]])

    def test_asyncio(self):
        async def main():
            go_on = gomax.Channel()
            g = gomax.go(go_on.recv)
            wrapped = asyncio.wrap_future(g.future())
            go_on.send(7)
            self.assertEqual(await wrapped, 7)
            with self.assertRaises(ZeroDivisionError):
                await asyncio.wrap_future(gomax.go(lambda: 1 / 0).future())
            with gomax.Executor(2) as executor:
                loop = asyncio.get_running_loop()
                self.assertEqual(await asyncio.gather(*[loop.run_in_executor(executor, pow, 2, i) for i in range(5)]), [1, 2, 4, 8, 16])

        asyncio.run(main())

    def test_errors_of_a_future_are_told(self):
        seen = []
        with unittest.mock.patch.object(threading, "excepthook", seen.append):
            future = gomax.go(lambda: 1 / 0).future()
            self.assertIsInstance(future.exception(60), ZeroDivisionError)
        self.assertEqual(seen, [])


class Executors(unittest.TestCase):
    def test_submit_and_map(self):
        for most in (None, 1, 3):
            with gomax.Executor(most) as executor:
                self.assertIsInstance(executor, futures.Executor)
                self.assertEqual(executor.submit(int, "12", base=8).result(60), 10)
                self.assertEqual(list(executor.map(pow, range(50), [2] * 50)), [i * i for i in range(50)])
                with self.assertRaises(ZeroDivisionError):
                    executor.submit(lambda: 1 / 0).result(60)
                with self.assertRaises(TypeError):
                    executor.submit(5)
            with self.assertRaises(RuntimeError):
                executor.submit(int)
        for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), ("1", TypeError)):
            with self.assertRaises(error):
                gomax.Executor(wrong)

    def test_at_most_so_many_at_a_time(self):
        lock, inside, most = threading.Lock(), 0, 0

        def enter():
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            gomax.sleep(0)
            with lock:
                inside -= 1

        with gomax.Executor(3) as executor:

            def submits():
                for _ in range(100):
                    executor.submit(enter)

            for g in [gomax.go(submits) for _ in range(4)]:
                g.join()
        self.assertLessEqual(most, 3)
        self.assertEqual((inside, executor._workers, len(executor._work)), (0, {}, 0))

    def test_two_come_for_the_last_place(self):
        executor, lock, most = gomax.Executor(1), threading.Lock(), []
        registers = executor._registers

        def late(g):
            executor._registers = registers
            futures_.append(executor.submit(enters))  # has the place
            registers(g)

        def enters():
            most.append(lock.acquire(blocking=False))
            gomax.sleep(0.001)
            lock.release()

        executor._registers, futures_ = late, []
        futures_.append(executor.submit(enters))
        executor.shutdown()
        self.assertEqual(([f.exception(0) for f in futures_], most), ([None, None], [True, True]))

    def test_no_call_is_left(self):
        """A call comes at the moment at which the only worker ends: every one has its turn."""
        executor = gomax.Executor(1)
        for i in range(2000):
            self.assertEqual(executor.submit(int, i).result(60), i)
        executor.shutdown()

    def test_all_run_at_once_without_a_limit(self):
        together = threading.Barrier(20)
        with gomax.Executor() as executor:
            for future in [executor.submit(together.wait, 60) for _ in range(20)]:
                future.result()

    def test_canceled_before_its_turn(self):
        go_on, started = gomax.Channel(), gomax.Channel()
        executor = gomax.Executor(1)
        first = executor.submit(lambda: (started.send(1), go_on.recv())[1])
        second, third, fourth = (executor.submit(int) for _ in range(3))
        started.recv()
        self.assertEqual((first.cancel(), second.cancel()), (False, True))
        executor.shutdown(wait=False, cancel_futures=True)
        self.assertEqual((third.cancelled(), fourth.cancelled()), (True, True))
        self.assertEqual(futures.wait([third, fourth], 60)[1], set())
        go_on.send(5)
        executor.shutdown()
        self.assertEqual((first.result(0), second.cancelled()), (5, True))

    def test_canceled_with_its_scope(self):
        with gomax.scope() as s:
            with gomax.Executor() as executor:
                future = executor.submit(gomax.sleep, 1000)
                s.cancel()
        with self.assertRaises(gomax.CanceledError):
            future.result(0)

    def test_has_the_context_of_the_caller(self):
        name = contextvars.ContextVar("name")
        with gomax.Executor(1) as executor:
            for value in range(3):
                name.set(value)
                self.assertEqual(executor.submit(name.get).result(60), value)

    def test_no_thread(self):
        executor = gomax.Executor()
        with unittest.mock.patch.object(gomax._goroutines.Worker, "start", side_effect=RuntimeError("can't start new thread")):
            with unittest.mock.patch.object(gomax._goroutines.pool, "idle", type(gomax._goroutines.pool.idle)()):
                future = executor.submit(int)
                with self.assertRaises(RuntimeError):
                    future.result(60)
        self.assertEqual(executor.submit(int).result(60), 0)
        with unittest.mock.patch.object(gomax._goroutines.pool, "run", side_effect=RuntimeError("can't start new thread")):
            with self.assertRaises(RuntimeError):
                executor.submit(int)
        executor.shutdown()

    def test_a_signal_handler_may_submit(self):
        text = """
import gomax, signal, threading
executor = gomax.Executor(2)
seen = []
def handler(number, frame):
    seen.append(executor.submit(int))
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for _ in range(1000):
    executor.submit(int).result()
while len(seen) < 20:
    executor.submit(int).result()
signal.setitimer(signal.ITIMER_REAL, 0)
print(set(f.result() for f in seen))
"""
        self.assertEqual(run(text), "{0}\n")

    def test_child_of_fork(self):
        text = """
import gomax, os
executor = gomax.Executor()
executor.submit(int).result()
pid = os.fork()
if pid == 0:
    try:
        executor.submit(int)
    except gomax.ForkedError:
        assert gomax.Executor().submit(int).result() == 0
        os._exit(0)
    os._exit(1)
print(os.waitpid(pid, 0)[1])
"""
        self.assertEqual(run(text), "0\n")

    def test_imported_when_used(self):
        text = """
import sys, gomax
def loaded():
    return [name for name in ("asyncio", "concurrent.futures", "logging") if name in sys.modules]
with gomax.scope() as s:
    s.go(gomax.Channel(1).send, 1)
gomax.Queue(1).put(1)
print(loaded())
gomax.Executor
print(loaded())
"""
        self.assertEqual(run(text), "[]\n['concurrent.futures', 'logging']\n")


if __name__ == "__main__":
    unittest.main()
