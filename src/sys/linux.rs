//! Linux: time, futexes, threads. The contract is in [`crate::sys`].

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use core::{mem, ptr};

const SECOND: i64 = 1_000_000_000;

/// Puts `errno` back when it goes out of scope. It stays within one function that does not switch stacks, so the
/// address is that of one thread.
pub struct KeepErrno {
    at: *mut c_int,
    value: c_int,
}

impl KeepErrno {
    #[inline]
    #[allow(clippy::new_without_default, reason = "it is no value, but an act")]
    pub fn new() -> Self {
        // SAFETY: the address is valid on this thread for as long as it runs.
        unsafe {
            let at = libc::__errno_location();
            KeepErrno { at, value: *at }
        }
    }

    /// What the last failing call said.
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
    // SAFETY: all zeroes is a timespec.
    let mut t: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: `t` is writable. Both clocks that are asked for exist on every Linux, so this does not fail.
    unsafe { libc::clock_gettime(id, &mut t) };
    t.tv_sec * SECOND + t.tv_nsec
}

// A deadline before the start of the clock is as good as its start; the kernel takes no negative times.
fn timespec(at: i64) -> libc::timespec {
    let at = at.max(0);
    libc::timespec { tv_sec: at / SECOND, tv_nsec: at % SECOND }
}

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn now() -> i64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of processor time that all threads of this process have used.
pub fn process_cpu_time() -> i64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// A number that nobody outside of this process knows: from the random bytes that the kernel gives each program at its
/// start. No call of the system, so no sandbox forbids it. The bytes themselves guard stacks and pointers, so they are
/// mixed until they cannot be told from the number.
pub fn random_seed() -> u64 {
    // SAFETY: reads the auxiliary vector.
    let at = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const [u64; 2];
    // SAFETY: null, or 16 bytes that live as long as the process.
    let [a, b] = if at.is_null() { [now() as u64, 0] } else { unsafe { at.read_unaligned() } };
    let mut x = a ^ b.rotate_left(32);
    for _ in 0..2 {
        x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    x ^ x >> 32
}

/// Sleeps while `*word == expected`, until a wake or the deadline. False only if the deadline has passed; true may be
/// spurious, so the caller looks at the word again.
pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<i64>) -> bool {
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

/// Until `on` is false again, timed waits of this thread end at their time. Otherwise the system lets them end up to 50 us
/// later, to wake for several at once. (Not for good: threads and processes that the host makes from here would inherit it.)
pub fn wake_on_time(on: bool) {
    let _errno = KeepErrno::new();
    // SAFETY: takes no memory of ours. 0 is what the thread had at first.
    unsafe { prctl(libc::PR_SET_TIMERSLACK, usize::from(on)) };
}

/// Wakes up to `n` sleepers on `word` and says how many. The word is a name only: it may be gone, and a sleeper on
/// whatever lies there now takes the wake as a spurious one.
pub fn futex_wake(word: *const AtomicU32, n: i32) -> i32 {
    let _errno = KeepErrno::new();
    // SAFETY: a private FUTEX_WAKE never reads the memory at the address.
    let r = unsafe {
        let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        libc::syscall(libc::SYS_futex, word.addr(), wake, n, ptr::null::<libc::timespec>(), ptr::null::<u32>(), 0)
    };
    (r as i32).max(0)
}

static HEAVY: AtomicBool = AtomicBool::new(false);

/// Whether [`heavy_fence`] works. Changes only while no other thread is in the library.
#[inline(always)]
pub fn has_heavy_fence() -> bool {
    HEAVY.load(Ordering::Relaxed)
}

/// Asks the system for [`heavy_fence`] (a child of fork asks anew). `wanted`: or does without.
pub fn lend_heavy_fence(wanted: bool) {
    HEAVY.store(wanted && membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED), Ordering::Relaxed);
}

/// A full fence on every thread of this process that runs at the moment.
pub fn heavy_fence() {
    if !membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        // Nothing else would do, and to go on would be two owners of a P.
        let _ = write_all(2, b"libgomax: membarrier was forbidden after the start: start with GMXDEBUG=membarrier=0\n");
        std::process::abort();
    }
}

