//! Wrong calls. Without an argument prints their names; with one makes that call. A checked build ends with a panic
//! that names it; an unchecked one ends well, but where the name begins with "always ". tests/wrong.py holds every
//! one to that.
const std = @import("std");
const gomax = @import("gomax");

/// The text of a panic is what counts here, and its stack takes a second.
pub const std_options: std.Options = .{ .allow_stack_tracing = false };

const Ints = gomax.Channel(u32);

fn waits(sema: *gomax.Semaphore) void {
    sema.acquire() catch {};
}
fn returns() void {}
fn locks(m: *gomax.Mutex, has: *gomax.Semaphore, until: *gomax.Semaphore) !void {
    try m.lock();
    try has.release();
    try until.acquire();
}

pub fn @"Mutex.unlock"() !void {
    var m: gomax.Mutex = .{};
    m.unlock();
    if (!m.tryLock()) return error.Locked;
}
pub fn @"Mutex.unlock of another"() !void {
    var m: gomax.Mutex = .{};
    var has: gomax.Semaphore = .{};
    var until: gomax.Semaphore = .{};
    var owner = try gomax.go(locks, .{ &m, &has, &until });
    try has.acquire();
    m.unlock();
    if (m.tryLock()) return error.Unlocked;
    try until.release();
    try owner.join();
}
pub fn @"RecursiveMutex.unlock"() !void {
    var m: gomax.RecursiveMutex = .{};
    m.unlock();
}
pub fn @"RwMutex.unlock"() !void {
    var m: gomax.RwMutex = .{};
    m.unlock();
}
pub fn @"RwMutex.unlockShared"() !void {
    var m: gomax.RwMutex = .{};
    m.unlockShared();
}
pub fn @"WaitGroup.done"() !void {
    var wg: gomax.WaitGroup = .{};
    wg.done();
    try wg.wait();
}
pub fn @"Conn.close twice"() !void {
    const fds = try std.Io.Threaded.pipe2(.{ .CLOEXEC = true });
    const conn: gomax.Conn = try .open(fds[0]);
    conn.close();
    conn.close();
}
pub fn @"Listener.close twice"() !void {
    const listener: gomax.Listener = try .tcp("127.0.0.1", "0", .{});
    listener.close();
    listener.close();
}
pub fn @"stopNotify of a channel without signals"() !void {
    const ch: gomax.Channel(gomax.SignalInfo) = try .init(1);
    defer ch.deinit();
    gomax.stopNotify(ch);
}
pub fn @"Channel.deinit of no channel"() !void {
    const ch: Ints = .{ .raw = null };
    ch.deinit();
}
pub fn @"Channel.deinit while a goroutine waits there"() !void {
    const ch = try Ints.init(0);
    var waiter = try gomax.go(Ints.recv, .{ch});
    while ((try ch.waiters()).receivers == 0) try gomax.yield();
    ch.deinit();
    try ch.send(1);
    _ = try waiter.join();
}
pub fn @"Token.deinit twice"() !void {
    const token: gomax.Token = try .init(null, null);
    token.deinit();
    token.deinit();
}
pub fn @"Token.cancel of one that ended"() !void {
    const token: gomax.Token = try .init(null, null);
    token.deinit();
    token.cancel();
}
pub fn @"Token.Previous.restore of one that ended"() !void {
    const previous: gomax.Token.Previous = .{ .raw = 12345 };
    previous.restore();
}
pub fn @"Shield.end"() !void {
    const shielded: gomax.Shield = .{};
    shielded.end();
}
pub fn @"Timer.deinit twice"() !void {
    const timer = try gomax.Timer.init(null);
    const ch = try timer.ch.ref();
    timer.deinit();
    (gomax.Timer{ .raw = timer.raw, .ch = ch }).deinit();
}
pub fn @"Task.deinit of a copy of one that was joined"() !void {
    var task = try gomax.goWith(.{ .allocator = std.heap.c_allocator }, returns, .{});
    var copy = task;
    try task.join();
    copy.deinit();
}
pub fn @"Task.deinit of a copy of one that was given up"() !void {
    const Outlives = struct { // the goroutine may come to it after this frame is gone
        var sema: gomax.Semaphore = .{};
    };
    var task = try gomax.go(waits, .{&Outlives.sema});
    var copy = task;
    task.deinit();
    defer Outlives.sema.release() catch {};
    const cell = copy.cell.?;
    copy.deinit();
    if (cell.refs.load(.monotonic) != 1) return error.TheGoroutineHasLostItsCell;
}
pub fn @"BlockingClass.deinit twice"() !void {
    const class: gomax.BlockingClass = try .init(1, null);
    class.deinit();
    class.deinit();
}
pub fn @"World.start"() !void {
    const world: gomax.World = .{};
    world.start();
}
pub fn @"Pin.unpin"() !void {
    const pinned: gomax.Pin = .{ .p = 0 };
    pinned.unpin();
}
pub fn @"Attached.detach"() !void {
    const here: gomax.Attached = .{};
    here.detach();
}
pub fn @"Syscall.exit"() !void {
    const call: gomax.Syscall = .{};
    call.exit();
}
pub fn @"OsThread.unlock"() !void {
    const tied: gomax.OsThread = .{};
    tied.unlock();
}
pub fn @"PerG.deinit twice"() !void {
    const key = try gomax.PerG(u32).init(null);
    key.deinit();
    key.deinit();
}
pub fn @"PerP.deinit twice"() !void {
    const key = try gomax.PerP(u32).init();
    key.deinit();
    key.deinit();
}

