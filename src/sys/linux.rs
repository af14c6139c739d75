//! Linux: time, futexes, files. The contract is in [`crate::sys`].

use super::array::{Array, Full};
use super::without::{is_sealed, may_open};
use super::{c, held};
use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use core::{mem, ptr, slice};

const SECOND: i64 = 1_000_000_000;

/// Restores `errno` when it goes out of scope. It stays within one function that does not switch stacks, so the address
/// is always the same thread's.
pub struct KeepErrno {
    at: *mut c_int,
    value: c_int,
}

impl KeepErrno {
    #[inline]
    #[allow(clippy::new_without_default, reason = "it is no value, but an act")]
    pub fn new() -> Self {
        let at = c::at_errno();
        // SAFETY: the address is valid on this thread for as long as it runs.
        KeepErrno { at, value: unsafe { *at } }
    }

    /// The error of the last failing call.
    #[inline]
    pub fn now(&self) -> i32 {
        // SAFETY: as in `new`.
        unsafe { *self.at }
    }
}

impl Drop for KeepErrno {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: as in `new`.
        unsafe { *self.at = self.value }
    }
}

fn clock(id: libc::clockid_t) -> i64 {
    let mut t = c::zeros();
    // SAFETY: `t` is writable. Both clocks exist on every Linux, so this does not fail.
    unsafe { libc::clock_gettime(id, &mut t) };
    t.tv_sec * SECOND + t.tv_nsec
}

// A deadline before the start of the clock counts as its start: the kernel takes no negative times.
fn timespec(at: i64) -> libc::timespec {
    let at = at.max(0);
    libc::timespec { tv_sec: at / SECOND, tv_nsec: at % SECOND }
}

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn now() -> i64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970, by a clock that may be set.
pub fn wall_clock() -> i64 {
    clock(libc::CLOCK_REALTIME)
}

/// Nanoseconds of processor time that all threads of this process have used.
pub fn process_cpu_time() -> i64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// A number that is not known outside of this process, from the random bytes that the kernel gives each program at its
/// start. It takes no system call, so no sandbox forbids it. The bytes themselves guard stacks and pointers, so they
/// are mixed until they cannot be computed from the number.
pub fn random_seed() -> u64 {
    let at = c::auxval(libc::AT_RANDOM) as *const [u64; 2];
    // SAFETY: null, or 16 bytes that live as long as the process.
    let [a, b] = if at.is_null() { [now() as u64, 0] } else { unsafe { at.read_unaligned() } };
    let mut x = a ^ b.rotate_left(32);
    for _ in 0..2 {
        x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    x ^ x >> 32
}

/// Whether this process has more rights than its starter: set-user-ID, file capabilities.
pub fn has_more_rights() -> bool {
    c::auxval(libc::AT_SECURE) != 0
}

/// Sleeps while `*word == expected`, until a wake or the deadline. False only if the deadline has passed; true may be a
/// spurious wake-up, so the caller checks the word again.
pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<i64>) -> bool {
    held::nothing_for("a wait");
    wait(word, expected, deadline)
}

/// As [`futex_wait`], for a lock (held.rs).
pub fn lock_wait(word: &AtomicU32, expected: u32) {
    wait(word, expected, None);
}

fn wait(word: &AtomicU32, expected: u32, deadline: Option<i64>) -> bool {
    let errno = KeepErrno::new();
    let until;
    let timeout = match deadline {
        Some(at) => {
            until = timespec(at);
            &raw const until
        }
        None => ptr::null(),
    };
    // SAFETY: the word lives for the call; FUTEX_WAIT_BITSET takes the timeout as an absolute monotonic time.
    let r = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timeout,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    !(r == -1 && errno.now() == libc::ETIMEDOUT)
}

/// Turned on, timed waits of this thread end at their time, until it is turned off. Otherwise the system may end them
/// up to 50 us later, to wake several threads at once. (It is not on all the time, because threads and processes that
/// the host makes from here would inherit it.) In a sealed process it stays as it was set before.
pub fn wake_on_time(on: bool) {
    held::nothing_for("prctl");
    if is_sealed() {
        return;
    }
    let _errno = KeepErrno::new();
    // SAFETY: takes no memory of ours. 0 is the thread's first setting.
    unsafe { prctl(libc::PR_SET_TIMERSLACK, usize::from(on)) };
}

/// Wakes up to `n` sleepers on `word`, and returns their number. The word is only a name and may be gone: a sleeper on
/// another word at that address takes the wake as a spurious wake-up.
pub fn futex_wake(word: *const AtomicU32, n: i32) -> i32 {
    held::nothing_for("a wake");
    wake(word, n)
}