fn membarrier(command: c_int) -> bool {
    let _errno = KeepErrno::new();
    // SAFETY: takes no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// A call of prctl with one argument. The C library hands all four on, and the system refuses some calls unless the others
/// are 0; a literal would be an int, of which the upper half need not be zero.
///
/// # Safety
/// As the option says.
unsafe fn prctl(option: c_int, arg: usize) -> c_int {
    const NONE: libc::c_ulong = 0;
    // SAFETY: the caller's.
    unsafe { libc::prctl(option, arg as libc::c_ulong, NONE, NONE, NONE) }
}

pub type ThreadId = libc::pthread_t;

struct Start {
    entry: extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
    name: [u8; 16],
}

extern "C" fn start(p: *mut c_void) -> *mut c_void {
    let p: *mut Start = p.cast();
    // SAFETY: `spawn_thread` hands over a `Start` from malloc.
    let s = unsafe { p.read() };
    // SAFETY: read out, and this thread owns it.
    unsafe { libc::free(p.cast()) };
    // SAFETY: the name ends in a zero.
    unsafe { prctl(libc::PR_SET_NAME, s.name.as_ptr().addr()) };
    (s.entry)(s.arg)
}

/// The signals that a thread raises by what it does; blocking them would turn a fault into a silent kill.
const SYNCHRONOUS: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS];

/// Starts a joinable thread; its name shows in debuggers, up to 15 bytes of it. `stack_size` 0 is the system's default,
/// and what is too small is made as large as the system asks for. Fails with EAGAIN or ENOMEM where a thread cannot be had.
///
/// Not `std::thread`: that aborts the process for want of memory and lets the host's signals in.
///
/// # Safety
/// `entry(arg)` is sound on another thread.
pub unsafe fn spawn_thread(
    stack_size: usize,
    name: &str,
    entry: extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
) -> Result<ThreadId, i32> {
    let _errno = KeepErrno::new();
    // SAFETY: plain allocation; the result is checked.
    let p: *mut Start = unsafe { libc::malloc(mem::size_of::<Start>()) }.cast();
    if p.is_null() {
        return Err(libc::ENOMEM);
    }
    let mut s = Start { entry, arg, name: [0; 16] };
    let n = name.len().min(15);
    s.name[..n].copy_from_slice(&name.as_bytes()[..n]);
    // SAFETY: `p` has room for one.
    unsafe { p.write(s) };
    // SAFETY: attributes, masks and the thread are initialised before use; `p` goes to the child or is freed here.
    unsafe {
        let mut attr: libc::pthread_attr_t = mem::zeroed();
        let r = libc::pthread_attr_init(&mut attr);
        if r != 0 {
            libc::free(p.cast());
            return Err(r);
        }
        if stack_size != 0 {
            // The C library carves thread-locals out of the stack, and with AVX-512 a signal frame alone is 3 KiB.
            let least = libc::sysconf(libc::_SC_THREAD_STACK_MIN).max(libc::PTHREAD_STACK_MIN as _) as usize;
            let size = (stack_size.max(least) + static_tls(&attr)).next_multiple_of(page_size());
            libc::pthread_attr_setstacksize(&mut attr, size);
        }
        // The child inherits the mask, so it is set here and put back: not one signal gets in between.
        let mut mask: libc::sigset_t = mem::zeroed();
        let mut old: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&mut mask);
        for sig in SYNCHRONOUS {
            libc::sigdelset(&mut mask, sig);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &mask, &mut old);
        let mut t: ThreadId = mem::zeroed();
        let r = libc::pthread_create(&mut t, &attr, start, p.cast());
        libc::pthread_sigmask(libc::SIG_SETMASK, &old, ptr::null_mut());
        libc::pthread_attr_destroy(&mut attr);
        if r != 0 {
            libc::free(p.cast());
            return Err(r);
        }
        Ok(t)
    }
}

