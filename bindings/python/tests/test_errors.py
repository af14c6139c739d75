import asyncio
import concurrent.futures
import pickle
import unittest

import gomax


class Cancellation(unittest.TestCase):
    def test_is_not_swallowed_by_a_retry(self):
        """A loop that tries again after each error ends when its scope does."""
        never = gomax.Channel()

        def retries():
            for attempt in range(1000):
                try:
                    return never.recv()
                except Exception:
                    continue
            return attempt

        token = gomax.Token(0)
        with token.use(), self.assertRaises(gomax.CanceledError):
            retries()
        with self.assertRaises(gomax.CanceledError):
            token.go(retries).join()
        with gomax.scope() as s:
            g = s.go(retries)
            s.cancel()
        with self.assertRaises(gomax.CanceledError):
            g.join()

    def test_no_class_of_the_package_is_caught_with_it(self):
        self.assertFalse(issubclass(gomax.CanceledError, Exception))
        for name in gomax.__all__:
            found = getattr(gomax, name)
            if isinstance(found, type) and issubclass(found, BaseException) and found is not gomax.CanceledError:
                self.assertTrue(issubclass(found, Exception), name)

    def test_passes_through_what_runs_functions(self):
        def canceled():
            raise gomax.CanceledError()

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with self.assertRaises(gomax.CanceledError):
                pool.submit(canceled).result()
            self.assertEqual(pool.submit(int).result(), 0)

        async def main():
            with self.assertRaises(gomax.CanceledError):
                await gomax.go(canceled)
            with self.assertRaises(gomax.CanceledError):
                await asyncio.ensure_future(awaits())

        async def awaits():
            await gomax.go(canceled)

        asyncio.run(main())


class Errors(unittest.TestCase):
    def test_wrong_arguments_are_refused_at_once(self):
        with gomax.scope() as s:
            token, group = gomax.Token(), gomax.WaitGroup()
            waits = token.go(gomax.sleep, 1000)
            types = [
                lambda: gomax.go(5),
                lambda: gomax.go(gomax.sleep(0)),
                lambda: s.go(None),
                lambda: s.go_c(print),
                lambda: token.go("f"),
                lambda: token.on_cancel(5),
                lambda: gomax.on_cancel(None),
                lambda: group.go(5),
                lambda: group.add("1"),
                lambda: gomax.scope("soon"),
                lambda: gomax.fail_after("soon"),
                lambda: gomax.Token("soon"),
                lambda: gomax.Channel(1.5),
                lambda: gomax.Channel().recv("soon"),
                lambda: gomax.Queue(1.5),
                lambda: gomax.Queue(1).put(1, timeout="soon"),
                lambda: gomax.Executor("4"),
                lambda: gomax.select(5),
                lambda: gomax.select_nowait((gomax.Channel(), 1, 2)),
                lambda: gomax.Mutex().acquire(0.5),
                lambda: gomax.Semaphore("1"),
                lambda: gomax.sleep("long"),
                lambda: gomax.after("soon"),
                lambda: waits.join("soon"),
                lambda: gomax.go(int).add_done_callback(5),
            ]
            for i, call in enumerate(types):
                with self.subTest(type=i), self.assertRaises(TypeError):
                    call()
            values = [
                lambda: gomax.Channel(-1),
                lambda: gomax.Semaphore(-1),
                lambda: gomax.Semaphore().release(0),
                lambda: gomax.Executor(0),
                lambda: gomax.Mutex().acquire(False, 1),
                lambda: gomax.scope(float("nan")),
                lambda: gomax.Ticker(0),
                lambda: group.add(-1),
                lambda: token.cancel(0),
            ]
            for i, call in enumerate(values):
                with self.subTest(value=i), self.assertRaises(ValueError):
                    call()
            self.assertEqual(s._running, {})
            self.assertFalse(s.canceled)
            group.wait(0)
            token.cancel()

    def test_pickled(self):
        errors = [
            gomax.Error(-1, "what I was doing"),
            gomax.Error(-5000),
            gomax.ClosedError(),
            gomax.ClosedError(what="the queue of jobs"),
            gomax.CanceledError(),
            gomax.CanceledError(what="the download"),
            gomax.ForkedError(),
        ]
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for e in errors:
                again = pickle.loads(pickle.dumps(e, protocol))
                self.assertIs(type(again), type(e))
                self.assertEqual((str(again), again.status, again.name), (str(e), e.status, e.name))


if __name__ == "__main__":
    unittest.main()