/// As [`futex_wake`] of one, for a lock (held.rs).
pub fn lock_wake(word: *const AtomicU32) {
    wake(word, 1);
}

fn wake(word: *const AtomicU32, n: i32) -> i32 {
    let _errno = KeepErrno::new();
    // SAFETY: a private FUTEX_WAKE never reads the memory at the address.
    let r = unsafe {
        let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        libc::syscall(libc::SYS_futex, word.addr(), wake, n, ptr::null::<libc::timespec>(), ptr::null::<u32>(), 0)
    };
    (r as i32).max(0)
}

static HEAVY: AtomicBool = AtomicBool::new(false);
/// The system provided [`asymmetric_fence_heavy`] and refused it later. Never false again, also not in a child of fork.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether threads rely on [`asymmetric_fence_heavy`]. It becomes true only while no other thread is in the library. It
/// becomes false at any time, when the system refuses the call.
#[inline(always)]
pub fn has_asymmetric_fence() -> bool {
    HEAVY.load(Ordering::Relaxed)
}

/// Registers for [`asymmetric_fence_heavy`] with the system (a child of fork registers again), unless the caller does
/// not want it.
pub fn register_membarrier(wanted: bool) {
    let lent = wanted && !fence_is_lost() && membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    HEAVY.store(lent, Ordering::Relaxed);
}

/// Whether the system no longer allows [`asymmetric_fence_heavy`]. Exact after `sync::asymmetric_fence_heavy`.
pub fn fence_is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Whether the lost fence is still to be reported. True once in the life of the process.
#[cold]
pub fn first_to_tell_of_it() -> bool {
    static TOLD: AtomicBool = AtomicBool::new(false);
    LOST.load(Ordering::Relaxed) && !TOLD.swap(true, Ordering::Relaxed)
}

/// A full fence on every running thread of this process. If the system refuses it from now on, threads make fences of
/// their own; `M::fenced` says which of them do so already.
pub fn asymmetric_fence_heavy() {
    held::nothing_for("a fence on all CPUs");
    // Acquire: pairs with the Release below, so that a thread that sees no HEAVY sees LOST.
    if HEAVY.load(Ordering::Acquire) && !membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        LOST.store(true, Ordering::Relaxed);
        HEAVY.store(false, Ordering::Release);
    }
    // The caller's own half, if no call was made.
    core::sync::atomic::fence(Ordering::SeqCst);
}

fn membarrier(command: c_int) -> bool {
    let _errno = KeepErrno::new();
    // SAFETY: takes no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Calls prctl with one argument. The C library passes on all four, and the system refuses some calls unless the others
/// are 0. A literal would be an int, whose upper half need not be zero.
///
/// # Safety
/// As the option says.
pub(super) unsafe fn prctl(option: c_int, arg: usize) -> c_int {
    const NONE: libc::c_ulong = 0;
    // SAFETY: the caller's.
    unsafe { libc::prctl(option, arg as libc::c_ulong, NONE, NONE, NONE) }
}

/// Whether the program was started by a dynamic loader. In a statically linked program `dlopen` would bring in a second
/// C library.
pub fn has_loader() -> bool {
    let at = c::auxval(libc::AT_PHDR) as *const libc::Elf64_Phdr;
    if at.is_null() {
        return false;
    }
    // SAFETY: the program's own headers, which the kernel has mapped and counted.
    let headers = unsafe { slice::from_raw_parts(at, c::auxval(libc::AT_PHNUM)) };
    headers.iter().any(|h| h.p_type == libc::PT_INTERP)
}

/// The bounds of the calling thread's own stack, without its guard: the lowest usable byte, and one past the highest.
/// The C library may allocate for it, and reads /proc for the first thread of the process.
pub fn thread_stack() -> Option<(*mut u8, *mut u8)> {
    // The C library reads a file for the main thread.
    if !may_open() && gettid() == super::main_tid() {
        return None;
    }
    let _errno = KeepErrno::new();
    let mut attr = mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut lo, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the thread runs; the attributes are writable.
    if unsafe { libc::pthread_getattr_np(super::this_thread() as libc::pthread_t, attr.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the attributes were just made; the other two are writable.
    let ok = unsafe { libc::pthread_attr_getstack(attr.as_ptr(), &mut lo, &mut size) } == 0;
    // SAFETY: made above, and not used again.
    unsafe { libc::pthread_attr_destroy(attr.as_mut_ptr()) };
    ok.then(|| (lo.cast(), lo.cast::<u8>().wrapping_add(size)))
}

/// The machine's memory, in bytes.
pub fn physical_memory() -> u64 {
    let (pages, size) = (c::sysconf(libc::_SC_PHYS_PAGES), c::sysconf(libc::_SC_PAGESIZE));
    (pages.max(0) as u64).saturating_mul(size.max(0) as u64)
}

/// Ends the process without running any more of its code.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

pub fn gettid() -> i32 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

pub fn yield_thread() {
    held::nothing_for("a yield");
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::sched_yield() };
}

/// Sleeps until the deadline, even if signals come.
pub fn sleep_until(deadline: i64) {
    held::nothing_for("a sleep");
    let until = timespec(deadline);
    // SAFETY: `until` is readable; nothing is written as the time is absolute. Returns the error, leaves errno alone.
    while unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &until, ptr::null_mut()) }
        == libc::EINTR
    {}
}