/// What the C library takes of each thread's stack for thread-locals: a host may have a lot of them.
fn static_tls(attr: &libc::pthread_attr_t) -> usize {
    type MinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> usize;
    // SAFETY: glibc's own name for it, which std uses as well; elsewhere there is none, and the stack is what it is.
    unsafe {
        let p = libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr());
        match mem::transmute::<*mut c_void, Option<MinStack>>(p) {
            Some(f) => f(attr).saturating_sub(libc::PTHREAD_STACK_MIN),
            None => 0,
        }
    }
}

/// Waits until the thread has ended. Once per [`spawn_thread`].
pub fn join_thread(t: ThreadId) {
    // SAFETY: `t` is joinable; it fails only for a thread that joins itself or was joined, which the caller excludes.
    unsafe { libc::pthread_join(t, ptr::null_mut()) };
}

/// The calling thread.
pub fn this_thread() -> ThreadId {
    // SAFETY: always succeeds.
    unsafe { libc::pthread_self() }
}

/// Lets go of the calling thread: nobody joins it.
pub fn detach_self() {
    // SAFETY: the calling thread is joinable, and its creator leaves it alone from here on.
    unsafe { libc::pthread_detach(libc::pthread_self()) };
}

/// Whether the program was started by a dynamic loader. In one that is linked statically `dlopen` would bring in a second C
/// library.
pub fn has_loader() -> bool {
    // SAFETY: reads the auxiliary vector, and the program's own headers, which the kernel has mapped.
    unsafe {
        let at = libc::getauxval(libc::AT_PHDR) as *const libc::Elf64_Phdr;
        let n = libc::getauxval(libc::AT_PHNUM) as usize;
        !at.is_null() && (0..n).any(|i| (*at.add(i)).p_type == libc::PT_INTERP)
    }
}

/// Bytes of memory that the machine has.
pub fn physical_memory() -> u64 {
    // SAFETY: plain queries.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    (pages.max(0) as u64).saturating_mul(size.max(0) as u64)
}

/// Runs `child` in each child of fork, before fork returns there. False if there is no memory for that.
pub fn at_fork(child: unsafe extern "C" fn()) -> bool {
    // SAFETY: the function is there for as long as the library, which is never unmapped.
    unsafe { libc::pthread_atfork(None, None, Some(child)) == 0 }
}

/// Ends a process without anything of it running any more.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

pub fn gettid() -> i32 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

pub fn yield_thread() {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::sched_yield() };
}

/// Sleeps until the deadline, whatever signals come.
pub fn sleep_until(deadline: i64) {
    let until = timespec(deadline);
    // SAFETY: `until` is readable; nothing is written as the time is absolute. Returns the error, leaves errno alone.
    while unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &until, ptr::null_mut()) }
        == libc::EINTR
    {}
}

/// Threads of this process, from /proc; None where there is no /proc. Allocates nothing.
pub fn thread_count() -> Option<usize> {
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
    // SAFETY: ours.
    unsafe { libc::close(fd) };
    complete.then_some(count)
}

