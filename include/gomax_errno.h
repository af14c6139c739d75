/*
 * An errno that stays right when a goroutine moves to another thread. Include it instead of <errno.h> (or after it) in
 * files whose functions look at errno and call what migrates.
 *
 * Each goroutine has an errno of its own, which libgomax carries along. But the C library declares where errno lies to
 * be the same for a whole function, so compilers look it up once: after a call that migrates they read and write the
 * errno of the thread that the goroutine has left. Here errno is looked up each time, which costs a call.
 *
 * Clean C99 and C++11, for GCC and clang. It changes nothing for files that do not include it.
 */
#ifndef GOMAX_ERRNO_H
#define GOMAX_ERRNO_H

#include <errno.h>

#ifndef __GNUC__
#error "gomax_errno.h needs GCC's asm to keep the compiler from looking errno up once"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Where errno lies now: good until the next call that migrates. */
static inline int *gmx_errno_location(void) {
  int *(*location)(void) = __errno_location;
  __asm__ volatile("" : "+r"(location)); /* a function that the compiler knows nothing of */
  return location();
}

#ifdef __cplusplus
}
#endif

#undef errno
#define errno (*gmx_errno_location())

#endif /* GOMAX_ERRNO_H */