/// The number of threads of this process, from /proc. None if there is no /proc. Allocates nothing.
pub fn thread_count() -> Option<usize> {
    held::nothing_for("a count of threads");
    if !may_open() {
        return None;
    }
    let _errno = KeepErrno::new();
    // SAFETY: a constant path.
    let fd =
        unsafe { libc::open(c"/proc/self/task".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC, 0) };
    if fd < 0 {
        return None;
    }
    #[repr(C, align(8))]
    struct Buf([u8; 4096]);
    let mut buf = Buf([0; 4096]);
    let mut count = 0;
    let complete = loop {
        // SAFETY: the buffer is as long as said.
        let n = unsafe { libc::syscall(libc::SYS_getdents64, fd, buf.0.as_mut_ptr(), buf.0.len()) };
        if n <= 0 {
            break n == 0;
        }
        let mut at = 0;
        while at < n as usize {
            // struct linux_dirent64: 8 bytes inode, 8 bytes offset, 2 bytes length of the record, type, name.
            let len = u16::from_ne_bytes([buf.0[at + 16], buf.0[at + 17]]) as usize;
            if buf.0[at + 19] != b'.' {
                count += 1;
            }
            at += len.max(1);
        }
    };
    c::close(fd);
    complete.then_some(count)
}

/// The word at an address of this process. None if it cannot be read. For reports: the memory is the host's, and may be
/// gone.
pub fn read_word(addr: u64) -> Option<u64> {
    let _errno = KeepErrno::new();
    let mut word = 0u64;
    let here = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: 8 };
    let there = libc::iovec { iov_base: addr as *mut c_void, iov_len: 8 };
    // The process has the number of its main thread.
    let me = super::main_tid();
    // SAFETY: `here` is a word of ours; the system checks `there`.
    let n = unsafe { libc::process_vm_readv(me, &here, 1, &there, 1, 0) };
    (n == 8).then_some(word)
}

/// The place of a function in a file.
pub struct Place {
    /// The function, if the loader knows its name.
    pub name: Option<&'static CStr>,
    pub file: &'static CStr,
    pub offset: usize,
}

/// The place of a function. None if it is in no file. Waits for the loader.
pub fn place_of(f: usize) -> Option<Place> {
    let mut info = c::zeros::<libc::Dl_info>();
    // SAFETY: `info` is writable; any address may be asked about.
    if unsafe { libc::dladdr(f as *const c_void, &mut info) } == 0 || info.dli_fname.is_null() {
        return None;
    }
    // The nearest symbol before it may belong to another function: static functions have none.
    let own = info.dli_saddr as usize == f && !info.dli_sname.is_null();
    // SAFETY: names are those of a loaded file, which stays, as it has running code or a G's function; they are
    // terminated.
    let text = |p| unsafe { CStr::from_ptr(p) };
    Some(Place {
        name: own.then(|| text(info.dli_sname)),
        file: text(info.dli_fname),
        offset: f - info.dli_fbase as usize,
    })
}

/// Writes all bytes, and waits where a non-blocking descriptor would not. Async-signal-safe.
pub fn write_all(fd: i32, mut bytes: &[u8]) -> Result<(), i32> {
    held::nothing_for("a write");
    let errno = KeepErrno::new();
    while !bytes.is_empty() {
        // SAFETY: the slice is readable.
        let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match n {
            1.. => bytes = &bytes[n as usize..],
            0 => return Err(libc::EIO),
            _ => match errno.now() {
                libc::EINTR => {}
                libc::EAGAIN => {
                    let mut p = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
                    // SAFETY: one pollfd.
                    unsafe { libc::poll(&mut p, 1, -1) };
                }
                e => return Err(e),
            },
        }
    }
    Ok(())
}

