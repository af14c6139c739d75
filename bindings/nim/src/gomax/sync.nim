## Locks and counts, for goroutines and for plain threads. Do not copy or move one that is in use: keep it where it is,
## in a global, in an object behind a ptr, or in the frame of a caller that waits for all that use it.
import required, abi, errors, gvars

when NimMajor >= 2: {.push warning[BareExcept]: off.} # nothing may unwind into C

type
  Mutex* = object
    raw: RawMutex
  RecursiveMutex* = object ## one that its owner may lock again, and then unlocks as often
    raw: RawRMutex
  RwMutex* = object
    raw: RawRwMutex
  Condition* = object
    raw: RawCond
  WaitGroup* = object
    raw: RawWaitGroup
  Once* = object
    raw: RawOnce
  Barrier* = object ## where so many goroutines and threads meet, again and again
    raw: RawBarrier
  Semaphore* = object
    count*: uint32

template notCopied(T: untyped) =
  proc `=copy`*(a: var T, b: T) {.error.}
notCopied(Mutex)
notCopied(RecursiveMutex)
notCopied(RwMutex)
notCopied(Condition)
notCopied(WaitGroup)
notCopied(Once)
notCopied(Barrier)
notCopied(Semaphore)

const notTheCallers = "unlock of a lock that the caller does not have"

proc lock*(m: var Mutex, timeout: Timeout = forever) =
  ## `DeadlockError` for a second lock by the same goroutine.
  check waits(gmx_mutex_lock_timeout(addr m.raw, int64(timeout)))
proc tryLock*(m: var Mutex): bool = waits(gmx_mutex_try_lock(addr m.raw)) == OK
proc unlock*(m: var Mutex) =
  ## By the goroutine that has it. `MisuseDefect` if the caller does not have it: it stays as it is.
  checkUse gmx_mutex_unlock(addr m.raw), notTheCallers

proc lock*(m: var RecursiveMutex, timeout: Timeout = forever) = check waits(gmx_rmutex_lock(addr m.raw, int64(timeout)))
proc tryLock*(m: var RecursiveMutex): bool = waits(gmx_rmutex_try_lock(addr m.raw)) == OK
proc unlock*(m: var RecursiveMutex) = checkUse gmx_rmutex_unlock(addr m.raw), notTheCallers

proc lock*(m: var RwMutex, timeout: Timeout = forever) = check waits(gmx_rwmutex_lock_timeout(addr m.raw, int64(timeout)))
proc tryLock*(m: var RwMutex): bool = waits(gmx_rwmutex_try_lock(addr m.raw)) == OK
proc unlock*(m: var RwMutex) = checkUse gmx_rwmutex_unlock(addr m.raw), notTheCallers
proc lockShared*(m: var RwMutex, timeout: Timeout = forever) = check waits(gmx_rwmutex_rlock_timeout(addr m.raw, int64(timeout)))
proc tryLockShared*(m: var RwMutex): bool = waits(gmx_rwmutex_try_rlock(addr m.raw)) == OK
proc unlockShared*(m: var RwMutex) = checkUse gmx_rwmutex_runlock(addr m.raw), notTheCallers

template withLock*(m: var (Mutex | RecursiveMutex | RwMutex), body: untyped) =
  lock(m)
  try: body
  finally: unlock(m)

template withSharedLock*(m: var RwMutex, body: untyped) =
  lockShared(m)
  try: body
  finally: unlockShared(m)

proc wait*(c: var Condition, m: var Mutex, timeout: Timeout = forever) =
  ## The caller has the mutex before and after, whatever comes of it. Look again in a loop.
  check waits(gmx_cond_wait_timeout(addr c.raw, addr m.raw, int64(timeout)))
proc signal*(c: var Condition) = discard gmx_cond_signal(addr c.raw)
proc broadcast*(c: var Condition) = discard gmx_cond_broadcast(addr c.raw)