// ---- a scope whose goroutines would go on without its frame

const Scope = gomax.Scope(error{});

fn withOne(scope: *Scope) !void {
    try scope.go(gomax.sleep, .{3600 * gomax.ns_per_s});
}
fn pinnedBody(scope: *Scope) !void {
    try withOne(scope);
    _ = try gomax.pin();
}
pub fn @"always Scope.deinit, pinned"() !void {
    var scope: Scope = try .init(null);
    try withOne(&scope);
    _ = try gomax.pin();
    scope.deinit();
}
pub fn @"always Scope.deinit, in a syscall"() !void {
    var scope: Scope = try .init(null);
    try withOne(&scope);
    _ = try gomax.enterSyscall();
    scope.deinit();
}
pub fn @"always Scope.deinit, in a stopped world"() !void {
    var scope: Scope = try .init(null);
    try withOne(&scope);
    _ = try gomax.stopTheWorld(null);
    scope.deinit();
}
fn deinits(scope: *Scope) gomax.Error!void {
    scope.deinit();
}
pub fn @"always Scope.deinit, in a goroutine of it"() !void {
    var scope: Scope = try .init(null);
    try scope.go(deinits, .{&scope});
    try scope.wait();
}
pub fn @"always Scope.run, pinned"() !void {
    try Scope.run(null, pinnedBody, .{});
}

fn yieldsOnce(out: *gomax.Generator(u32)) !void {
    try out.yield(1);
}
pub fn @"always Generator.deinit, pinned"() !void {
    const generator = try gomax.Generator(u32).init(.{}, yieldsOnce, .{});
    _ = try generator.next();
    _ = try gomax.pin();
    generator.deinit();
}

// ---- objects that are undefined, as `deinit` leaves them; checked builds only

/// Something that does not hang where nothing is checked.
fn onlyChecked() bool {
    return @import("builtin").mode.runtimeSafety();
}
pub fn @"Scope.deinit twice"() !void {
    if (!onlyChecked()) return;
    var scope: Scope = try .init(null);
    scope.deinit();
    scope.deinit();
}
pub fn @"Scope.go of an undefined scope"() !void {
    if (!onlyChecked()) return;
    var scope: Scope = undefined;
    try scope.go(returns, .{});
}
pub fn @"Mutex.lock of an undefined mutex"() !void {
    if (!onlyChecked()) return;
    var m: gomax.Mutex = undefined;
    try m.lock();
}
pub fn @"Semaphore.acquire of an undefined semaphore"() !void {
    if (!onlyChecked()) return;
    var sema: gomax.Semaphore = undefined;
    try sema.acquire();
}
pub fn @"WaitGroup.wait of an undefined group"() !void {
    if (!onlyChecked()) return;
    var wg: gomax.WaitGroup = undefined;
    try wg.wait();
}
pub fn @"Once.do of an undefined once"() !void {
    if (!onlyChecked()) return;
    var once: gomax.Once = undefined;
    try once.do(returns, .{});
}
pub fn @"Channel.recv of an undefined channel"() !void {
    if (!onlyChecked()) return;
    var ch: Ints = undefined;
    _ = &ch; // a variable is filled, a constant is whatever the compiler likes
    _ = try ch.recv();
}
pub fn @"Channel.onRecv of an undefined channel"() !void {
    if (!onlyChecked()) return;
    var ch: Ints = undefined;
    _ = &ch; // a variable is filled, a constant is whatever the compiler likes
    _ = try gomax.select(.{ .ch = ch.onRecv() });
}
pub fn @"Task.join of an undefined task"() !void {
    if (!onlyChecked()) return;
    var task: gomax.Task(void) = undefined;
    try task.join();
}

const calls = @This(); // the public functions but main

pub fn main(init: std.process.Init) !void {
    const args = try init.minimal.args.toSlice(init.arena.allocator());
    inline for (comptime std.meta.declarations(calls)) |name| {
        if (comptime std.mem.eql(u8, name, "main") or std.mem.eql(u8, name, "std_options")) continue;
        if (args.len < 2) {
            _ = std.c.printf("%s\n", name.ptr);
        } else if (std.mem.eql(u8, args[1], name)) {
            try gomax.run(@field(calls, name), .{});
        }
    }
}
