//! The functions behind this library, by their names: what a call that is not ours is passed on to.
//!
//! They are the C library's, or those of another library that stands between, such as a sanitizer's. A system call in
//! their place would be no cancellation point, and would go past that library.

use core::ffi::{c_int, c_uint, c_void};
use core::mem;
use core::sync::atomic::{AtomicPtr, Ordering};
use libc::{addrinfo, c_char, clockid_t, fd_set, iovec, msghdr, nfds_t, pollfd, pthread_mutex_t, pthread_rwlock_t};
use libc::{sigset_t, sockaddr, socklen_t, timespec, timeval, useconds_t};

macro_rules! functions {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        $(
            /// # Safety
            /// As for the function.
            #[inline]
            pub unsafe fn $name($($arg: $type),*) -> $result {
                let found = find(&at::$name, concat!(stringify!($name), "\0"));
                // SAFETY: the function of this name has this type.
                let f = unsafe { mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> $result>(found) };
                // SAFETY: the caller's promise.
                unsafe { f($($arg),*) }
            }
        )*

        #[allow(non_upper_case_globals)]
        mod at {
            use super::*;
            $(pub static $name: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());)*
        }

        /// The same, as a caller in the C ABI finds them.
        #[allow(dead_code)] // (not all are not_for_libgomax)
        pub mod passed {
            use super::*;
            $(
                /// # Safety
                /// As for the function.
                pub unsafe extern "C" fn $name($($arg: $type),*) -> $result {
                    // SAFETY: the caller's promise.
                    unsafe { super::$name($($arg),*) }
                }
            )*
        }

        pub fn find_all() {
            $(look_up(&at::$name, concat!(stringify!($name), "\0"));)*
        }
    };
}

functions! {
    poll(fds: *mut pollfd, n: nfds_t, ms: c_int) -> c_int;
    ppoll(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t) -> c_int;
    select(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, time: *mut timeval) -> c_int;
    pselect(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, time: *const timespec, mask: *const sigset_t)
        -> c_int;
    recv(fd: c_int, buf: *mut c_void, n: usize, flags: c_int) -> isize;
    recvfrom(fd: c_int, buf: *mut c_void, n: usize, flags: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> isize;
    recvmsg(fd: c_int, msg: *mut msghdr, flags: c_int) -> isize;
    send(fd: c_int, buf: *const c_void, n: usize, flags: c_int) -> isize;
    sendto(fd: c_int, buf: *const c_void, n: usize, flags: c_int, addr: *const sockaddr, len: socklen_t) -> isize;
    sendmsg(fd: c_int, msg: *const msghdr, flags: c_int) -> isize;
    read(fd: c_int, buf: *mut c_void, n: usize) -> isize;
    write(fd: c_int, buf: *const c_void, n: usize) -> isize;
    readv(fd: c_int, v: *const iovec, n: c_int) -> isize;
    writev(fd: c_int, v: *const iovec, n: c_int) -> isize;
    connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int;
    accept(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int;
    accept4(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int;
    sleep(seconds: c_uint) -> c_uint;
    usleep(us: useconds_t) -> c_int;
    nanosleep(time: *const timespec, left: *mut timespec) -> c_int;
    clock_nanosleep(clock: clockid_t, flags: c_int, time: *const timespec, left: *mut timespec) -> c_int;
    getaddrinfo(node: *const c_char, service: *const c_char, hints: *const addrinfo, res: *mut *mut addrinfo) -> c_int;
    close(fd: c_int) -> c_int;
    dup2(from: c_int, to: c_int) -> c_int;
    dup3(from: c_int, to: c_int, flags: c_int) -> c_int;
    __poll_chk(fds: *mut pollfd, n: nfds_t, ms: c_int, room: usize) -> c_int;
    __ppoll_chk(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t, room: usize) -> c_int;
    __read_chk(fd: c_int, buf: *mut c_void, n: usize, room: usize) -> isize;
    __recv_chk(fd: c_int, buf: *mut c_void, n: usize, room: usize, flags: c_int) -> isize;
    __recvfrom_chk(fd: c_int, buf: *mut c_void, n: usize, room: usize, flags: c_int, addr: *mut sockaddr,
        len: *mut socklen_t) -> isize;
    pthread_mutex_lock(m: *mut pthread_mutex_t) -> c_int;
    pthread_mutex_trylock(m: *mut pthread_mutex_t) -> c_int;
    pthread_mutex_timedlock(m: *mut pthread_mutex_t, until: *const timespec) -> c_int;
    pthread_mutex_clocklock(m: *mut pthread_mutex_t, clock: clockid_t, until: *const timespec) -> c_int;
    pthread_mutex_unlock(m: *mut pthread_mutex_t) -> c_int;
    pthread_rwlock_rdlock(m: *mut pthread_rwlock_t) -> c_int;
    pthread_rwlock_tryrdlock(m: *mut pthread_rwlock_t) -> c_int;
    pthread_rwlock_timedrdlock(m: *mut pthread_rwlock_t, until: *const timespec) -> c_int;
    pthread_rwlock_clockrdlock(m: *mut pthread_rwlock_t, clock: clockid_t, until: *const timespec) -> c_int;
    pthread_rwlock_wrlock(m: *mut pthread_rwlock_t) -> c_int;
    pthread_rwlock_trywrlock(m: *mut pthread_rwlock_t) -> c_int;
    pthread_rwlock_timedwrlock(m: *mut pthread_rwlock_t, until: *const timespec) -> c_int;
    pthread_rwlock_clockwrlock(m: *mut pthread_rwlock_t, clock: clockid_t, until: *const timespec) -> c_int;
    pthread_rwlock_unlock(m: *mut pthread_rwlock_t) -> c_int;
}

/// Whether there is a C library behind this one: it may also stand before, and then no call comes here.
pub fn is_before_libc() -> bool {
    !look_up(&at::poll, "poll\0").is_null()
}

#[inline]
fn find(at: &AtomicPtr<c_void>, name: &str) -> *mut c_void {
    // Relaxed: the function was there before the address, and each thread finds the same.
    match at.load(Ordering::Relaxed) {
        f if f.is_null() => find_slow(at, name),
        f => f,
    }
}

#[cold]
#[inline(never)]
fn find_slow(at: &AtomicPtr<c_void>, name: &str) -> *mut c_void {
    match look_up(at, name) {
        // SAFETY: ends the process: there is nothing that could do what was asked for.
        f if f.is_null() => unsafe { libc::abort() },
        f => f,
    }
}

fn look_up(at: &AtomicPtr<c_void>, name: &str) -> *mut c_void {
    debug_assert!(name.ends_with('\0'));
    // SAFETY: the name is terminated.
    let f = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) };
    at.store(f, Ordering::Relaxed);
    f
}