/// As [`write_all`], without SIGPIPE if a pipe or a socket has no reader.
pub fn write_quietly(fd: i32, bytes: &[u8]) -> Result<(), i32> {
    match super::io::without_signal_in_parts(|| write_all(fd, bytes).map_or_else(|errno| -(errno as isize), |()| 0)) {
        0 => Ok(()),
        errno => Err(-errno as i32),
    }
}

/// Has the process call `f` when it ends by itself. False if there is no memory.
pub fn at_exit(f: extern "C" fn()) -> bool {
    // SAFETY: the function is never unloaded.
    unsafe { libc::atexit(f) == 0 }
}

/// Adds what /proc/self/maps says; nothing if it cannot be read.
pub fn read_maps(to: &mut Array<u8>) -> Result<(), Full> {
    held::nothing_for("a look at /proc/self/maps");
    if !may_open() {
        return Ok(());
    }
    let _errno = KeepErrno::new();
    // SAFETY: a constant path.
    let fd = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0) };
    if fd < 0 {
        return Ok(());
    }
    let mut room = [0; 4096];
    let read = loop {
        // SAFETY: the buffer is as long as said.
        match unsafe { libc::read(fd, room.as_mut_ptr().cast(), room.len()) } {
            n @ 1.. => {
                if let Err(full) = to.extend(&room[..n as usize]) {
                    break Err(full);
                }
            }
            _ => break Ok(()),
        }
    };
    c::close(fd);
    read
}

pub fn page_size() -> usize {
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: each racing thread stores the same number.
    match SIZE.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: takes a constant.
            let n = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            SIZE.store(n, Ordering::Relaxed);
            n
        }
        n => n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const MS: i64 = 1_000_000;

    fn errno() -> *mut c_int {
        // SAFETY: gives an address.
        unsafe { libc::__errno_location() }
    }

    #[test]
    fn futex_times_out_at_the_deadline_and_keeps_errno() {
        let word = AtomicU32::new(1);
        // SAFETY: this thread's.
        unsafe { *errno() = 77 };
        let t = now();
        assert!(!futex_wait(&word, 1, Some(t + 5 * MS)));
        assert!(now() >= t + 5 * MS);
        assert!(!futex_wait(&word, 1, Some(-1)));
        assert!(futex_wait(&word, 0, None), "the word differs");
        assert_eq!(futex_wake(&word, 1), 0);
        assert_eq!(futex_wake(core::ptr::without_provenance(8), 1), 0, "the word is a name only");
        // SAFETY: this thread's.
        assert_eq!(unsafe { *errno() }, 77);
    }

    #[test]
    fn futex_wakes() {
        let word = Arc::new(AtomicU32::new(0));
        let w = word.clone();
        let t = std::thread::spawn(move || {
            while w.load(Ordering::Acquire) == 0 {
                assert!(futex_wait(&w, 0, None));
            }
        });
        sleep_until(now() + 5 * MS);
        word.store(1, Ordering::Release);
        futex_wake(&*word, 1);
        t.join().unwrap();
    }

    #[test]
    fn counts_threads() {
        assert!(thread_count().unwrap() >= 1);
    }

    #[test]
    fn writes_all_to_a_pipe_that_does_not_block() {
        let mut fds = [0; 2];
        // SAFETY: room for two.
        assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) }, 0);
        let reader = std::thread::spawn(move || {
            let (mut total, mut buf) = (0, [0u8; 4096]);
            while total < 1 << 20 {
                // SAFETY: the buffer is as long as said.
                match unsafe { libc::read(fds[0], buf.as_mut_ptr().cast(), buf.len()) } {
                    -1 => yield_thread(),
                    n => total += n as usize,
                }
            }
            total
        });
        assert_eq!(write_all(fds[1], &vec![7; 1 << 20]), Ok(()));
        assert_eq!(reader.join().unwrap(), 1 << 20);
        assert_eq!(write_all(-1, b"x"), Err(libc::EBADF));
        fds.into_iter().for_each(c::close);
    }

    #[test]
    fn clocks_advance() {
        let (a, b) = (now(), process_cpu_time());
        sleep_until(a + MS);
        assert!(now() >= a + MS && process_cpu_time() >= b && b > 0);
        sleep_until(-5);
        assert!(page_size() >= 4096);
    }
}
