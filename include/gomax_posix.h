/*
 * libgomax_posix 0.2.0: blocking calls of unmodified libraries park goroutines.
 *
 * A program that is linked with -lgomax_posix before the C library has these functions from it:
 *
 *   poll ppoll select pselect                                GMX_POSIX_POLL
 *   recv recvfrom recvmsg send sendto sendmsg
 *   accept accept4 connect                                   GMX_POSIX_SOCKETS
 *   read readv write writev                                  GMX_POSIX_FILES
 *   sleep usleep nanosleep clock_nanosleep                   GMX_POSIX_SLEEP
 *   getaddrinfo                                              GMX_POSIX_NAMES
 *   pthread_mutex_lock pthread_rwlock_rdlock, ..._wrlock     GMX_POSIX_LOCKS
 *   close dup2 dup3                                          any of them
 *
 * and those that lock and unlock pthread mutexes and read-write locks, which it counts.
 *
 * They do what they do without it, until the program calls gmx_posix_enable; and from then on, too, on every thread
 * that runs no goroutine. On a goroutine a call that would wait parks the goroutine instead of blocking the thread.
 *
 *     if (gmx_posix_enable(GMX_POSIX_POLL | GMX_POSIX_NAMES) != GMX_OK) return; // for libpq and libcurl
 *
 * A goroutine may continue on another thread after such a call: docs/posix.md says which code may not, how to find it,
 * and what else this library is not for. The lines of each function are explained at the head of gomax.h.
 */

#ifndef GOMAX_POSIX_H
#define GOMAX_POSIX_H

#include <gomax.h>

#ifdef __cplusplus
extern "C" {
#endif

/** poll, ppoll, select, pselect. */
#define GMX_POSIX_POLL 1
/** recv, send and their like, accept, connect. */
#define GMX_POSIX_SOCKETS 2
/** read, write, readv, writev. */
#define GMX_POSIX_FILES 4
/** sleep, usleep, nanosleep, clock_nanosleep. */
#define GMX_POSIX_SLEEP 8
/** getaddrinfo. */
#define GMX_POSIX_NAMES 16
/** All of these. */
#define GMX_POSIX_ALL 31
/**
 * pthread_mutex_lock, pthread_rwlock_rdlock, pthread_rwlock_wrlock: a goroutine that waits for the lock blocks its
 * thread in any case, but gives its P away at once, instead of at the end of its slice. Not for a program whose malloc
 * locks mutexes of the C library, such as jemalloc's.
 */
#define GMX_POSIX_LOCKS 32

/**
 * Switches groups of functions on, and all others off. Calls that wait already are not affected. A child of fork begins
 * with all groups off.
 *
 * Blocks: never.
 * Call from: every context; it does not start the runtime.
 * Safepoint: no.
 * Migrates: no.
 * Cancellable: no.
 * Owns: nothing.
 * Returns: GMX_OK; GMX_EINVAL for other bits; GMX_ENOTSUP if this library does not stand before the C library, so that
 * no call comes here.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_posix_enable(uint32_t groups);

/**
 * Ties the calling goroutine to its thread, and lets its calls block this thread instead of parking. The thread gives
 * its P away meanwhile. errno and thread-local variables are as on a thread of its own. Calls nest.
 *
 *     if (gmx_posix_hold() != GMX_OK) return;
 *     call_into_a_library_that_may_not_migrate();
 *     gmx_posix_release();
 *
 * Blocks: never.
 * Call from: G, attached thread.
 * Safepoint: no.
 * Migrates: no.
 * Cancellable: no.
 * Owns: the thread, until gmx_posix_release.
 * Returns: GMX_OK; otherwise as gmx_lock_os_thread.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_posix_hold(void);

/**
 * Takes one gmx_posix_hold back.
 *
 * Blocks: never.
 * Call from: G, attached thread.
 * Safepoint: no.
 * Migrates: no.
 * Cancellable: no.
 * Owns: nothing.
 * Returns: GMX_OK; GMX_EPERM without a hold; otherwise as gmx_unlock_os_thread.
 * Since: 0.2
 */
GMX_API gmx_status gmx_posix_release(void);

#ifdef __cplusplus
}
#endif

#endif /* GOMAX_POSIX_H */
