//! Mutexes and read-write locks: they are the C library's, and counted here (HELD-A1).
//!
//! A G that waits for a lock blocks its thread. If the group of the locks is on, it gives its P away meanwhile: the
//! owner may need the P to come to the unlock. Otherwise the P is taken from it at the end of its slice. The group is
//! not for programs whose malloc locks such a mutex: libgomax, too, allocates, and such a call must not enter it again.

use crate::{api, held, next};
use core::ffi::c_int;
use libc::{clockid_t, pthread_mutex_t, pthread_rwlock_t, timespec};

macro_rules! locks {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(
            /// # Safety
            /// As for the function of the C library.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($arg: $type),*) -> c_int {
                // SAFETY: the caller's promise.
                let r = unsafe { next::$name($($arg),*) };
                // A robust mutex whose owner has died is locked, too.
                if r == 0 || r == libc::EOWNERDEAD {
                    held::add();
                }
                r
            }
        )*
    };
}

locks! {
    pthread_mutex_trylock(m: *mut pthread_mutex_t);
    pthread_mutex_timedlock(m: *mut pthread_mutex_t, until: *const timespec);
    pthread_mutex_clocklock(m: *mut pthread_mutex_t, clock: clockid_t, until: *const timespec);
    pthread_rwlock_tryrdlock(m: *mut pthread_rwlock_t);
    pthread_rwlock_timedrdlock(m: *mut pthread_rwlock_t, until: *const timespec);
    pthread_rwlock_clockrdlock(m: *mut pthread_rwlock_t, clock: clockid_t, until: *const timespec);
    pthread_rwlock_trywrlock(m: *mut pthread_rwlock_t);
    pthread_rwlock_timedwrlock(m: *mut pthread_rwlock_t, until: *const timespec);
    pthread_rwlock_clockwrlock(m: *mut pthread_rwlock_t, clock: clockid_t, until: *const timespec);
}

macro_rules! waits {
    ($($name:ident, $try:ident($type:ty);)*) => {
        $(
            /// # Safety
            /// As for the function of the C library.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(m: *mut $type) -> c_int {
                // SAFETY: the caller's promise.
                let next = || unsafe { next::$name(m) };
                let r = if !api::is_active(api::LOCKS) {
                    next()
                } else {
                    // SAFETY: the caller's promise.
                    match unsafe { next::$try(m) } {
                        // EDEADLK, EAGAIN and the like are the lock's to tell.
                        libc::EBUSY => held::on_thread(next),
                        r => r,
                    }
                };
                if r == 0 || r == libc::EOWNERDEAD {
                    held::add();
                }
                r
            }
        )*
    };
}

waits! {
    pthread_mutex_lock, pthread_mutex_trylock(pthread_mutex_t);
    pthread_rwlock_rdlock, pthread_rwlock_tryrdlock(pthread_rwlock_t);
    pthread_rwlock_wrlock, pthread_rwlock_trywrlock(pthread_rwlock_t);
}

macro_rules! unlocks {
    ($($name:ident($type:ty);)*) => {
        $(
            /// # Safety
            /// As for the function of the C library.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(m: *mut $type) -> c_int {
                // SAFETY: the caller's promise.
                let r = unsafe { next::$name(m) };
                if r == 0 {
                    held::take();
                }
                r
            }
        )*
    };
}

unlocks! {
    pthread_mutex_unlock(pthread_mutex_t);
    pthread_rwlock_unlock(pthread_rwlock_t);
}