proc add*(wg: var WaitGroup, n = 1) =
  ## `MisuseDefect` if the count would be below 0, or above 2^31 - 1.
  checkUse gmx_waitgroup_add(addr wg.raw, int32(n)), "a wait group was counted below 0, or too far"
proc done*(wg: var WaitGroup) =
  ## `MisuseDefect` if nothing was added for it: the count stays 0.
  checkUse gmx_waitgroup_add(addr wg.raw, -1), "a wait group was counted below 0"
proc wait*(wg: var WaitGroup, timeout: Timeout = forever) = check waits(gmx_waitgroup_wait_timeout(addr wg.raw, int64(timeout)))

proc initBarrier*(n: int): Barrier =
  ## n meet.
  if n < 1 or n > int(high(uint32)): check EINVAL
  result.raw.n = uint32(n)
proc wait*(b: var Barrier, timeout: Timeout = forever): bool {.discardable.} =
  ## Waits until all have arrived. True for one of them in each round. A wait that raises is no arrival.
  if b.raw.n == 0: misuse("the barrier was never made: initBarrier")
  check waits(gmx_barrier_wait_timeout(addr b.raw, int64(timeout), addr result))
proc waiters*(b: var Barrier): int =
  ## How many have arrived in this round.
  int(gmx_barrier_waiters(addr b.raw))

proc acquire*(s: var Semaphore, timeout: Timeout = forever) = check waits(gmx_sema_acquire_timeout(addr s.count, int64(timeout)))
proc tryAcquire*(s: var Semaphore): bool = waits(gmx_sema_try_acquire(addr s.count)) == OK
proc release*(s: var Semaphore) = check gmx_sema_release(addr s.count)
proc releaseHandoff*(s: var Semaphore) =
  ## As `release`; the first waiter has the permit then, and runs at once in the caller's place.
  check waits(gmx_sema_release_handoff(addr s.count))

proc waiters*(m: var Mutex): int =
  ## How many wait for it.
  int(gmx_mutex_waiters(addr m.raw))
proc waiters*(m: var RecursiveMutex): int = int(gmx_rmutex_waiters(addr m.raw))
proc waiters*(m: var RwMutex): int =
  ## How many wait for it, to read or to write.
  int(gmx_rwmutex_waiters(addr m.raw))
proc waiters*(c: var Condition): int =
  ## How many wait for a signal; with the mutex locked none is missed.
  int(gmx_cond_waiters(addr c.raw))
proc waiters*(s: var Semaphore): int = int(gmx_sema_waiters(addr s.count))

proc waitOnAddress*[T](word: ptr T, expected: T, timeout: Timeout = forever) =
  ## Waits until `wakeAddress`, if the word is `expected`: a futex. It may come back without a reason: look at the word
  ## again, in a loop. Words of 1, 2, 4 or 8 bytes.
  var expected = expected
  let status = waits gmx_wait_on_address(word, addr expected, csize_t(sizeof(T)), int64(timeout))
  if status != EAGAIN: check status
proc wakeAddress*(word: pointer, n = high(uint32)): int {.discardable.} =
  ## Wakes those that wait for the word, at most n. Change it before. How many were woken.
  let status = gmx_wake_address(word, n)
  check status
  int(status)

type OnceCall = object
  fn: proc () {.nimcall, gcsafe.}
  error: ref Exception

proc callOnce(arg: pointer) {.cdecl, raises: [], gcsafe.} =
  let call = cast[ptr OnceCall](arg) # by the caller itself, with its variables
  {.cast(raises: []).}:
    try: call.fn()
    except Exception as e: call.error = e

proc perform*(once: var Once, fn: proc () {.nimcall, gcsafe.}, timeout: Timeout = forever) =
  ## Calls fn if this is the first call for this once; a caller that comes meanwhile waits until it has returned. What
  ## it raises comes to the first caller.
  var call = OnceCall(fn: fn)
  check waits(gmx_once_do_timeout(addr once.raw, callOnce, addr call, int64(timeout)))
  if call.error != nil: raise call.error
