import ctypes
import shutil
import threading
import unittest

import gomax
from programs import c_library, run


class Mutexes(unittest.TestCase):
    def test_excludes(self):
        m, n = gomax.Mutex(), 0

        def count():
            nonlocal n
            for _ in range(200):
                with m:
                    before = n
                    if before % 50 == 0:
                        gomax.sleep(0)
                    n = before + 1

        with gomax.scope() as s:
            for _ in range(8):
                s.go(count)
        self.assertEqual(n, 1600)

    def test_belongs_to_who_took_it(self):
        m = gomax.Mutex()
        with m:
            for wrong in (m.acquire, gomax.go(m.release).join):
                with self.assertRaises(gomax.Error) as e:
                    wrong()
                self.assertIn(e.exception.name, ("GMX_EDEADLK", "GMX_EPERM"))
            for timeout in (0, 0.01):
                self.assertIs(gomax.go(m.acquire, timeout=timeout).join(), False)
        with self.assertRaises(gomax.Error):
            m.release()

    def test_as_those_of_threading(self):
        """The same calls of both give the same."""

        def of(lock, other):
            yield lock.acquire()
            yield other(lock.acquire, False)
            yield other(lock.acquire, blocking=False)
            yield other(lock.acquire, 0)
            yield other(lock.acquire, True, 0.001)
            yield other(lock.acquire, timeout=0)
            for wrong in ((False, 1), (True, -2)):
                with self.assertRaises(ValueError):
                    lock.acquire(*wrong)
            with self.assertRaises(TypeError):
                lock.acquire(timeout="long")
            yield lock.release()
            yield other(lambda: (lock.acquire(timeout=-1), lock.release()))
            with lock:
                yield other(lock.acquire, False)
            yield other(lambda: (lock.acquire(1), lock.release()))
            with self.assertRaises((RuntimeError, gomax.Error)):
                lock.release()

        def other(fn, *args, **kwargs):
            return gomax.go(fn, *args, **kwargs).join()

        self.assertEqual(list(of(gomax.Mutex(), other)), list(of(threading.Lock(), other)))
        self.assertEqual(list(of(gomax.RMutex(), other)), list(of(threading.RLock(), other)))

        for semaphore in (gomax.Semaphore(2), threading.Semaphore(2)):
            self.assertEqual([semaphore.acquire(blocking=False) for _ in range(3)], [True, True, False])
            self.assertIs(semaphore.acquire(timeout=0.001), False)
            semaphore.release(2)
            self.assertEqual([semaphore.acquire(timeout=0) for _ in range(3)], [True, True, False])
            for wrong in (0, -1):
                with self.assertRaises(ValueError):
                    semaphore.release(wrong)
        cond = gomax.Cond()
        self.assertIs(cond.acquire(timeout=1), True)
        cond.notify()
        cond.release()
        for lock in (gomax.Mutex(), gomax.RMutex(), gomax.RWMutex(), gomax.Cond(), gomax.Semaphore(1)):
            for not_blocking in (1.5, "no", 60, None):  # a timeout that was meant, say
                with self.assertRaises(TypeError):
                    lock.acquire(not_blocking)
            self.assertIs(lock.acquire(False), True)
            lock.release()

    def test_locked(self):
        for lock in (gomax.Mutex(), gomax.RMutex(), gomax.Semaphore(1)):
            self.assertIs(lock.locked(), False)
            with lock:
                self.assertIs(lock.locked(), True)
                self.assertIs(gomax.go(lock.locked).join(), True)
                g = gomax.go(lambda: (lock.acquire(), lock.release()))
                while lock.waiters != 1:
                    gomax.sleep(0.0001)
            g.join()
            self.assertIs(lock.locked(), False)

    def test_a_timeout_error_of_a_handler_is_none_of_the_lock(self):
        text = """
import gomax, signal
def handler(number, frame):
    raise TimeoutError("the handler's")
signal.signal(signal.SIGALRM, handler)
m, taken = gomax.Mutex(), gomax.Channel()
gomax.go(lambda: (m.acquire(), taken.send(1), gomax.sleep(1000)))
taken.recv()
signal.setitimer(signal.ITIMER_REAL, 0.01)
try:
    print(m.acquire())
except TimeoutError as e:
    print(e)
"""
        self.assertEqual(run(text), "the handler's\n")

    def test_how_many_wait(self):
        def wait_until(object, n):
            while object.waiters != n:
                gomax.sleep(0.0001)

        m, rw, cond, ends = gomax.Mutex(), gomax.RWMutex(), gomax.Cond(), gomax.Semaphore(0)

        def waits_for_a_notification():
            with cond:
                cond.wait()

        waits = (m.acquire, rw.acquire_read, waits_for_a_notification, ends.acquire)
        with m, rw:
            gs = [gomax.go(wait) for wait in waits]
            for object in (m, rw, cond, ends):
                wait_until(object, 1)
            gs.append(gomax.go(ends.acquire))
            wait_until(ends, 2)
            ends.release()
            wait_until(ends, 1)
            ends.release()
            cond.notify()
        for g in gs:
            g.join()
        for object in (m, rw, cond, ends):
            self.assertEqual(object.waiters, 0)

    def test_plain_threads(self):
        m, done = gomax.Mutex(), []

        def take():
            with m:
                done.append(1)

        with m:
            threads = [threading.Thread(target=take) for _ in range(5)]
            for t in threads:
                t.start()
            self.assertEqual(done, [])
        for t in threads:
            t.join()
        self.assertEqual(len(done), 5)

    def test_a_scope_ends_no_wait_for_a_lock(self):
        m, rw, group, ends = gomax.Mutex(), gomax.RWMutex(), gomax.WaitGroup(), gomax.Semaphore(0)
        group.add(1)
        g = gomax.go(ends.acquire)

        def waits_itself(s):
            s.cancel()
            for take in (m.acquire, rw.acquire, rw.acquire_read):
                self.assertIs(take(timeout=0.01), False)
            for wait in (group.wait, g.join):
                with self.assertRaises(TimeoutError):
                    wait(0.01)
            with self.assertRaises(gomax.CanceledError):
                ends.acquire()

        def holds():
            with m, rw:
                held.release(), ends2.acquire()

        held, ends2 = gomax.Semaphore(0), gomax.Semaphore(0)
        holder = gomax.go(holds)
        held.acquire()
        with gomax.scope() as s:  # the main thread
            waits_itself(s)
        with gomax.scope() as s:  # a goroutine
            s.go(waits_itself, s)
        ends2.release(), ends.release()
        holder.join(), g.join()
        m.acquire(timeout=60)
        rw.acquire(timeout=60)

    def test_ctrl_c_ends_a_wait(self):
        text = """
import gomax, os, signal, threading, time
from gomax import _waits
def interrupt():
    while not _waits._interrupts.waiting:
        time.sleep(0.0001)
    os.kill(os.getpid(), signal.SIGINT)
m, rw, cond = gomax.Mutex(), gomax.RWMutex(), gomax.Cond()
def take():
    m.acquire(), rw.acquire(), taken.send(1), gomax.sleep(1000)
taken = gomax.Channel(1)
gomax.go(take)
taken.recv()
for wait in (m.acquire, rw.acquire, rw.acquire_read, cond.wait):
    with cond:
        threading.Thread(target=interrupt).start()
        try:
            wait()
        except KeyboardInterrupt:
            print("interrupted")
"""
        self.assertEqual(run(text), "interrupted\n" * 4)


