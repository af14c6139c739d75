//! Locks and counts. All of them are ready as `.{}`, need no end, and may be used by Gs and by plain threads. Do not
//! copy or move one that is in use.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const boxes = @import("box.zig");
const Allocator = std.mem.Allocator;
const Error = status.Error;

fn waited(s: c.Status) Error!void {
    return status.check(s);
}

fn tried(s: c.Status) bool {
    return s == c.GMX_OK;
}

/// A mutex knows its owner: `error.Deadlock` for a second lock by the same G.
pub const Mutex = struct {
    raw: c.gmx_mutex = .{},

    pub fn lock(m: *Mutex) Error!void {
        status.defined("Mutex.lock", m);
        return waited(c.gmx_mutex_lock(&m.raw));
    }
    pub fn lockTimeout(m: *Mutex, ns: ?i64) Error!void {
        status.defined("Mutex.lockTimeout", m);
        return waited(c.gmx_mutex_lock_timeout(&m.raw, status.limit(ns)));
    }
    pub fn tryLock(m: *Mutex) bool {
        status.defined("Mutex.tryLock", m);
        return tried(c.gmx_mutex_try_lock(&m.raw));
    }
    /// For the owner. The call of another, or for a free mutex, is wrong, and has no effect where calls are not
    /// checked.
    pub fn unlock(m: *Mutex) void {
        status.defined("Mutex.unlock", m);
        status.must("Mutex.unlock", c.gmx_mutex_unlock(&m.raw));
    }
    /// How many wait for it.
    pub fn waiters(m: *const Mutex) u32 {
        return c.gmx_mutex_waiters(&m.raw);
    }
};

/// As `Mutex`, for an owner that may lock it again, and then unlocks it as often.
pub const RecursiveMutex = struct {
    raw: c.gmx_rmutex = .{},

    pub fn lock(m: *RecursiveMutex) Error!void {
        return m.lockTimeout(null);
    }
    pub fn lockTimeout(m: *RecursiveMutex, ns: ?i64) Error!void {
        status.defined("RecursiveMutex.lockTimeout", m);
        return waited(c.gmx_rmutex_lock(&m.raw, status.limit(ns)));
    }
    pub fn tryLock(m: *RecursiveMutex) bool {
        status.defined("RecursiveMutex.tryLock", m);
        return tried(c.gmx_rmutex_try_lock(&m.raw));
    }
    pub fn unlock(m: *RecursiveMutex) void {
        status.defined("RecursiveMutex.unlock", m);
        status.must("RecursiveMutex.unlock", c.gmx_rmutex_unlock(&m.raw));
    }
    /// How many wait for it.
    pub fn waiters(m: *const RecursiveMutex) u32 {
        return c.gmx_rmutex_waiters(&m.raw);
    }
};

/// Waits until `wakeAddress`, if the word is `expected`: what `std.Io.futexWait` is. It may come back without a
/// reason: look at the word again, in a loop. Words of 1, 2, 4 or 8 bytes.
pub fn waitOnAddress(comptime T: type, word: *const T, expected: T) Error!void {
    return waitOnAddressTimeout(T, word, expected, null);
}
pub fn waitOnAddressTimeout(comptime T: type, word: *const T, expected: T, ns: ?i64) Error!void {
    const s = c.gmx_wait_on_address(word, &expected, @sizeOf(T), status.limit(ns));
    return if (s == c.GMX_EAGAIN) {} else waited(s); // it differs
}

/// Wakes those that wait for the word, at most `n`. Change it before. How many were woken.
pub fn wakeAddress(word: *const anyopaque, n: u32) Error!u31 {
    return status.count(c.gmx_wake_address(word, n));
}

pub const RwMutex = struct {
    raw: c.gmx_rwmutex = .{},

    pub fn lock(m: *RwMutex) Error!void {
        status.defined("RwMutex.lock", m);
        return waited(c.gmx_rwmutex_lock(&m.raw));
    }
    pub fn lockTimeout(m: *RwMutex, ns: ?i64) Error!void {
        status.defined("RwMutex.lockTimeout", m);
        return waited(c.gmx_rwmutex_lock_timeout(&m.raw, status.limit(ns)));
    }
    pub fn tryLock(m: *RwMutex) bool {
        status.defined("RwMutex.tryLock", m);
        return tried(c.gmx_rwmutex_try_lock(&m.raw));
    }
    pub fn unlock(m: *RwMutex) void {
        status.defined("RwMutex.unlock", m);
        status.must("RwMutex.unlock", c.gmx_rwmutex_unlock(&m.raw));
    }
    pub fn lockShared(m: *RwMutex) Error!void {
        status.defined("RwMutex.lockShared", m);
        return waited(c.gmx_rwmutex_rlock(&m.raw));
    }
    pub fn lockSharedTimeout(m: *RwMutex, ns: ?i64) Error!void {
        status.defined("RwMutex.lockSharedTimeout", m);
        return waited(c.gmx_rwmutex_rlock_timeout(&m.raw, status.limit(ns)));
    }
    pub fn tryLockShared(m: *RwMutex) bool {
        status.defined("RwMutex.tryLockShared", m);
        return tried(c.gmx_rwmutex_try_rlock(&m.raw));
    }
    pub fn unlockShared(m: *RwMutex) void {
        status.defined("RwMutex.unlockShared", m);
        status.must("RwMutex.unlockShared", c.gmx_rwmutex_runlock(&m.raw));
    }
    /// How many wait for it, to read or to write.
    pub fn waiters(m: *const RwMutex) u32 {
        return c.gmx_rwmutex_waiters(&m.raw);
    }
};