/// Writes all of it, waiting where the descriptor does not block. Async-signal-safe.
pub fn write_all(fd: i32, mut bytes: &[u8]) -> Result<(), i32> {
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

pub fn page_size() -> usize {
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: whoever loses the race stores the same number.
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

/// A pthread key that tells the end of a thread which the library did not make.
///
/// Not `thread_local!` with a destructor: that one needs the library to stay mapped by other means and registers with the C++
/// runtime of whichever library was loaded first.
#[derive(Clone, Copy, Debug)]
pub struct ThreadExitKey(libc::pthread_key_t);

impl ThreadExitKey {
    /// `dtor` runs on each ending thread that [`ThreadExitKey::set`] something other than null, with that pointer.
    /// It stays callable for as long as the process runs or the key is not deleted.
    pub fn create(dtor: unsafe extern "C" fn(*mut c_void)) -> Result<ThreadExitKey, i32> {
        let mut key = 0;
        // SAFETY: `key` is writable; `dtor` is called with what `set` was given.
        match unsafe { libc::pthread_key_create(&mut key, Some(dtor)) } {
            0 => Ok(ThreadExitKey(key)),
            e => Err(e),
        }
    }

    /// A number for [`ThreadExitKey::of`]. Never `u32::MAX`: the system has far fewer keys.
    pub fn number(self) -> u32 {
        self.0
    }

    pub fn of(number: u32) -> ThreadExitKey {
        ThreadExitKey(number)
    }

    /// Null takes the hook of this thread away.
    #[expect(clippy::not_unsafe_ptr_arg_deref, reason = "it is kept, not followed")]
    pub fn set(self, p: *mut c_void) -> Result<(), i32> {
        // SAFETY: the key was created; the pointer is only kept.
        match unsafe { libc::pthread_setspecific(self.0, p) } {
            0 => Ok(()),
            e => Err(e),
        }
    }

    pub fn get(self) -> *mut c_void {
        // SAFETY: the key was created.
        unsafe { libc::pthread_getspecific(self.0) }
    }

    /// No hook runs after this.
    pub fn delete(self) {
        // SAFETY: the key was created; using it afterwards gives errors, no more.
        unsafe { libc::pthread_key_delete(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicBool;
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

    struct Seen {
        name: [u8; 16],
        tid: i32,
        blocked: [bool; 3],
    }

    extern "C" fn look(p: *mut c_void) -> *mut c_void {
        // SAFETY: the test waits for this thread.
        unsafe {
            let seen = &mut *p.cast::<Seen>();
            prctl(libc::PR_GET_NAME, seen.name.as_mut_ptr().expose_provenance());
            seen.tid = gettid();
            let mut mask: libc::sigset_t = mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut mask);
            seen.blocked = [libc::SIGSEGV, libc::SIGINT, libc::SIGUSR1].map(|s| libc::sigismember(&mask, s) == 1);
        }
        ptr::null_mut()
    }

    #[test]
    fn threads_have_name_and_mask() {
        for stack_size in [0, 1, 200_001] {
            let mut seen = Seen { name: [0; 16], tid: 0, blocked: [true; 3] };
            // SAFETY: `seen` outlives the thread.
            let t = unsafe { spawn_thread(stack_size, "gomax-a-long-name", look, (&raw mut seen).cast()) }.unwrap();
            join_thread(t);
            assert_eq!(&seen.name, b"gomax-a-long-na\0");
            assert_ne!(seen.tid, gettid());
            assert_eq!(seen.blocked, [false, true, true]);
        }
        // SAFETY: asks.
        unsafe {
            let mut mask: libc::sigset_t = mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut mask);
            assert_eq!(libc::sigismember(&mask, libc::SIGUSR1), 0, "the parent's mask is put back");
        }
    }

    #[test]
    fn thread_that_is_too_large_is_an_error() {
        // SAFETY: it never starts.
        assert!(unsafe { spawn_thread(1 << 46, "x", look, ptr::null_mut()) }.is_err());
    }

    #[test]
    fn counts_threads() {
        assert!(thread_count().unwrap() >= 1);
    }

    unsafe extern "C" fn gone(p: *mut c_void) {
        // SAFETY: the test's flag.
        unsafe { (*p.cast::<AtomicBool>()).store(true, Ordering::Release) }
    }

    #[test]
    fn exit_hook_runs() {
        let key = ThreadExitKey::create(gone).unwrap();
        let flag = AtomicBool::new(false);
        let at = (&raw const flag) as usize;
        let run = |take_away: bool| {
            std::thread::spawn(move || {
                key.set(at as *mut c_void).unwrap();
                assert_eq!(key.get() as usize, at);
                if take_away {
                    key.set(ptr::null_mut()).unwrap();
                }
            })
            .join()
            .unwrap();
            flag.load(Ordering::Acquire)
        };
        assert!(!run(true));
        assert!(run(false));
        key.delete();
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
        // SAFETY: ours.
        unsafe {
            libc::close(fds[0]);
            libc::close(fds[1]);
        }
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