class RMutexes(unittest.TestCase):
    def test_its_owner_takes_it_again(self):
        m, taken = gomax.RMutex(), []

        def other(timeout):
            self.assertIs(m.acquire(timeout=timeout), False)

        with m:
            with m:
                gomax.go(other, 0).join()
                gomax.go(other, 0.001).join()
                with self.assertRaises(gomax.Error):
                    gomax.go(m.release).join()
            gomax.go(other, 0).join()
            g = gomax.go(lambda: (m.acquire(), taken.append(1), m.release()))
            while m.waiters != 1:
                gomax.sleep(0.0001)
            self.assertEqual(taken, [])
        g.join()
        self.assertEqual((taken, m.waiters), ([1], 0))
        with self.assertRaises(gomax.Error):
            m.release()


class Addresses(unittest.TestCase):
    def test_wait_and_wake(self):
        for kind in (ctypes.c_uint8, ctypes.c_int16, ctypes.c_uint32, ctypes.c_int64):
            word, woken = kind(7), gomax.Channel(3)
            gomax.wait_on_address(word, 8)  # it is not
            with self.assertRaises(TimeoutError):
                gomax.wait_on_address(word, 7, 0.001)

            def waits():
                while word.value == 7:
                    gomax.wait_on_address(word, 7)
                woken.send(1)

            gs = [gomax.go(waits) for _ in range(3)]
            word.value = 9
            count = 0
            while len(woken) < 3:
                count += gomax.wake_address(word, 1)
                gomax.sleep(0.0001)
            for g in gs:
                g.join()
            self.assertLessEqual(count, 3)
            self.assertEqual(gomax.wake_address(word), 0)

    def test_all_that_wait(self):
        word = ctypes.c_uint32(0)

        def waits():
            while not word.value:
                gomax.wait_on_address(word, 0)

        with gomax.scope() as s:
            for _ in range(5):
                s.go(waits)
            word.value = 1
            gomax.wake_address(word)

    def test_canceled(self):
        word = ctypes.c_uint32(0)
        with gomax.scope() as s:
            g = s.go(gomax.wait_on_address, word, 0)
            s.cancel()
            with self.assertRaises(gomax.CanceledError):
                g.join()

    def test_what_is_no_word(self):
        for wrong in (1, [], (ctypes.c_uint8 * 4)(), ctypes.c_longdouble()):
            with self.assertRaises(TypeError):
                gomax.wait_on_address(wrong, 1)
            with self.assertRaises(TypeError):
                gomax.wake_address(wrong)

    @unittest.skipUnless(shutil.which("cc"), "no C compiler")
    def test_with_c(self):
        source = """
void sets(void *arg) {
  uint32_t *word = arg;
  __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
  gmx_wake_address(word, GMX_WAKE_ALL);
  uint32_t one = 1;
  while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 1) (void)!gmx_wait_on_address(word, &one, 4, GMX_FOREVER);
}
"""
        with c_library(source) as lib:
            word = ctypes.c_uint32(0)
            g = gomax.go_c(lib.sets, word)
            while word.value == 0:
                gomax.wait_on_address(word, 0)
            word.value = 2
            gomax.wake_address(word)
            g.join()