pub const Condition = struct {
    raw: c.gmx_cond = .{},

    /// The caller has the mutex before and after, whatever comes of it. Look again in a loop.
    pub fn wait(cond: *Condition, mutex: *Mutex) Error!void {
        status.defined("Condition.wait", cond);
        return waited(c.gmx_cond_wait(&cond.raw, &mutex.raw));
    }
    pub fn waitTimeout(cond: *Condition, mutex: *Mutex, ns: ?i64) Error!void {
        status.defined("Condition.waitTimeout", cond);
        return waited(c.gmx_cond_wait_timeout(&cond.raw, &mutex.raw, status.limit(ns)));
    }
    pub fn signal(cond: *Condition) void {
        status.defined("Condition.signal", cond);
        status.must("Condition.signal", c.gmx_cond_signal(&cond.raw));
    }
    pub fn broadcast(cond: *Condition) void {
        status.defined("Condition.broadcast", cond);
        status.must("Condition.broadcast", c.gmx_cond_broadcast(&cond.raw));
    }
    /// How many wait for a signal; with the mutex locked none is missed.
    pub fn waiters(cond: *const Condition) u32 {
        return c.gmx_cond_waiters(&cond.raw);
    }
};

pub const WaitGroup = struct {
    raw: c.gmx_waitgroup = .{},

    /// `error.Invalid`: the count would be below zero; it is as it was.
    pub fn add(wg: *WaitGroup, n: i32) Error!void {
        status.defined("WaitGroup.add", wg);
        return status.check(c.gmx_waitgroup_add(&wg.raw, n));
    }
    /// Takes one from the count. It is a wrong call where the count is 0.
    pub fn done(wg: *WaitGroup) void {
        status.defined("WaitGroup.done", wg);
        status.must("WaitGroup.done", c.gmx_waitgroup_done(&wg.raw));
    }
    pub fn wait(wg: *WaitGroup) Error!void {
        status.defined("WaitGroup.wait", wg);
        return waited(c.gmx_waitgroup_wait(&wg.raw));
    }
    pub fn waitTimeout(wg: *WaitGroup, ns: ?i64) Error!void {
        status.defined("WaitGroup.waitTimeout", wg);
        return waited(c.gmx_waitgroup_wait_timeout(&wg.raw, status.limit(ns)));
    }

    /// Starts a G that counts until it has ended. The function returns nothing: a `Scope` is for errors.
    pub fn go(wg: *WaitGroup, comptime func: anytype, args: boxes.Args(func)) Error!void {
        return wg.goAlloc(boxes.default_allocator, func, args);
    }
    /// As `go`; the arguments are in memory of `allocator`: see `Options.allocator`.
    pub fn goAlloc(wg: *WaitGroup, allocator: Allocator, comptime func: anytype, args: boxes.Args(func)) Error!void {
        if (boxes.Return(func) != void) @compileError("the result would be lost: use gomax.go, or a Scope for errors");
        status.defined("WaitGroup.go", wg);
        _ = try boxes.Loose(func).start(allocator, args, &wg.raw, c.gmx_waitgroup_go);
    }
};

/// Where n Gs and threads meet, again and again. A wait that fails is no arrival.
pub const Barrier = struct {
    raw: c.gmx_barrier,

    pub fn init(n: u32) Barrier {
        return .{ .raw = .{ .n = n } };
    }
    /// Waits until n have arrived. True for one of them in each round.
    pub fn wait(b: *Barrier) Error!bool {
        status.defined("Barrier.wait", b);
        var serial = false;
        try waited(c.gmx_barrier_wait(&b.raw, &serial));
        return serial;
    }
    pub fn waitTimeout(b: *Barrier, ns: ?i64) Error!bool {
        status.defined("Barrier.waitTimeout", b);
        var serial = false;
        try waited(c.gmx_barrier_wait_timeout(&b.raw, status.limit(ns), &serial));
        return serial;
    }
    /// How many have arrived in this round.
    pub fn waiters(b: *const Barrier) u32 {
        return c.gmx_barrier_waiters(&b.raw);
    }
};

pub const Semaphore = struct {
    count: u32 = 0,

    pub fn acquire(s: *Semaphore) Error!void {
        status.defined("Semaphore.acquire", s);
        return waited(c.gmx_sema_acquire(&s.count));
    }
    pub fn acquireTimeout(s: *Semaphore, ns: ?i64) Error!void {
        status.defined("Semaphore.acquireTimeout", s);
        return waited(c.gmx_sema_acquire_timeout(&s.count, status.limit(ns)));
    }
    pub fn tryAcquire(s: *Semaphore) bool {
        status.defined("Semaphore.tryAcquire", s);
        return tried(c.gmx_sema_try_acquire(&s.count));
    }
    pub fn release(s: *Semaphore) Error!void {
        status.defined("Semaphore.release", s);
        return status.check(c.gmx_sema_release(&s.count));
    }
    /// As `release`; the first waiter has the permit then, and runs at once in the caller's place.
    pub fn releaseHandoff(s: *Semaphore) Error!void {
        status.defined("Semaphore.releaseHandoff", s);
        return status.check(c.gmx_sema_release_handoff(&s.count));
    }
    /// How many wait for it.
    pub fn waiters(s: *const Semaphore) u32 {
        return c.gmx_sema_waiters(&s.count);
    }
};