class BlockingClasses(unittest.TestCase):
    @unittest.skipUnless(shutil.which("cc"), "no C compiler")
    def test_so_many_run_at_a_time(self):
        source = """
#include <stdatomic.h>
static atomic_int inside, most, calls;
struct job { gmx_class class_; uint32_t *gate; };
void computes(void *gate) {
  int now = atomic_fetch_add(&inside, 1) + 1, seen = atomic_load(&most);
  while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {}
  while (gate && !__atomic_load_n((uint32_t *)gate, __ATOMIC_ACQUIRE)) {}
  atomic_fetch_add(&calls, 1);
  atomic_fetch_sub(&inside, 1);
}
void from_c(void *arg) {
  struct job *job = arg;
  if (gmx_blocking_in(job->class_, computes, job->gate, GMX_FOREVER) != GMX_OK) atomic_fetch_add(&calls, 1000);
}
int run_now(void) { return atomic_load(&inside); }
int ran(void) { return atomic_load(&calls); }
int at_most(void) { return atomic_load(&most); }
"""

        class Job(ctypes.Structure):
            _fields_ = [("class_", ctypes.c_uint64), ("gate", ctypes.c_void_p)]

        with c_library(source) as lib:
            calls, gate = gomax.BlockingClass(2, "tests"), ctypes.c_uint32(0)
            job = Job(calls.handle, ctypes.addressof(gate))
            gs = [gomax.go(calls.call, lib.computes, gate) for _ in range(4)]
            gs += [gomax.go_c(lib.from_c, job) for _ in range(4)]
            while lib.run_now() != 2:
                gomax.sleep(0.0001)
            for timeout in (0, 0.001):
                with self.assertRaises(TimeoutError):
                    calls.call(lib.computes, timeout=timeout)
            with gomax.scope() as s:
                s.cancel()
                with self.assertRaises(gomax.CanceledError):
                    calls.call(lib.computes)
            self.assertEqual(gomax.gmx.gmx_class_free(calls.handle), gomax._abi.GMX_EBUSY)
            gate.value = 1
            for g in gs:
                g.join()
            calls.call(lib.computes)
            self.assertEqual((lib.ran(), lib.at_most()), (9, 2))
            handle = calls.handle
            del calls, gs, g
            self.assertEqual(gomax.gmx.gmx_class_free(handle), gomax._abi.GMX_ESTALE)

    def test_wrong_arguments(self):
        for limit in (0, -1, 2**32):
            with self.assertRaises(ValueError):
                gomax.BlockingClass(limit)
        calls = gomax.BlockingClass(1)
        with self.assertRaises(TypeError):
            calls.call(print)
        with self.assertRaises(TypeError):
            calls.call(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(print))


class Barriers(unittest.TestCase):
    def test_all_meet(self):
        n, rounds = 5, 40
        b, arrived, serial, lock = gomax.Barrier(n), [0], [0], threading.Lock()

        def meet():
            for i in range(1, rounds + 1):
                with lock:
                    arrived[0] += 1
                is_serial = b.wait()
                self.assertGreaterEqual(arrived[0], n * i)
                with lock:
                    serial[0] += is_serial

        t = threading.Thread(target=meet)
        t.start()
        with gomax.scope() as s:
            for _ in range(n - 1):
                s.go(meet)
        t.join()
        self.assertEqual((serial, arrived, b.waiters), ([rounds], [n * rounds], 0))

    def test_one_that_gives_up_has_not_arrived(self):
        b = gomax.Barrier(2)
        for timeout in (0, 0.01):
            for wait in (b.wait, lambda t: gomax.go(b.wait, t).join()):
                with self.assertRaises(TimeoutError):
                    wait(timeout)
        with gomax.scope() as s:
            g = s.go(b.wait)
            while b.waiters == 0:
                gomax.sleep(0.0001)
            s.cancel()
            with self.assertRaises(gomax.CanceledError):
                g.join()
        self.assertEqual(b.waiters, 0)
        g = gomax.go(b.wait)
        self.assertNotEqual(b.wait(), g.join())
        self.assertTrue(gomax.Barrier(1).wait(0))
        for n in (0, -1, 2**32):
            with self.assertRaises((ValueError, OverflowError)):
                gomax.Barrier(n)

    def test_a_signal_handler_runs_and_the_wait_goes_on(self):
        text = """
import gomax, os, signal, threading
b = gomax.Barrier(2)
def handler(number, frame):
    print("handled", b.waiters)
    gomax.go(b.wait)
signal.signal(signal.SIGUSR1, handler)
def kill():
    from gomax import _waits
    while not _waits._interrupts.waiting or b.waiters == 0:
        pass
    os.kill(os.getpid(), signal.SIGUSR1)
threading.Thread(target=kill).start()
print(type(b.wait()).__name__)
"""
        self.assertEqual(run(text), "handled 0\nbool\n")


class RWMutexes(unittest.TestCase):
    def test_many_readers_or_one_writer(self):
        m, c, lock = gomax.RWMutex(), gomax.Channel(), threading.Lock()
        inside = {"readers": 0, "writers": 0, "most": 0}

        def read():
            with m.reading():
                with lock:
                    inside["readers"] += 1
                    inside["most"] = max(inside["most"], inside["readers"])
                    self.assertEqual(inside["writers"], 0)
                gomax.sleep(0.0001)
                with lock:
                    inside["readers"] -= 1

        def write():
            with m:
                with lock:
                    inside["writers"] += 1
                    self.assertEqual((inside["writers"], inside["readers"]), (1, 0))
                gomax.sleep(0.0001)
                with lock:
                    inside["writers"] -= 1

        with gomax.scope() as s:
            for i in range(60):
                s.go(write if i % 6 == 0 else read)

        def together():  # is in it until the other one is too
            with m.reading():
                c.send(1)
                c.recv(60)

        def other():
            with m.reading(60):
                c.recv(60)
                c.send(1)

        with gomax.scope() as s:
            s.go(together), s.go(other)

    def test_times_out(self):
        m = gomax.RWMutex()
        with m:
            for timeout in (0, 0.01):
                for take in (m.acquire, m.acquire_read):
                    self.assertIs(gomax.go(take, timeout=timeout).join(), False)
                with self.assertRaises(TimeoutError):
                    gomax.go(m.reading(timeout).__enter__).join()
        with m.reading(0):
            self.assertIs(gomax.go(m.acquire, timeout=0.01).join(), False)
            gomax.go(lambda: (m.acquire_read(timeout=60), m.release_read())).join()
        for give in (m.release, m.release_read):
            with self.assertRaises(gomax.Error):
                give()


class Conds(unittest.TestCase):
    def test_queue(self):
        for notify in (gomax.Cond.notify, gomax.Cond.notify_all):
            cond, items, got = gomax.Cond(), [], []

            def take():
                for _ in range(50):
                    with cond:
                        got.append(cond.wait_for(lambda: items and [items.pop()])[0])

            with gomax.scope() as s:
                for _ in range(4):
                    s.go(take)
                for i in range(200):
                    with cond:
                        items.append(i)
                        notify(cond)
            self.assertEqual(sorted(got), list(range(200)))

    def test_has_the_mutex_after_each_wait(self):
        cond = gomax.Cond(gomax.Mutex())
        with cond:
            for timeout in (0, 0.01):
                with self.assertRaises(TimeoutError):
                    cond.wait(timeout)
                with self.assertRaises(TimeoutError):
                    cond.wait_for(lambda: False, timeout)
                self.assertIs(gomax.go(cond.acquire, timeout=0).join(), False)
        with self.assertRaises(gomax.Error):
            cond.wait(0.01)

        def canceled():
            with cond:
                try:
                    cond.wait()
                finally:
                    cond.mutex.release(), cond.mutex.acquire()  # would raise if it were not ours

        with gomax.scope() as s:
            s.go(canceled)
            s.cancel()
        with cond:
            pass

    def test_a_signal_loses_no_notification(self):
        text = """
import gomax, os, signal, threading
cond, there = gomax.Cond(), []
def handler(number, frame):
    gomax.go(tell).join()  # while the main thread is between two waits
def tell():
    there.append(1)
    cond.notify_all()
signal.signal(signal.SIGUSR1, handler)
def kill():
    from gomax import _waits
    while not _waits._interrupts.waiting:
        pass
    os.kill(os.getpid(), signal.SIGUSR1)
threading.Thread(target=kill).start()
with cond:
    print(cond.wait_for(lambda: there, 100))
"""
        self.assertEqual(run(text), "[1]\n")


class Onces(unittest.TestCase):
    def test_once(self):
        once, done, got = gomax.Once(), [], []

        def first():
            gomax.sleep(0.001)
            done.append(1)

        def use():
            once.do(first)
            got.append(len(done))

        with gomax.scope() as s:
            for _ in range(20):
                s.go(use)
        self.assertEqual((done, got), ([1], [1] * 20))

    def test_an_error_is_raised_once(self):
        once = gomax.Once()
        with self.assertRaises(ZeroDivisionError):
            once.do(lambda: 1 / 0)
        once.do(self.fail)
        with self.assertRaises(gomax.Error) as e:
            again = gomax.Once()
            again.do(again.do, int)
        self.assertEqual(e.exception.name, "GMX_EDEADLK")

    def test_times_out(self):
        once, c = gomax.Once(), gomax.Channel()
        g = gomax.go(once.do, lambda: (c.recv(), c.recv()))
        c.send(1)
        with self.assertRaises(TimeoutError):
            once.do(int, timeout=0.01)
        c.send(1)
        g.join()
        once.do(int, timeout=0)


@unittest.skipUnless(shutil.which("cc"), "no C compiler")
class WithC(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with c_library(
            r"""
struct counter { gmx_mutex *m; gmx_cond *c; gmx_rwmutex *rw; int64_t n; };
void count(void *arg) {
  struct counter *c = arg;
  for (int i = 0; i < 1000; i++) {
    if (gmx_mutex_lock(c->m) != GMX_OK) return;
    c->n++;
    if (gmx_cond_broadcast(c->c) != GMX_OK || gmx_mutex_unlock(c->m) != GMX_OK) return;
  }
}
void writes(void *arg) {
  struct counter *c = arg;
  if (gmx_rwmutex_lock(c->rw) != GMX_OK) return;
  c->n = -c->n;
  if (gmx_rwmutex_unlock(c->rw) != GMX_OK) c->n = 0;
}
"""
        ) as cls.code:
            pass

    def test_locks_are_shared(self):
        cond, rw = gomax.Cond(), gomax.RWMutex()

        class Counter(ctypes.Structure):
            _fields_ = [(name, ctypes.c_void_p) for name in "mcr"] + [("n", ctypes.c_int64)]

        counter = Counter(cond.mutex.address, cond.address, rw.address, 0)
        gs = [gomax.go_c(self.code.count, counter) for _ in range(10)]
        with cond:
            cond.wait_for(lambda: counter.n == 10000, 60)
        for g in gs:
            g.join()
        with rw.reading():
            g = gomax.go_c(self.code.writes, counter)
            self.assertEqual(counter.n, 10000)
        g.join()
        self.assertEqual(counter.n, -10000)


if __name__ == "__main__":
    unittest.main()
