/*
 * libgomax 0.2.0: the scheduler of the Go runtime (goroutines, threads, processors) for C.
 *
 * Words
 *
 *   G, goroutine     a function that runs on a stack of its own. A thread runs it, and another thread may run it after
 *                    a wait.
 *   M, thread        a thread of the system that runs goroutines: a worker thread, which the library makes, or an
 *                    attached thread.
 *   P, processor     the right to run goroutines. A thread holds one P while it runs a goroutine; gmx_gomaxprocs says
 *                    how many there are, and so how many goroutines run at the same time.
 *   safe point       a call in which a goroutine lets a stop of the world, a barrier or the end of its slice happen:
 *                    every wait, every yield, every gmx_safepoint.
 *   to migrate       to return from the call on another thread. No errno and no address of a thread-local variable
 *                    survives it.
 *   token            what cancels waits: gmx_cancel.
 *
 * Contexts, as the line "Call from" of each function names them
 *
 *   goroutine             a function that was spawned. It may call everything.
 *   goroutine in syscall  between gmx_enter_syscall and gmx_exit_syscall. It may call what never blocks and needs no
 *                         P; the rest returns GMX_EINSYSCALL.
 *   pinned goroutine      between gmx_pin and gmx_unpin. It may call what never blocks; the rest returns GMX_ENOTG.
 *   attached thread       a thread of the host after gmx_attach_thread, or in gmx_callback: a goroutine that is tied
 *                         to its thread. It may call everything but gmx_goexit.
 *   foreign thread        any other thread of the host. It may call what does not need a goroutine, and waits as a
 *                         thread.
 *   scheduler's callback  the function of gmx_for_each_p, the commit of gmx_park. It may call what never blocks.
 *   stopped world         the caller that has stopped it. It may call what never blocks, and what reads the whole
 *                         scheduler.
 *
 * A call from a context that may not make it returns an error and changes nothing. No function may be called from a
 * signal handler.
 *
 * What holds unless a function says otherwise
 *
 *   Blocks: never.                Call from: every context.       Safepoint: no.       Migrates: no.
 *   Cancellable: no.              Owns: nothing.                  Since: 0.1
 *
 *   A goroutine may lose its P between any two instructions (GMX_CONFIG_PREEMPT_OFF), and then waits for its turn, on
 *   its thread: in the middle of the code that computes, or in its next call, also in one that never blocks.
 *   gmx_enter_syscall and gmx_blocking do not wait for a turn.
 *
 *   Zero is the default of every field and ready to use. Times are nanoseconds; a timeout of 0 or less has passed, and
 *   GMX_FOREVER never passes. What a pointer points to is written on success only.
 *
 *   GMX_MUST_USE marks a function that writes its answer through a pointer that may not be NULL, and one that may fail
 *   although it is called correctly and then leaves the caller without the event, the lock, the goroutine or the call
 *   that the caller relies on. It does not mark a function that unlocks, ends, wakes or lets time pass, nor
 *   one that only a wrong call makes fail.
 *
 * Clean C99 and C++11. Generated from the source: edit src/capi and run `make header`.
 */

#ifndef GOMAX_H
#define GOMAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version that this header belongs to; gmx_version() is the library's. */
#define GMX_VERSION_MAJOR 0
#define GMX_VERSION_MINOR 2
#define GMX_VERSION_PATCH 0
#define GMX_VERSION_STRING "0.2.0"
#define GMX_VERSION ((GMX_VERSION_MAJOR << 16) | (GMX_VERSION_MINOR << 8) | GMX_VERSION_PATCH)

/* Each of these may be defined before the header is included. */
#ifndef GMX_API
#if defined(__GNUC__)
#define GMX_API __attribute__((__visibility__("default")))
#else
#define GMX_API
#endif
#endif

#ifndef GMX_MUST_USE
#if (defined(__cplusplus) && __cplusplus >= 201703L) || \
    (!defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202000L)
#define GMX_MUST_USE [[nodiscard]]
#elif defined(__GNUC__)
#define GMX_MUST_USE __attribute__((__warn_unused_result__))
#else
#define GMX_MUST_USE
#endif
#endif

#ifndef GMX_NORETURN
#if defined(__GNUC__)
#define GMX_NORETURN __attribute__((__noreturn__))
#else
#define GMX_NORETURN
#endif
#endif

#ifndef GMX_DEPRECATED
#if defined(__GNUC__)
#define GMX_DEPRECATED __attribute__((__deprecated__))
#else
#define GMX_DEPRECATED
#endif
#endif

/* Of the system: <sys/socket.h>, <sys/uio.h>, <sys/stat.h>, <poll.h>, <netdb.h>. */
struct addrinfo;
struct sockaddr;
struct iovec;
struct msghdr;
struct mmsghdr;
struct pollfd;
struct statx;

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status codes ----------------------------------------------------------------------------------------------- */

/*
 * Every call that can fail returns a gmx_status. A negative status is an error, and the call has changed nothing;
 * GMX_OK is 0, and a few calls return a count above it. Compare with the names below, and never with numbers.
 *
 * A program that is run with GMXDEBUG=strict=1 in its environment reports the calls that are wrong, with the reason;
 * with strict=2 it aborts at the first.
 */

/**
 * The result of a call: GMX_OK, a count above it, or a negative error. An error of the system is its errno, negated.
 * The errors that the library itself returns have names here; where no errno fits they count down from -1001. An error
 * of names is -1100 and the EAI_ code of getaddrinfo, which is negative.
 */
typedef int32_t gmx_status;

#if defined(GMX_NO_INLINE)
enum {
  GMX_OK = 0,
  GMX_EPERM = -1,
  GMX_EINTR = -4,
  GMX_EBADF = -9,
  GMX_EAGAIN = -11,
  GMX_ENOMEM = -12,
  GMX_EBUSY = -16,
  GMX_EINVAL = -22,
  GMX_EPIPE = -32,
  GMX_EDEADLK = -35,
  GMX_EMSGSIZE = -90,
  GMX_ENOTSUP = -95,
  GMX_ETIMEDOUT = -110,
  GMX_ECANCELED = -125,
  GMX_ENOTG = -1001,
  GMX_EINSYSCALL = -1002,
  GMX_ESHUTDOWN = -1003,
  GMX_ESTALE = -1004,
  GMX_ECLOSED = -1005,
  GMX_EAI_BADFLAGS = -1101,
  GMX_EAI_NONAME = -1102,
  GMX_EAI_AGAIN = -1103,
  GMX_EAI_FAIL = -1104,
  GMX_EAI_NODATA = -1105,
  GMX_EAI_FAMILY = -1106,
  GMX_EAI_SOCKTYPE = -1107,
  GMX_EAI_SERVICE = -1108,
  GMX_EAI_ADDRFAMILY = -1109,
};
#else
#define GMX_OK             0       /**< no error */
#define GMX_EPERM          (-1)    /**< not permitted */
#define GMX_EINTR          (-4)    /**< interrupted by a signal */
#define GMX_EBADF          (-9)    /**< closed, or not open for this */
#define GMX_EAGAIN         (-11)   /**< would block */
#define GMX_ENOMEM         (-12)   /**< out of memory */
#define GMX_EBUSY          (-16)   /**< in use */
#define GMX_EINVAL         (-22)   /**< invalid argument */
#define GMX_EPIPE          (-32)   /**< the other end is closed */
#define GMX_EDEADLK        (-35)   /**< deadlock */
#define GMX_EMSGSIZE       (-90)   /**< the message is too long */
#define GMX_ENOTSUP        (-95)   /**< not supported */
#define GMX_ETIMEDOUT      (-110)  /**< timed out */
#define GMX_ECANCELED      (-125)  /**< canceled */
#define GMX_ENOTG          (-1001) /**< not on a goroutine, or where it cannot wait */
#define GMX_EINSYSCALL     (-1002) /**< between gmx_enter_syscall and gmx_exit_syscall */
#define GMX_ESHUTDOWN      (-1003) /**< the runtime is going down */
#define GMX_ESTALE         (-1004) /**< a stale handle */
#define GMX_ECLOSED        (-1005) /**< the channel is closed */
#define GMX_EAI_BADFLAGS   (-1101) /**< names: the flags are not valid */
#define GMX_EAI_NONAME     (-1102) /**< names: no such host or service */
#define GMX_EAI_AGAIN      (-1103) /**< names: no answer for now, try again */
#define GMX_EAI_FAIL       (-1104) /**< names: the lookup failed */
#define GMX_EAI_NODATA     (-1105) /**< names: the host has no address */
#define GMX_EAI_FAMILY     (-1106) /**< names: the address family is not supported */
#define GMX_EAI_SOCKTYPE   (-1107) /**< names: the type of socket is not supported */
#define GMX_EAI_SERVICE    (-1108) /**< names: no such service for this type of socket */
#define GMX_EAI_ADDRFAMILY (-1109) /**< names: the host has no address of this family */
#endif

/**
 * A short English text for a status, also for the negative of any errno. Counts (values above zero) are "no error".
 *
 * Owns: the text is static, and not to be freed.
 * Returns: never NULL; "unknown status" for any other value.
 */
GMX_API const char *gmx_strerror(gmx_status status);

/**
 * The name of a status, such as "GMX_EINVAL"; for an errno without such a name its own, such as "ENOENT".
 *
 * Owns: the name is static, and not to be freed.
 * Returns: never NULL; "GMX_EUNKNOWN" for any other value, "GMX_OK" for counts.
 */
GMX_API const char *gmx_err_name(gmx_status status);

/* ---- Runtime ---------------------------------------------------------------------------------------------------- */

/*
 * Most programs call nothing of this section but gmx_main: it starts the runtime, runs a function as the first
 * goroutine and returns when that has ended. A library, or a program whose main thread belongs to another framework,
 * calls gmx_spawn and leaves the rest to the defaults. gmx_init is for other options, gmx_shutdown for hosts that
 * unload the library or want its threads ended.
 */

/**
 * gmx_config.flags: the library does not handle SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT. So it reports no stack
 * overflow, and no other fault in a goroutine. GMXDEBUG=sigsegv=0 does the same.
 */
#define GMX_CONFIG_NO_SIGSEGV 1

/**
 * gmx_config.flags: the library does not call membarrier. Instead each goroutine executes a fence when it enters and
 * when it leaves a syscall. GMXDEBUG=membarrier=0 does the same.
 */
#define GMX_CONFIG_NO_MEMBARRIER 4

/**
 * gmx_config.flags: the library opens no file of /proc or of a cgroup. So it does not read the CPU quota, reports no
 * deadlock, and uses up to a quarter of 65530 mappings for guards of stacks; gmx_stack_bounds returns GMX_ENOTSUP on
 * the stack of the main thread; and if gmx_init is called on another thread, the library's threads get the signal mask
 * of that thread.
 */
#define GMX_CONFIG_NO_FILES 8

/**
 * gmx_config.flags: gmx_init makes all threads, and the stacks and descriptors of all goroutines. From then on to the
 * end of gmx_shutdown the library makes no thread and no mapping: it calls none of clone, mmap, mremap, mprotect,
 * prctl and sigaltstack. (If its memory is used up it calls malloc, which may map: it is the host's, see mallopt.)
 * maxprocs, max_threads and max_goroutines must be given. max_threads is at least maxprocs, and one more for each
 * goroutine that is in a blocking call or locked to its thread at the same time. Beyond these numbers gmx_spawn
 * returns GMX_ENOMEM, and goroutines wait for a thread or a stack. A stack_size of gmx_spawn_with above that of
 * gmx_config gets GMX_ENOMEM.
 */
#define GMX_CONFIG_ALL_AT_START 16

/**
 * gmx_config.flags: code that calls nothing of the library holds others up, for as long as it runs.
 *
 * Without the flag another thread takes the P from it, at the end of its slice, and when a resize or a barrier needs
 * that P; a pinned goroutine keeps its P. The goroutine stays on its thread. While it sleeps in the system the thread
 * is left alone, so a call that blocks needs no gmx_enter_syscall; if it computes, the thread is held between two
 * instructions until it has a P again. The signal for that (SIGURG, from a timer on the thread's own CPU clock)
 * interrupts no system call. On one P, other goroutines may so run between two calls of the library, as they do on
 * several. Values of gmx_p_get stay this goroutine's only while it is pinned. A stop of the world waits for a safe
 * point.
 *
 * With the flag goroutines on one P take turns only inside calls of the library. That is also so without membarrier.
 * GMXDEBUG=preempt=0 does the same, and preempt=1 the opposite.
 */
#define GMX_CONFIG_PREEMPT_OFF 256

/**
 * gmx_config.flags: no thread is held, and no signal is used. A goroutine that computes on at the end of its slice
 * loses its P all the same, so more threads compute than there are Ps. It is also so where the system has no such
 * timers, before Linux 5.10, and with GMX_CONFIG_ALL_AT_START. GMXDEBUG=preempt=nosignal does the same.
 */
#define GMX_CONFIG_PREEMPT_NO_SIGNAL 512

/**
 * gmx_config.flags: no goroutine runs on a stack without a guard. Before Linux 6.13, and in a process that locks its
 * memory, guards cost mappings, of which the library takes a share (a quarter of vm.max_map_count). When that share is
 * used up, or the system makes no mappings, a spawn returns GMX_ENOMEM and changes nothing, and a timer that starts
 * goroutines tries again later. A goroutine that was spawned before guards became scarce (the host locked its memory
 * meanwhile) waits for a stack that has one. GMXDEBUG=guard=none has no effect.
 *
 * It is the default in a process that has more rights than its starter (set-user-ID, file capabilities; AT_SECURE).
 */
#define GMX_CONFIG_GUARD_REQUIRED 2

/**
 * gmx_config.flags: goroutines run on stacks without a guard if there are no more guards;
 * gmx_mem_stats.stacks_unguarded counts such stacks, and the first one is reported. The default, except in a process
 * that has more rights than its starter.
 */
#define GMX_CONFIG_GUARD_OPTIONAL 32

/**
 * gmx_config.flags: cores of this process do not contain the stacks of goroutines (MADV_DONTDUMP). They contain the
 * registers of each thread, and the stacks of threads, on which callbacks of the scheduler run.
 */
#define GMX_CONFIG_NO_STACK_DUMP 64

/**
 * gmx_config.flags: dumps and reports contain addresses: of stacks, arguments, channels and locks. Without the flag a
 * short name stands for each address (#3f9a1c): the reader sees which objects are the same, and not where they are.
 * GMXDEBUG=addresses=1 does the same. A report of a fault contains its address in any case.
 */
#define GMX_CONFIG_ADDRESSES 128

/**
 * The options of the runtime. Zero is the default everywhere; struct_size is sizeof(gmx_config) or 0.
 */
typedef struct gmx_config {
  /**
   * sizeof(gmx_config) of the caller. A smaller struct of an older header is fine.
   */
  size_t struct_size;
  /**
   * Number of Ps. 0: GMX_MAXPROCS of the environment, at most 16 times gmx_num_cpu; else what the machine offers
   * (see gmx_num_cpu), followed while it changes.
   */
  int32_t maxprocs;
  /**
   * GMX_CONFIG_*.
   */
  uint32_t flags;
  /**
   * Usable bytes of a goroutine's stack. 0: 262144.
   */
  size_t stack_size;
  /**
   * Bytes of the stack of each thread that the library makes; barrier functions and commits run there. 0: 262144.
   */
  size_t g0_stack_size;
  /**
   * Time slice in nanoseconds after which a goroutine yields at its next safe point. 0: 10000000.
   */
  int64_t slice_ns;
  /**
   * The highest number of worker threads. Beyond it a goroutine waits until a thread is free. 0: 10000.
   */
  int32_t max_threads;
  /**
   * Called with what the library has to tell on its own, from any thread: a deadlock, a lack of threads or of memory
   * for stacks while nothing moves, gomaxprocs that cannot follow the machine, a stop-the-world that timed out, a
   * stack overflow or a fault in a goroutine (then in a signal handler), a broken invariant, a variable of the
   * environment that was not understood; and once for each goroutine that computes without calling the library, when
   * 200 slices were taken from it. text is not terminated. NULL: written to stderr, except the last one, for which
   * GMXDEBUG=hogs=1 asks.
   */
  void (*report)(void *arg, const char *text, size_t len);
  /**
   * Passed to report.
   */
  void *report_arg;
  /**
   * With GMX_CONFIG_ALL_AT_START: goroutines, and threads of the host that call in, at the same time. Otherwise 0.
   */
  size_t max_goroutines;
  /**
   * Called with a goroutine that is asked to yield, for a stop, a barrier or the end of its slice: for a host whose
   * interpreter looks at a flag of its own (lua_sethook, sqlite3_interrupt), and not at gmx_preempt_word. The call
   * comes once, and again every tenth of a second until the goroutine has yielded; gmx_safepoint_slow, gmx_yield and
   * every wait yield. The call may come late: the goroutine may have yielded already, or have ended.
   *
   * Called by the watchdog and by callers of gmx_stop_the_world, gmx_gomaxprocs and gmx_for_each_p, several at a
   * time, as a callback of the scheduler: it may call what never blocks. It must not wait for anything, not for a
   * lock of the host's either: slices, timers and stops would wait with it. NULL: none.
   */
  void (*on_preempt)(void *arg, uint64_t g);
  /**
   * Called on each thread that the library makes for goroutines, before the first one runs there: to name it, to
   * register it with a collector, to set its affinity, to unblock a signal. It may call what never blocks. It may
   * take its time, because no goroutine waits for it. Not called on the library's watchdog, on the thread that makes
   * the others, and on threads of the host. NULL: none.
   */
  void (*on_thread_start)(void *arg);
  /**
   * Called on such a thread after its last goroutine, before the thread ends; gmx_shutdown waits for it. NULL: none.
   */
  void (*on_thread_end)(void *arg);
  /**
   * Passed to these three.
   */
  void *on_arg;
  /**
   * The number of the signal by which threads are held that call nothing of the library. The library puts its
   * handler before that of the host, and passes on what is not from its timers. 0: SIGURG, which debuggers pass on
   * silently.
   */
  int32_t preempt_signal;
  /**
   * 0.
   */
  int32_t reserved;
} gmx_config;

/**
 * Fills a gmx_config with the defaults: zeros, and its struct_size.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_config_default(struct gmx_config *out);

/**
 * Starts the runtime with these options. Optional: the first call that needs the runtime starts it with the defaults.
 *
 * Blocks: never; with GMX_CONFIG_ALL_AT_START the thread, until all threads have begun.
 * Call from: foreign threads.
 * Owns: config is read during the call; its functions and their arguments stay in use until gmx_shutdown.
 * Returns: GMX_OK; GMX_EBUSY if the runtime is up; GMX_EINVAL for options that are not valid; GMX_ENOMEM or GMX_EAGAIN
 * if there is no memory or no thread for it, GMX_ENOMEM too if guards are required and the runtime made stacks without
 * one before gmx_shutdown; GMX_ESHUTDOWN while its threads are ending (see gmx_shutdown).
 */
GMX_MUST_USE GMX_API gmx_status gmx_init(const struct gmx_config *config);

/**
 * Runs fn(arg) as the main goroutine and returns when it has ended. The calling thread waits, and holds no P. Other
 * goroutines live on afterwards; a further gmx_main may follow.
 *
 * When nothing can ever run again (every goroutine waits, or needs a thread while goroutines that wait are locked to
 * all max_threads of them; no timer is armed; no goroutine is in a syscall; and no thread is left that might call in)
 * it reports which goroutine waits where, and returns. The goroutines keep waiting.
 *
 * Blocks: thread.
 * Call from: foreign threads.
 * Owns: arg stays the caller's.
 * Returns: GMX_OK; GMX_EDEADLK; GMX_EINVAL if fn is NULL; GMX_EPERM on a goroutine, GMX_EINSYSCALL in a syscall,
 * GMX_ENOTG in a scheduler's callback or a stopped world; GMX_ENOMEM; GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_main(void (*fn)(void*), void *arg);

/**
 * Waits until no goroutine is alive, then ends every thread of the library and frees the stacks that it kept. The next
 * call that needs the runtime starts it again; calls that only end something (free, close, stop, unlock, release, a
 * try) work without it.
 *
 * The ending threads run what the host left there: destructors of thread_local objects and of POSIX keys. These may
 * call the library. Until all threads have ended a call that needs the runtime returns GMX_ESHUTDOWN.
 *
 * timeout: nanoseconds; GMX_FOREVER; 0 only looks, which may take 10 ms. Threads that were told to end get at least a
 * second for that.
 *
 * Blocks: thread.
 * Call from: foreign threads.
 * Returns: GMX_OK, also when the runtime is not up; GMX_ETIMEDOUT if goroutines are still alive: the runtime continues
 * then; or if threads have not ended: another gmx_shutdown waits for them, and a call that needs the runtime succeeds
 * once they have ended; GMX_ESHUTDOWN on a thread of the library that is ending; GMX_EDEADLK on a goroutine or an
 * attached thread; GMX_EINSYSCALL in a syscall; GMX_ENOTG in a scheduler's callback or a stopped world.
 */
GMX_MUST_USE GMX_API gmx_status gmx_shutdown(int64_t timeout);

/**
 * The version of the library: major << 16 | minor << 8 | patch. GMX_VERSION is that of the header.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the version.
 */
GMX_API uint32_t gmx_version(void);

/* ---- Goroutines ------------------------------------------------------------------------------------------------- */

/*
 * A goroutine is a function that runs beside others, on a stack of its own, and costs a fraction of a microsecond and
 * a few KiB. Start one for each task rather than a pool of workers. gmx_spawn starts one whose end no caller waits
 * for; use a wait group, a scope or gmx_join where the end matters. gmx_park and gmx_ready are the means to build
 * objects that this library does not have.
 */

/**
 * gmx_spawn_opts.flags: the goroutine can be joined, and must be joined or detached.
 */
#define GMX_SPAWN_JOINABLE 1

/**
 * gmx_spawn_opts.flags: the new goroutine begins at once, on the caller's P. The caller continues when the new
 * goroutine waits or ends; or at the same time as it, from the moment at which another P steals the caller. This makes
 * fork-join fast, and keeps the queues short.
 *
 * The caller continues first, and the new goroutine runs next, in these cases: the caller is a thread of the host or a
 * goroutine that is locked to its thread, since that thread runs no other goroutine; it is pinned, in a syscall, in a
 * callback of the scheduler or has stopped the world, since it may not leave its P then; or there is no memory for the
 * new stack yet.
 */
#define GMX_SPAWN_CHILD_FIRST 2

/**
 * gmx_spawn_opts.flags: when the goroutine has ended, however it ended, its stack is wiped before another goroutine
 * gets it: what is in memory is overwritten with zeros, and pages on a swap device are dropped.
 *
 * It costs two calls of the system and the overwriting of the pages that the stack has in memory. Not wiped are
 * registers (the thread keeps those that a goroutine leaves until others overwrite them, and the system saves them
 * where it likes), what was written to a swap device, alternate signal stacks, and what the goroutine wrote elsewhere.
 * The descriptor keeps fn and arg until the next goroutine.
 */
#define GMX_SPAWN_WIPE 4

/**
 * gmx_spawn_opts.flags: the new goroutine goes behind all others in the run queue of the caller's P, and not before
 * them. For a caller that spawns many and wants them to run in this order, or not yet. Not together with
 * GMX_SPAWN_CHILD_FIRST.
 */
#define GMX_SPAWN_LAST 8

/**
 * gmx_spawn_opts.flags: the new goroutine is under the caller's current token from its start, until gmx_cancel_use
 * says otherwise, and the token lives as long as that. Without this flag a goroutine begins under no token, except in
 * a scope.
 */
#define GMX_SPAWN_INHERIT 16

/**
 * gmx_spawn_opts.flags: the goroutine has a token of its own, which gmx_cancel_g cancels by the goroutine's handle. It
 * is the current token at the start, and it is freed when the goroutine ends. With GMX_SPAWN_INHERIT it is below the
 * caller's current token, otherwise below none.
 */
#define GMX_SPAWN_CANCELLABLE 32

/**
 * gmx_spawn_opts.flags: the goroutine keeps its P while it calls nothing of the library, as with
 * GMX_CONFIG_PREEMPT_OFF. Others wait for it.
 */
#define GMX_SPAWN_NO_PREEMPT 64

/**
 * The most bytes that gmx_spawn_copy copies.
 */
#define GMX_SPAWN_COPY_MAX 128

/**
 * How a goroutine is made. Zero is the default everywhere; struct_size is sizeof(gmx_spawn_opts) or 0.
 */
typedef struct gmx_spawn_opts {
  /**
   * sizeof(gmx_spawn_opts) of the caller.
   */
  size_t struct_size;
  /**
   * GMX_SPAWN_*.
   */
  uint32_t flags;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * Usable bytes of its stack, at most 1 GiB. 0: that of gmx_config. The library itself uses up to 2 KiB of them at
   * any time (also for another goroutine, when this one is entered after it), and 8 KiB in gmx_gomaxprocs and
   * gmx_set_default_gomaxprocs; a library built without optimization eight times as much. Room for the C library
   * comes on top, and for the host's signal handlers without SA_ONSTACK: each needs 1 to 11 KiB for the registers of
   * the CPU.
   */
  size_t stack_size;
  /**
   * Its name in dumps and reports, copied; 31 bytes are kept. NULL: none.
   */
  const char *name;
} gmx_spawn_opts;

/**
 * A goroutine: a handle is never used again, and 0 is no goroutine.
 */
typedef uint64_t gmx_g;

/**
 * A key for goroutine-local values. 0 is no key.
 */
typedef uint32_t gmx_key;

/**
 * Starts a goroutine that runs fn(arg). It runs next on the caller's P, in the caller's time slice, or elsewhere if
 * there is an idle P. Only when the slice is over do goroutines that waited longer come before it.
 *
 * The goroutine gets its stack when it first runs. While there is no memory for a stack, it waits.
 *
 * Owns: arg stays the caller's.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_ENOMEM; GMX_ESHUTDOWN from a thread of the host while the runtime
 * ends.
 */
GMX_MUST_USE GMX_API gmx_status gmx_spawn(void (*fn)(void*), void *arg);

/**
 * Starts a goroutine that runs fn with the address of a copy of the size bytes at args. The copy lies on the
 * goroutine's stack, is aligned to 16 bytes and lasts until fn has returned; nothing needs to be freed. Otherwise as
 * gmx_spawn.
 *
 *     struct job job = {.from = 0, .to = 100};
 *     gmx_status status = gmx_spawn_copy(work, &job, sizeof job);
 *
 * Owns: args stays the caller's, and may go when the call is over.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL, size exceeds GMX_SPAWN_COPY_MAX, or args is NULL and size is not 0;
 * GMX_ENOMEM; GMX_ESHUTDOWN from a thread of the host while the runtime ends.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_spawn_copy(void (*fn)(void*), const void *args, size_t size);

/**
 * As gmx_spawn, with options; NULL options are the defaults. Writes the handle to *g unless g is NULL.
 *
 * Safepoint: no; yes with GMX_SPAWN_CHILD_FIRST.
 * Migrates: with GMX_SPAWN_CHILD_FIRST on a goroutine.
 * Owns: a joinable goroutine's descriptor is the caller's until gmx_join or gmx_detach.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL, for unknown flags, for GMX_SPAWN_LAST with GMX_SPAWN_CHILD_FIRST, or for
 * a stack of more than 1 GiB; GMX_ENOMEM; GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_spawn_with(const struct gmx_spawn_opts *opts,
                          void (*fn)(void*),
                          void *arg,
                          gmx_g *g);

/**
 * Waits until a joinable goroutine has ended. Its handle is stale then. Several callers may wait for the same
 * goroutine while it runs. If it has ended before, one caller gets GMX_OK, and the handle is stale for all others.
 *
 * timeout: nanoseconds; GMX_FOREVER; 0 only looks.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: on GMX_OK the goroutine's descriptor is the library's again.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ESTALE for a handle that was joined or never was; GMX_EINVAL if the
 * goroutine cannot be joined; GMX_EDEADLK for itself; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_join(gmx_g g, int64_t timeout);

/**
 * Gives up the right to join a goroutine.
 *
 * Owns: the goroutine's descriptor is the library's again.
 * Returns: GMX_OK; GMX_ESTALE; GMX_EINVAL if it cannot be joined; GMX_EBUSY while another caller waits for it.
 */
GMX_API gmx_status gmx_detach(gmx_g g);

/**
 * Lets other goroutines of this P run first. From a thread of the host it yields the thread.
 *
 * Blocks: the goroutine, for a moment.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_yield(void);

/**
 * Ends the calling goroutine from wherever it is; its stack is not unwound. What it held (a pin, a stopped world, a
 * syscall) is ended; its key destructors run.
 *
 * Call from: G, also in a syscall, pinned or with the world stopped. Not an attached thread's, nor in a callback.
 * Safepoint: yes.
 * Migrates: does not return.
 * Owns: what the goroutine had allocated stays allocated.
 * Returns: only if it may not: GMX_EPERM on an attached or a foreign thread or within gmx_callback, GMX_ENOTG in a
 * scheduler's callback.
 */
GMX_API gmx_status gmx_goexit(void);

/**
 * The goroutine that the caller runs on.
 *
 * Returns: its handle; 0 on a foreign thread and in a scheduler's callback.
 */
GMX_API gmx_g gmx_self(void);

/**
 * The number of the calling goroutine: small, counts up, for people and logs.
 *
 * Returns: the number; 0 on a foreign thread and in a scheduler's callback.
 */
GMX_API uint64_t gmx_goid(void);

/**
 * The bounds of the stack that the caller runs on, for a collector that scans it or an interpreter that guards its
 * recursion: [*lo, *hi), without the guard below. A goroutine has a stack of its own, and keeps it to its end.
 * Attached threads, callbacks on threads of the host, and foreign threads run on the stack of their thread; a
 * scheduler's callback may run on either.
 *
 * Blocks: never. The first call on a thread of the host asks the C library, which reads a file of /proc on the main
 * thread and may allocate; later ones are some loads.
 * Call from: every context; it does not start the runtime.
 * Returns: GMX_OK; GMX_EINVAL if lo or hi is NULL; GMX_ENOTSUP on a stack that belongs to neither the thread nor the
 * calling goroutine (coroutines of the host, sigaltstack, a child of fork on a goroutine's stack), and where the C
 * library does not know the thread's.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_stack_bounds(void **lo, void **hi);

/**
 * How many goroutines are alive: attached threads and threads in gmx_callback count, other threads of the host do not.
 * A glance, unless the world is stopped.
 *
 * Returns: the count; 0 when the runtime is not up.
 */
GMX_API int64_t gmx_num_g(void);

/**
 * Parks the calling goroutine until gmx_ready. When the goroutine is off its stack, commit(arg, g) runs on the
 * scheduler's stack and publishes g to its future waker. The waker may ready g at once: the goroutine continues only
 * after commit has returned, so what commit uses may lie on its stack. If commit returns false the goroutine is not
 * parked. commit must not block. A NULL commit parks unconditionally.
 *
 * One of gmx_ready and the token ends a park. commit runs in any case, also if the token is canceled already. After
 * GMX_ECANCELED a gmx_ready may still be on its way: take g back from where commit has put it before you park again,
 * otherwise it ends the next park.
 *
 * reason: shown in dumps; must outlive the wait. NULL: "park".
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: arg stays the caller's.
 * Returns: GMX_OK when it was readied, or was not parked; GMX_ECANCELED; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_park(bool (*commit)(void*, gmx_g), void *arg, const char *reason);

/**
 * As gmx_park, but gives up after timeout nanoseconds: one of gmx_ready, the timeout and the token ends the park. With
 * 0 or less it returns GMX_OK only if commit returns false or readies g, or another does before commit returns.
 *
 *     gmx_status s = gmx_park_timeout(enqueue, &w, "reply", timeout);
 *     if (s != GMX_OK) dequeue(&w);
 *     return s;
 *
 * Blocks: as gmx_park, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: arg stays the caller's.
 * Returns: GMX_OK when it was readied, or was not parked; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_ENOMEM, and then commit
 * has not run; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_park_timeout(bool (*commit)(void*, gmx_g),
                            void *arg,
                            const char *reason,
                            int64_t timeout);

/**
 * Makes a goroutine runnable that gmx_park or gmx_park_timeout has parked.
 *
 * Returns: GMX_OK; GMX_EPERM if it is not parked (it runs, it waits for something else, or its park has ended
 * otherwise); GMX_ESTALE.
 */
GMX_API gmx_status gmx_ready(gmx_g g);

/**
 * Ties the calling goroutine to its thread: the goroutine runs nowhere else, and no other goroutine runs there, until
 * gmx_unlock_os_thread was called once for each lock. If the goroutine ends before that, the thread ends too.
 *
 * Call from: G, attached thread (which is tied already; calls are counted); also pinned, and with the world stopped.
 * Owns: the thread.
 * Returns: GMX_OK; GMX_EAGAIN after 2^32-1 locks; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_lock_os_thread(void);

/**
 * Takes one gmx_lock_os_thread back.
 *
 * Call from: G, attached thread; also pinned, and with the world stopped.
 * Returns: GMX_OK; GMX_EPERM without a lock; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_unlock_os_thread(void);

/**
 * Makes a key under which each goroutine has a value of its own, NULL at first. destructor, unless NULL, is called on
 * the goroutine at its end with a value that is not NULL.
 *
 * Owns: the key is the caller's until gmx_key_delete.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_EAGAIN when 64 keys are in use.
 */
GMX_MUST_USE GMX_API gmx_status gmx_key_create(void (*destructor)(void*), gmx_key *out);

/**
 * Ends a key. Values that goroutines still have under it are forgotten, without the destructor.
 *
 * Owns: what the values point to stays the caller's.
 * Returns: GMX_OK; GMX_EINVAL for a key that is not valid.
 */
GMX_API gmx_status gmx_key_delete(gmx_key key);

/**
 * Sets the calling goroutine's value under a key.
 *
 * Call from: G, attached thread, also in a syscall or a stopped world.
 * Owns: the destructor gets the value at the goroutine's end; a value that is replaced stays the caller's.
 * Returns: GMX_OK; GMX_EINVAL for a key that is not valid; GMX_ENOMEM; GMX_ENOTG on a foreign thread or in a
 * scheduler's callback.
 */
GMX_MUST_USE GMX_API gmx_status gmx_key_set(gmx_key key, void *value);

/**
 * The calling goroutine's value under a key.
 *
 * Returns: the value; NULL if none was set, for a key that is not valid, and where there is no goroutine.
 */
GMX_API void *gmx_key_get(gmx_key key);

/* ---- Cleanup at the end of a goroutine -------------------------------------------------------------------------- */

/*
 * A goroutine may end in the middle of its functions, by gmx_goexit or by an exception, and must still release what it
 * has taken. In C++ destructors do this; these functions are for C and for languages that emit C.
 */

/**
 * A function that is to run when the goroutine ends. The fields are the library's from gmx_cleanup_push until the
 * function is popped or has run. The struct may lie in the frame of the function that pushes it, if that function pops
 * it before it returns.
 */
typedef struct gmx_cleanup {
  void (*fn)(void*);
  void *arg;
  void *below;
} gmx_cleanup;

/**
 * Registers fn(arg): the library calls it if the calling goroutine ends before gmx_cleanup_pop, by gmx_goexit anywhere
 * or by the return of its function. The functions run on the goroutine, the last one pushed first, and before the
 * destructors of keys. They may wait, but not call gmx_goexit. On an attached thread no function is called that was
 * not popped.
 *
 * A node in the frame of a function must be popped before the function returns. A goroutine whose function returns
 * with a node in its frames ends the process, with a report. A node elsewhere (in an object of the heap, or among the
 * arguments of gmx_spawn_copy) may be left to the return.
 *
 *     gmx_cleanup c;
 *     char *buffer = malloc(size);
 *     gmx_cleanup_push(&c, free, buffer);
 *     parse(buffer); // may end the goroutine
 *     gmx_cleanup_pop(&c, true);
 *
 * Call from: G, attached thread, also in a syscall or a stopped world.
 * Owns: c is the library's until it is popped or its function is called.
 * Returns: GMX_OK; GMX_EINVAL if c or fn is NULL, c is not aligned, or c was pushed last already; GMX_ENOTG on a
 * foreign thread or in a scheduler's callback.
 * Since: 0.2
 */
GMX_API gmx_status gmx_cleanup_push(struct gmx_cleanup *c, void (*fn)(void*), void *arg);

/**
 * Takes back what was pushed last, and calls it first if run is true.
 *
 * Blocks: as the function does.
 * Call from: G, attached thread, also in a syscall or a stopped world.
 * Safepoint: no, except for what the function does.
 * Migrates: as the function does.
 * Cancellable: no, except for what the function does.
 * Owns: c is the caller's again.
 * Returns: GMX_OK; GMX_EINVAL if c is NULL or not aligned; GMX_EPERM if c is not what was pushed last; GMX_ENOTG on a
 * foreign thread or in a scheduler's callback.
 * Since: 0.2
 */
GMX_API gmx_status gmx_cleanup_pop(struct gmx_cleanup *c, bool run);

/* ---- Coroutines ------------------------------------------------------------------------------------------------- */

/*
 * A coroutine runs only when it is resumed, on the thread of its resumer, and hands control back by a yield: for
 * generators, parsers and iterators. A switch is cheaper than one through a channel, since no scheduler is asked. Use
 * a goroutine where both sides are to run at the same time.
 */

/**
 * A coroutine: the handle of its goroutine, which gmx_self() returns inside. 0 is no coroutine.
 */
typedef uint64_t gmx_coro;

/**
 * Makes a coroutine: a goroutine that runs fn(arg), but only while another goroutine waits for it in gmx_coro_switch.
 * It begins with the first switch. What generators and iterators are made of:
 *
 *     struct squares { int n; }; // what both sides know
 *     static void make(void *arg) {
 *       struct squares *s = arg;
 *       s->n = 0;
 *       for (int i = 1; gmx_coro_switch(gmx_self()) == GMX_OK; i++) s->n = i * i; // yields
 *     }
 *     ...
 *     if (gmx_coro_new(make, &s, NULL, &co) != GMX_OK) return;
 *     while (gmx_coro_switch(co) == GMX_OK && s.n < 100) printf("%d\n", s.n);
 *     gmx_coro_free(co);
 *
 * A coroutine is a goroutine: it may wait for whatever a goroutine waits for (its resumer waits with it), it counts in
 * gmx_num_g until it has ended, dumps show it, and one that is never resumed again keeps gmx_shutdown waiting. It runs
 * under no token of cancellation until it uses one.
 *
 * opts: as for gmx_spawn_with; the only flag is GMX_SPAWN_WIPE. NULL: the defaults.
 *
 * Owns: the coroutine is the caller's until its function has ended, or gmx_coro_free. arg stays the caller's.
 * Returns: GMX_OK; GMX_EINVAL if fn or co is NULL, for unknown flags, or for a stack of more than 1 GiB; GMX_ENOMEM;
 * GMX_ESHUTDOWN from a thread of the host while the runtime ends.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_coro_new(void (*fn)(void*), void *arg, const gmx_spawn_opts *opts, gmx_coro *co);

/**
 * Resumes a coroutine: the caller waits until the coroutine yields or ends. Called by the coroutine itself (co is
 * gmx_self()), it yields: the coroutine stands still, and its resumer continues. What each side wrote to memory before
 * the switch, the other side sees.
 *
 * Any goroutine or thread may resume a coroutine that stands still, each time another one. The coroutine runs in the
 * time slice of its resumer, on the resumer's thread if neither is locked to its own (gmx_lock_os_thread) and the
 * resumer is neither an attached nor a foreign thread; such a switch costs what gmx_yield does. Otherwise it goes
 * through the run queue.
 *
 * If the coroutine waits for something else, its resumer waits too, and nothing ends that wait early. A C++ exception
 * that leaves the coroutine's function ends the process.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: with GMX_ECLOSED the coroutine is the library's again.
 * Returns: to the resumer GMX_OK when the coroutine has yielded, GMX_ECLOSED when its function has ended: the handle
 * is stale then. To the coroutine GMX_OK when it is resumed; GMX_ECANCELED when gmx_coro_free ends it, and then at
 * once for every later yield. GMX_EBUSY if the coroutine runs or waits, with another resumer; GMX_EINVAL for a
 * goroutine that is no coroutine; GMX_ESTALE; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_coro_switch(gmx_coro co);

/**
 * Ends a coroutine that stands still. If it has begun, it is resumed once more, its yield returns GMX_ECANCELED, and
 * the caller waits until its function has ended; so the function can free what it owns. One that never began ends
 * without being run. A coroutine whose function has ended needs no gmx_coro_free.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread, until the coroutine's function has ended.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: the coroutine is the library's again.
 * Returns: GMX_OK; GMX_ESTALE if it has ended, or never was; GMX_EBUSY if it runs or waits; GMX_EDEADLK for the
 * coroutine itself; GMX_EINVAL for a goroutine that is no coroutine; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_API gmx_status gmx_coro_free(gmx_coro co);

/* ---- Processors ------------------------------------------------------------------------------------------------- */

/*
 * A processor is the right to run goroutines; there are as many as CPUs by default, and the number changes while the
 * program runs. Values that belong to a processor need no lock while a goroutine is pinned to it. gmx_for_each_p runs
 * a function once for each processor without stopping them all: for caches, counters and epochs of the host.
 */

/**
 * A key for P-local values. 0 is no key.
 */
typedef uint32_t gmx_p_key;

/**
 * Sets the number of Ps: how many goroutines run at the same time. Memory is the only limit. From then on the number
 * does not follow the machine, until gmx_set_default_gomaxprocs. n <= 0 only asks.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread, until every running goroutine has passed a safe
 * point; n <= 0 never.
 * Call from: G, attached thread, foreign thread; n <= 0 from every context.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: nothing. Values of P-local keys stay with a P that goes, and come back with it.
 * Returns: the previous number, or a negative status: GMX_ENOMEM (nothing is changed), GMX_ENOTG, GMX_EINSYSCALL,
 * GMX_ESHUTDOWN.
 */
GMX_API int32_t gmx_gomaxprocs(int32_t n);

/**
 * The default for the number of Ps: the CPUs that this process may use (its affinity), and no more than the tightest
 * CPU quota of its control group and all visible ancestors, rounded up and at least 2.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the number, at least 1.
 */
GMX_API int32_t gmx_num_cpu(void);

/**
 * Sets the number of Ps to the default, and lets it follow the machine again: it is looked up once a second.
 *
 * Blocks: as gmx_gomaxprocs.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_ENOMEM, GMX_ENOTG, GMX_EINSYSCALL, GMX_ESHUTDOWN.
 */
GMX_API gmx_status gmx_set_default_gomaxprocs(void);

/**
 * Keeps the calling goroutine on its P until gmx_unpin: no other goroutine uses this P meanwhile. For short stretches:
 * a stop or a barrier waits for the unpin. Pins nest. In a function of gmx_for_each_p the result is the P for which
 * the function runs.
 *
 * Call from: G, attached thread, a function of gmx_for_each_p, a caller that has stopped the world.
 * Migrates: no, and not until gmx_unpin.
 * Owns: the P. While pinned, calls that may block, gmx_yield and gmx_enter_syscall give GMX_ENOTG.
 * Returns: the number of the P, 0 or more; GMX_ENOTG without a P; GMX_EINSYSCALL.
 */
GMX_API int32_t gmx_pin(void);

/**
 * Takes one gmx_pin back.
 *
 * Call from: where gmx_pin was called.
 * Safepoint: the last one is.
 * Migrates: the last one may.
 * Returns: GMX_OK; GMX_EPERM if it is not pinned; GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_unpin(void);

/**
 * Makes a key under which each P has a value of its own, NULL at first.
 *
 * Owns: the key is the caller's until gmx_p_key_delete.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_EAGAIN when 64 keys are in use.
 */
GMX_MUST_USE GMX_API gmx_status gmx_p_key_create(gmx_p_key *out);

/**
 * Ends a key; the values under it are forgotten.
 *
 * Owns: what the values point to stays the caller's.
 * Returns: GMX_OK; GMX_EINVAL for a key that is not valid.
 */
GMX_API gmx_status gmx_p_key_delete(gmx_p_key key);

/**
 * Sets the value of the current P under a key. Pin first, or be in a function of gmx_for_each_p: otherwise the P may
 * be another one by the next line.
 *
 * Call from: G, attached thread, a function of gmx_for_each_p, a caller that has stopped the world.
 * Owns: the value stays the caller's.
 * Returns: GMX_OK; GMX_EINVAL for a key that is not valid; GMX_ENOTG without a P; GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_p_set(gmx_p_key key, void *value);

/**
 * The value of the current P under a key.
 *
 * Call from: as gmx_p_set.
 * Returns: the value; NULL if none was set, for a key that is not valid, and without a P.
 */
GMX_API void *gmx_p_get(gmx_p_key key);

/**
 * The value of P number p under a key, also of a P beyond the present number. For a stopped world or a function of
 * gmx_for_each_p for that P; elsewhere it is a glance.
 *
 * Returns: the value; NULL if there is none.
 */
GMX_API void *gmx_p_get_of(gmx_p_key key, int32_t p);

/**
 * How many Ps were ever made. Those from number gmx_gomaxprocs(0) on are not in use, and keep their values.
 *
 * Returns: the count; 0 when the runtime is not up.
 */
GMX_API int32_t gmx_p_count(void);

/* ---- Syscalls --------------------------------------------------------------------------------------------------- */

/*
 * A goroutine that blocks its thread (a read, a lock of the host's) loses its processor to another goroutine at the
 * end of its slice. Around such a call the thread gives its processor away at once, and at a lower price: gmx_blocking
 * for one function, gmx_enter_syscall and gmx_exit_syscall around a piece of code.
 */

/**
 * The goroutine is about to call something that may block its thread. After a short call it continues on the same P;
 * if the call lasts, another thread takes the P. Until gmx_exit_syscall only calls that never block are allowed.
 *
 * Call from: G, attached thread.
 * Safepoint: yes.
 * Returns: GMX_OK; GMX_EINSYSCALL if it is in one already; GMX_ENOTG.
 */
GMX_API gmx_status gmx_enter_syscall(void);

/**
 * Ends what gmx_enter_syscall began. Waits for a P if none is free.
 *
 * Blocks: the goroutine, until it has a P.
 * Call from: G in a syscall.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EPERM without an enter.
 */
GMX_API gmx_status gmx_exit_syscall(void);

/**
 * As gmx_enter_syscall for a call that is sure to block: the P is handed on at once.
 *
 * Call from: G, attached thread.
 * Safepoint: yes.
 * Returns: GMX_OK; GMX_EINSYSCALL if it is in one already; GMX_ENOTG.
 */
GMX_API gmx_status gmx_enter_syscall_blocking(void);

/**
 * Runs fn(arg), which may block the thread, as between gmx_enter_syscall_blocking and gmx_exit_syscall. On a thread of
 * the host it just calls fn.
 *
 * Blocks: the goroutine, or the thread, as long as fn does.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes, after fn.
 * Owns: arg stays the caller's.
 * Returns: GMX_OK when fn has returned; GMX_EINVAL if fn is NULL; GMX_EINSYSCALL, GMX_ENOTG.
 */
GMX_API gmx_status gmx_blocking(void (*fn)(void*), void *arg);

/* ---- Classes of blocking calls ---------------------------------------------------------------------------------- */

/*
 * A class limits how many blocking calls of one kind run at a time, and so how many threads they take: eight for a
 * disk, two for a database. A call beyond the limit parks its goroutine and takes no thread.
 */

/**
 * A class of blocking calls, of which so many run at a time. A handle is never used again, and 0 is no handle.
 */
typedef uint64_t gmx_class;

/**
 * Makes a class of calls of which no more than limit run at a time. It is for foreign code that computes for long,
 * such as a library for linear algebra with threads of its own: as ordinary calls they would take turns on the Ps, and
 * gmx_blocking would take a thread for each goroutine.
 *
 * name: shown in dumps as what a call waits for until it is its turn; copied, 31 bytes are kept. NULL: none.
 *
 *     gmx_class blas;
 *     gmx_status status = gmx_class_new(2, "blas", &blas);
 *     if (status == GMX_OK) status = gmx_blocking_in(blas, multiply, &matrices, GMX_FOREVER);
 *
 * Owns: the class is the caller's until gmx_class_free.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL or limit is 0; GMX_ENOMEM; GMX_ESHUTDOWN.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_class_new(uint32_t limit, const char *name, gmx_class *out);

/**
 * Ends a class.
 *
 * Owns: the class is the library's again.
 * Returns: GMX_OK; GMX_EBUSY while calls of it run or wait; GMX_ESTALE.
 * Since: 0.2
 */
GMX_API gmx_status gmx_class_free(gmx_class class_);

/**
 * As gmx_blocking, when it is the caller's turn: calls of a class run in the order in which they came, limit at a
 * time. A goroutine that ends in fn by gmx_goexit gives its turn back; a thread of the host that ends there keeps it.
 *
 * timeout: how long the caller waits for its turn, in nanoseconds; GMX_FOREVER: without an end, 0: only looks.
 *
 * Blocks: the goroutine, or the thread, until it is its turn, and as long as fn does.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: the wait for the turn.
 * Owns: arg stays the caller's.
 * Returns: GMX_OK when fn has returned; and without a call of fn: GMX_EINVAL if fn is NULL; GMX_ESTALE; GMX_ETIMEDOUT;
 * GMX_ECANCELED; GMX_ENOMEM; GMX_EINSYSCALL, GMX_ENOTG.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_blocking_in(gmx_class class_, void (*fn)(void*), void *arg, int64_t timeout);

/* ---- The world -------------------------------------------------------------------------------------------------- */

/*
 * Stopping the world is for what must see every goroutine at rest: a collector, a checkpoint, a change of tables that
 * all read. It costs what the slowest goroutine needs to its next safe point. Where each processor may be served at
 * its own time, gmx_for_each_p costs less.
 */

/**
 * gmx_g_info.status: in a run queue.
 */
#define GMX_G_RUNNABLE 1

/**
 * gmx_g_info.status: on a thread, with a P.
 */
#define GMX_G_RUNNING 2

/**
 * gmx_g_info.status: between enter and exit of a syscall.
 */
#define GMX_G_SYSCALL 3

/**
 * gmx_g_info.status: waits.
 */
#define GMX_G_WAITING 4

/**
 * gmx_g_info.status: parked by gmx_park.
 */
#define GMX_G_PARKED 5

/**
 * gmx_g_info.status: held at an instruction of the host's code, by a stop with GMX_STOP_ANYWHERE or before it.
 */
#define GMX_G_HELD 10

/**
 * gmx_stop_opts.flags: goroutines that compute in the host's code are held where they are, at any instruction.
 */
#define GMX_STOP_ANYWHERE 1

/**
 * How the world is stopped. Zero is the default everywhere; struct_size is sizeof(gmx_stop_opts) or 0.
 */
typedef struct gmx_stop_opts {
  /**
   * sizeof(gmx_stop_opts) of the caller.
   */
  size_t struct_size;
  /**
   * GMX_STOP_*.
   */
  uint32_t flags;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * For reports. NULL: none.
   */
  const char *reason;
  /**
   * In nanoseconds; a negative one has passed already. 0: no limit, as GMX_FOREVER.
   */
  int64_t timeout;
} gmx_stop_opts;

/**
 * A goroutine, as gmx_for_each_g shows it. Pointers in it are good during the call.
 */
typedef struct gmx_g_info {
  /**
   * sizeof(gmx_g_info) of the library.
   */
  size_t struct_size;
  gmx_g g;
  uint64_t goid;
  /**
   * Never NULL; "" if it has none.
   */
  const char *name;
  /**
   * GMX_G_*.
   */
  int32_t status;
  /**
   * Why it waits; NULL if it does not.
   */
  const char *wait_reason;
  /**
   * gmx_now() when it began to wait, to 10 ms or so; 0 if it does not.
   */
  int64_t since_ns;
  /**
   * Its stack: [stack_lo, stack_hi). NULL if it has none: it never ran, or it runs on a thread of the host.
   */
  void *stack_lo;
  void *stack_hi;
  /**
   * The used part of the stack is [sp, stack_hi), which a collector scans. The registers of a goroutine that is off
   * its thread lie in it too; those of a held one lie in [regs_lo, regs_hi). In a syscall the used part begins at
   * the caller of gmx_enter_syscall, and the callee-saved registers need not lie in it: under a collector that
   * caller spills them first (setjmp, __builtin_unwind_init). NULL without a stack, and for the caller's own.
   */
  void *sp;
  void (*fn)(void*);
  void *arg;
  /**
   * The system's id of the thread that it is tied to, or that is in its syscall; 0 if there is none.
   */
  int32_t thread;
  uint32_t reserved;
  /**
   * GMX_G_HELD: its registers, with the vectors, lie at multiples of 8 in [regs_lo, regs_hi), to be scanned like a
   * stack. Otherwise NULL.
   */
  void *regs_lo;
  void *regs_hi;
} gmx_g_info;

/**
 * Stops the world: on return no goroutine runs but the caller, and none starts until gmx_start_the_world. Goroutines
 * in syscalls may be anywhere in the host's code, but wait at gmx_exit_syscall. The caller must not block meanwhile.
 *
 * reason: for reports. NULL: none.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread, until every running goroutine has passed a safe
 * point.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: the world, until gmx_start_the_world by the same caller.
 * Returns: GMX_OK; GMX_ENOTG, GMX_EINSYSCALL; GMX_ENOMEM; GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_stop_the_world(const char *reason);

/**
 * As gmx_stop_the_world, but gives up after timeout nanoseconds: the world runs then, and a report names the
 * goroutines that did not come to a safe point.
 *
 * Blocks: as gmx_stop_the_world, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: the world, if GMX_OK.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ENOTG, GMX_EINSYSCALL; GMX_ENOMEM; GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_stop_the_world_timeout(const char *reason, int64_t timeout);

/**
 * Stops the world as gmx_stop_the_world_timeout does, with options. With GMX_STOP_ANYWHERE it does not wait for safe
 * points: a goroutine that computes is held where it is at its next tick of the system's clock, some milliseconds
 * later, without EINTR, and continues at the same instruction when the world starts. gmx_for_each_g shows it as
 * GMX_G_HELD, with its registers.
 *
 * A held goroutine may hold every lock of the host, that of malloc too. So until gmx_start_the_world the caller does
 * nothing that locks or allocates: what it may do is what the child of a fork may do. It makes what it needs before.
 *
 * These are not held. The call waits for them, and a report names them if the time is up:
 * - a goroutine that sleeps in the system without gmx_enter_syscall, until it wakes. It may wake at any moment, and
 *   the system keeps its registers. If it sleeps for a lock that a held goroutine has, it would never wake: so the
 *   call lets the world run every now and then, and begins again. Goroutines that compete for one lock of the host
 *   may keep it from coming to an end, hence give it a timeout;
 * - a goroutine that is pinned, that was spawned with GMX_SPAWN_NO_PREEMPT, that blocks gmx_config.preempt_signal, or
 *   that is a thread of the host: until its next call of the library.
 *
 * opts: NULL for the defaults.
 *
 * Blocks: as gmx_stop_the_world, no longer than the timeout of opts. With GMX_STOP_ANYWHERE for no safe point.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: the world, if GMX_OK.
 * Returns: GMX_OK; GMX_EINVAL for unknown flags; GMX_ENOTSUP for GMX_STOP_ANYWHERE where no thread is held: see
 * GMX_CONFIG_PREEMPT_NO_SIGNAL; GMX_ETIMEDOUT; GMX_ENOTG, GMX_EINSYSCALL; GMX_ENOMEM; GMX_ESHUTDOWN.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_stop_the_world_with(const struct gmx_stop_opts *opts);

/**
 * Starts the world that the caller has stopped.
 *
 * Call from: the caller that stopped it.
 * Returns: GMX_OK; GMX_EPERM if the caller has not stopped it.
 */
GMX_API gmx_status gmx_start_the_world(void);

/**
 * A ragged barrier: runs fn(arg) once for every P. The thread that holds the P runs it at a safe point; for an idle P
 * another thread does, and for one whose goroutine calls nothing of the library and may lose its P
 * (GMX_CONFIG_PREEMPT_OFF, GMX_SPAWN_NO_PREEMPT, gmx_pin). On return fn has run for every P. In fn gmx_pin returns the
 * number of the P, and P-local values are those of the P. fn must be short and must not block; it may spawn, ready and
 * release. A call waits for other calls, for gmx_gomaxprocs and for stops of the world to end.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread, until every running goroutine that keeps its P has
 * passed a safe point.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: arg stays the caller's, and is used by several threads at the same time.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_for_each_p(void (*fn)(void*), void *arg);

/**
 * Calls fn(arg, info) for every goroutine, in a world that the caller has stopped: for a collector that scans roots,
 * or for a look at everything. Attached threads and threads in a callback are among them; their stacks are the host's.
 *
 * Call from: a caller that has stopped the world.
 * Owns: info is the library's, good during the call.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_EPERM if the caller has not stopped the world.
 */
GMX_API gmx_status gmx_for_each_g(void (*fn)(void*, const struct gmx_g_info*), void *arg);

/**
 * A safe point for loops that call nothing of this library: one load and a branch while there is no request. Inline,
 * unless GMX_NO_INLINE is defined or the compiler is neither GCC nor Clang.
 *
 * Blocks: the goroutine, while the world is stopped or its time slice is over; else never.
 * Call from: every context; it does nothing where the caller cannot be asked to stop.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: nothing.
 */
GMX_API void gmx_safepoint(void);

/**
 * What gmx_safepoint calls when a request is pending: yields to a stop, a barrier, or because the slice is over. Does
 * nothing where the caller cannot yield.
 *
 * Blocks: the goroutine, until it runs again.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK.
 */
GMX_API gmx_status gmx_safepoint_slow(void);

/**
 * What code that was built with polls (the package gomax-poll) calls when gmx_poll_word is not zero. It does as
 * gmx_safepoint_slow, and keeps every register of the caller, except the flags and what SVE adds to the vectors: so a
 * loop that polls has nothing to save. It may be called with a stack that is not aligned, and on x86-64 with values on
 * the stack of the x87. LLVM's calling convention preserve_all asks for a part of this. Compilers call it by the
 * address in the GOT, because lazy binding loses registers. If the rounding mode or another mode of the caller's
 * floating-point unit is not the default, it does as gmx_poll_slow_tied.
 *
 * Blocks: the goroutine, until it runs again.
 * Call from: every context; it does nothing where the caller cannot yield.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: nothing.
 * Since: 0.2
 */
GMX_API void gmx_poll_slow(void);

/**
 * As gmx_poll_slow, but the goroutine continues on the same thread, as if it had been locked to it
 * (gmx_lock_os_thread). For code that holds the address of a thread-local variable across the poll.
 *
 * Blocks: the goroutine, until it runs again.
 * Call from: every context; it does nothing where the caller cannot yield.
 * Safepoint: yes.
 * Returns: nothing.
 * Since: 0.2
 */
GMX_API void gmx_poll_slow_tied(void);

/**
 * A word of the calling goroutine: not zero while the goroutine is asked to yield, otherwise 0. It is for loops that a
 * compiler emits and for hooks of interpreters. The address stays the same to the end of the goroutine, whatever
 * thread it is on. The word is only read, as a volatile one; if it is not zero, call gmx_safepoint_slow.
 *
 *     const volatile uint32_t *asked = gmx_preempt_word();
 *     for (size_t i = 0; i < n; i++) {
 *       if (*asked) gmx_safepoint_slow();
 *       work(i);
 *     }
 *
 * gmx_poll_word is one word for all goroutines: it is not zero while there is a request to any of them, and then each
 * goroutine that polls it calls the library. The word of this function concerns its own goroutine only, and may be set
 * some milliseconds later, a slice at most.
 *
 * Owns: the word is the library's.
 * Returns: its address; on a foreign thread and in a scheduler's callback that of a word that is always 0. Never NULL.
 * Since: 0.2
 */
GMX_API const uint32_t *gmx_preempt_word(void);

/* ---- Threads of the host ---------------------------------------------------------------------------------------- */

/*
 * A thread that the library has not made may call most functions as it is, and waits as a thread. It attaches itself
 * where code that runs on it expects to be on a goroutine, as a callback does that a C library makes on a thread of
 * its own: gmx_callback for one call, gmx_attach_thread for longer.
 */

/**
 * Makes the calling thread a goroutine of its own, which holds a P, until gmx_detach_thread or the end of the thread.
 * It runs on the thread's own stack and is tied to it.
 *
 * Blocks: the thread, until it has a P.
 * Call from: foreign threads.
 * Safepoint: yes.
 * Returns: GMX_OK; GMX_EPERM if it is attached, or on a goroutine; GMX_EINSYSCALL; GMX_ENOTG; GMX_ENOMEM;
 * GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_attach_thread(void);

/**
 * Makes an attached thread an ordinary thread of the host again. Its P goes to others. What it left open (a pin, a
 * syscall, a stopped world) is ended, and it has no current token any more.
 *
 * Blocks: never; in a syscall with values under keys, whose destructors run then, the thread until it has a P.
 * Call from: attached thread, outside of callbacks.
 * Safepoint: yes.
 * Returns: GMX_OK; GMX_EPERM if the thread is not attached, or within gmx_callback; GMX_ENOTG in a scheduler's
 * callback.
 */
GMX_API gmx_status gmx_detach_thread(void);

/**
 * Runs fn(arg) as a goroutine on this very thread, whatever the thread is: a thread of the host becomes one for the
 * call (the first call of a thread makes it known, later ones cost tens of nanoseconds; it is forgotten when the
 * thread ends). A goroutine just calls fn; a goroutine in a syscall leaves the syscall for the call, and stays on its
 * thread meanwhile. Calls nest.
 *
 * Blocks: the thread, until it has a P; and as long as fn does.
 * Call from: every context but a scheduler's callback and a stopped world.
 * Safepoint: yes.
 * Owns: arg stays the caller's.
 * Returns: GMX_OK when fn has returned; GMX_EINVAL if fn is NULL; GMX_ENOTG; GMX_ENOMEM; GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_callback(void (*fn)(void*), void *arg);

/* ---- Semaphores ------------------------------------------------------------------------------------------------- */

/*
 * A semaphore counts what is left of something: permits, places, buffers. It is one word of the caller's. Use a mutex
 * for exclusion, a channel where values travel, and a semaphore where only their number matters.
 */

/**
 * Takes a permit from a semaphore, waiting while the count is 0. Any uint32_t is a semaphore, and its value is the
 * count.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes.
 * Owns: one of the count.
 * Returns: GMX_OK; GMX_ECANCELED; GMX_EINVAL if s is NULL or not aligned; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_sema_acquire(uint32_t *s);

/**
 * As gmx_sema_acquire, but gives up after timeout nanoseconds.
 *
 * Blocks: as gmx_sema_acquire, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes.
 * Owns: one of the count, if GMX_OK.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EINVAL if s is NULL or not aligned; GMX_ENOMEM; GMX_ENOTG,
 * GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_sema_acquire_timeout(uint32_t *s, int64_t timeout);

/**
 * Takes one from a semaphore if there is one.
 *
 * Safepoint: unless GMX_OK.
 * Migrates: unless GMX_OK.
 * Owns: one of the count, if GMX_OK.
 * Returns: GMX_OK; GMX_EAGAIN if the count is 0; GMX_EINVAL if s is NULL or not aligned.
 */
GMX_MUST_USE GMX_API gmx_status gmx_sema_try_acquire(uint32_t *s);

/**
 * Releases one to a semaphore, and wakes a waiter if there is one: the first, which runs next on the caller's P.
 *
 * Returns: GMX_OK; GMX_EBUSY if the count is 2^32-1; GMX_EINVAL if s is NULL or not aligned; GMX_ENOMEM from a thread
 * that the library did not know and has no memory to know.
 */
GMX_API gmx_status gmx_sema_release(uint32_t *s);

/**
 * Releases a permit, and hands it over if there is a waiter: the first waiter gets the permit, which no newcomer can
 * take before it, and runs at once, on the caller's P and in the caller's time slice. The caller goes to the end of
 * the P's run queue. For a semaphore with many waiters, where a fair order is worth a switch for each release.
 *
 * Only the permit changes hands if the caller has no P or may not leave it, or if the waiter is a thread of the host.
 *
 *     if (gmx_sema_acquire(&turn) != GMX_OK) return;
 *     take_a_turn();
 *     gmx_sema_release_handoff(&turn);
 *
 * Blocks: the goroutine, for a moment.
 * Safepoint: when it hands its P over.
 * Migrates: when it hands its P over.
 * Returns: GMX_OK; GMX_EBUSY if the count is 2^32-1; GMX_EINVAL if s is NULL or not aligned; GMX_ENOMEM from a thread
 * that the library did not know and has no memory to know.
 * Since: 0.2
 */
GMX_API gmx_status gmx_sema_release_handoff(uint32_t *s);

/**
 * How many goroutines and threads wait for a semaphore, for tests, dumps and metrics. One that was woken and has not
 * taken its permit yet does not count. The call takes time in proportion to their number. It does not read the
 * semaphore, whose memory may be gone.
 *
 *     while (gmx_sema_waiters(&ready) < 2) gmx_yield();
 *     gmx_sema_release(&ready);
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the number, which may have changed by then; 0 if s is NULL or not aligned, and without a runtime.
 * Since: 0.2
 */
GMX_API uint32_t gmx_sema_waiters(const uint32_t *s);

/* ---- Waiting at an address -------------------------------------------------------------------------------------- */

/*
 * These two calls are to goroutines what a futex is to threads: a wait for a word of memory to change. They are what
 * a lock or a queue of the host's is built from. Prefer the ready-made objects of the next sections.
 */

/**
 * For gmx_wake_address: all that wait.
 */
#define GMX_WAKE_ALL 4294967295

/**
 * Waits until gmx_wake_address is called for addr, if the size bytes there are those at expected: a futex for
 * goroutines and threads. Comparing and beginning to wait are one step, so a waker that changes the word first, and
 * wakes then, is never missed. The word is the host's: the library only reads it, atomically.
 *
 *     while (atomic_load(&word) == 0) {
 *       uint32_t zero = 0;
 *       gmx_status status = gmx_wait_on_address(&word, &zero, sizeof word, GMX_FOREVER);
 *       if (status == GMX_ECANCELED) return status;
 *     }
 *     ...
 *     atomic_store(&word, 1);
 *     gmx_wake_address(&word, GMX_WAKE_ALL);
 *
 * A wait may end without a reason: look at the word again, in a loop. The memory may be freed when no caller waits
 * there any more; a late wake for memory that serves something else by then wakes a waiter there without a reason, and
 * does no other harm.
 *
 * size: 1, 2, 4 or 8. timeout: nanoseconds.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK when it was woken; GMX_EAGAIN if the word differed; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EINVAL if addr
 * or expected is NULL, the size is another one, or addr is not a multiple of it; GMX_ENOMEM; GMX_ENOTG,
 * GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_wait_on_address(const void *addr,
                               const void *expected,
                               size_t size,
                               int64_t timeout);

/**
 * Wakes those that wait for addr in gmx_wait_on_address, at most n, in the order in which they began to wait. Change
 * the word before. addr is only a name here: the memory may be gone already.
 *
 * Returns: how many were woken, at most INT32_MAX; GMX_EINVAL if addr is NULL; GMX_ENOMEM from a thread that the
 * library did not know and has no memory to know.
 * Since: 0.2
 */
GMX_API gmx_status gmx_wake_address(const void *addr, uint32_t n);

/* ---- Mutexes ---------------------------------------------------------------------------------------------------- */

/*
 * A mutex protects memory for as long as a few lines run. It has an owner, which alone may unlock it, and a goroutine
 * may sleep or call into the system while it holds one. No order is promised, but no waiter starves: after a
 * millisecond the longest waiter has the next turn.
 */

/**
 * A mutual exclusion lock for goroutines and threads. Zero is unlocked; nothing needs to be freed. A newcomer may take
 * the lock ahead of a waiter. A waiter that was woken, lost that race and has waited for more than a millisecond gets
 * the lock at the next unlock.
 */
typedef struct gmx_mutex {
  uint64_t state;
  uint64_t reserved;
} gmx_mutex;

/**
 * Locks a mutex, waiting while another has it.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: the mutex, until gmx_mutex_unlock by the same goroutine or thread.
 * Returns: GMX_OK; GMX_EDEADLK if the caller has it; GMX_EINVAL if m is NULL or not aligned; GMX_ENOTG,
 * GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_mutex_lock(struct gmx_mutex *m);

/**
 * As gmx_mutex_lock, but gives up after timeout nanoseconds.
 *
 * Blocks: as gmx_mutex_lock, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: the mutex, if GMX_OK.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_EDEADLK if the caller has it; GMX_EINVAL if m is NULL or not
 * aligned; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_mutex_lock_timeout(struct gmx_mutex *m, int64_t timeout);

/**
 * Locks a mutex if it is free.
 *
 * Safepoint: unless GMX_OK.
 * Migrates: unless GMX_OK.
 * Owns: the mutex, if GMX_OK.
 * Returns: GMX_OK; GMX_EBUSY; GMX_EINVAL if m is NULL or not aligned.
 */
GMX_MUST_USE GMX_API gmx_status gmx_mutex_try_lock(struct gmx_mutex *m);

/**
 * Unlocks a mutex that the caller has locked.
 *
 * Returns: GMX_OK; GMX_EPERM if it is not locked, or locked by another; GMX_EINVAL if m is NULL or not aligned.
 */
GMX_API gmx_status gmx_mutex_unlock(struct gmx_mutex *m);

/**
 * How many goroutines and threads wait for a mutex. Otherwise as gmx_sema_waiters.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the number, which may have changed by then; 0 if m is NULL or not aligned, and without a runtime.
 * Since: 0.2
 */
GMX_API uint32_t gmx_mutex_waiters(const struct gmx_mutex *m);

/* ---- Recursive mutexes ------------------------------------------------------------------------------------------ */

/*
 * A mutex that its owner may lock again. It is for code that calls itself through callbacks; where that can be
 * avoided, a plain mutex is smaller and faster.
 */

/**
 * A mutex that its owner, a goroutine or a thread, may lock again, and then unlocks as often. Zero is unlocked;
 * nothing needs to be freed. Without that need take gmx_mutex, which returns GMX_EDEADLK at a second lock.
 */
typedef struct gmx_rmutex {
  gmx_mutex mutex;
  uint64_t again;
} gmx_rmutex;

/**
 * Locks a recursive mutex, waiting no longer than timeout nanoseconds while another has it. The owner locks it once
 * more.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: the mutex, until as many gmx_rmutex_unlock by the same goroutine or thread.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBUSY after 2^64 locks; GMX_EINVAL if m is NULL or not aligned;
 * GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_rmutex_lock(struct gmx_rmutex *m, int64_t timeout);

/**
 * Locks a recursive mutex if no other owner has it.
 *
 * Safepoint: unless GMX_OK.
 * Migrates: unless GMX_OK.
 * Owns: the mutex, if GMX_OK.
 * Returns: GMX_OK; GMX_EBUSY; GMX_EINVAL if m is NULL or not aligned.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_rmutex_try_lock(struct gmx_rmutex *m);

/**
 * Takes one lock of a recursive mutex back; with the last one others may have it.
 *
 * Returns: GMX_OK; GMX_EPERM if it is not locked, or locked by another; GMX_EINVAL if m is NULL or not aligned.
 * Since: 0.2
 */
GMX_API gmx_status gmx_rmutex_unlock(struct gmx_rmutex *m);

/**
 * How many goroutines and threads wait for a recursive mutex. Otherwise as gmx_sema_waiters.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the number, which may have changed by then; 0 if m is NULL or not aligned, and without a runtime.
 * Since: 0.2
 */
GMX_API uint32_t gmx_rmutex_waiters(const struct gmx_rmutex *m);

/* ---- Read-write mutexes ----------------------------------------------------------------------------------------- */

/*
 * Many readers at a time, or one writer. It pays where reading takes long and is frequent; for a few instructions a
 * plain mutex is faster. A goroutine must not read twice at a time: a writer that comes between would wait for the
 * first read, and the second for the writer.
 */

/**
 * A lock for many readers or one writer. Zero is unlocked; nothing needs to be freed. A writer that waits keeps new
 * readers out, and readers that wait for a writer go before the next writer.
 */
typedef struct gmx_rwmutex {
  gmx_mutex writers;
  uint64_t state;
  uint64_t reserved;
} gmx_rwmutex;

/**
 * Locks it for writing: waits until no reader and no other writer has it. New readers wait behind.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: the lock, until gmx_rwmutex_unlock by the same goroutine or thread.
 * Returns: GMX_OK; GMX_EDEADLK if the caller has it for writing (a reader that becomes a writer waits for
 * itself, which is not detected); GMX_EINVAL if m is NULL or not aligned; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_rwmutex_lock(struct gmx_rwmutex *m);

/**
 * As gmx_rwmutex_lock, but gives up after timeout nanoseconds. Readers that it has kept out continue then.
 *
 * Blocks: as gmx_rwmutex_lock, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: the lock, if GMX_OK.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_EDEADLK if the caller has it for writing; GMX_EINVAL if m is NULL or
 * not aligned; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_rwmutex_lock_timeout(struct gmx_rwmutex *m, int64_t timeout);

/**
 * Locks it for writing if it is free.
 *
 * Safepoint: unless GMX_OK.
 * Migrates: unless GMX_OK.
 * Owns: the lock, if GMX_OK.
 * Returns: GMX_OK; GMX_EBUSY; GMX_EINVAL if m is NULL or not aligned.
 */
GMX_MUST_USE GMX_API gmx_status gmx_rwmutex_try_lock(struct gmx_rwmutex *m);

/**
 * Unlocks it after writing. Readers that wait have it then; otherwise the next writer.
 *
 * Returns: GMX_OK; GMX_EPERM if it is not locked for writing, or by another; GMX_EINVAL if m is NULL or not aligned.
 */
GMX_API gmx_status gmx_rwmutex_unlock(struct gmx_rwmutex *m);

/**
 * Locks it for reading: waits while a writer has it or waits for it. Do not lock it twice: a writer may come between.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: a share of the lock, until gmx_rwmutex_runlock, which may be called by another.
 * Returns: GMX_OK; GMX_EDEADLK if the caller has it for writing; GMX_EINVAL if m is NULL or not aligned;
 * GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_rwmutex_rlock(struct gmx_rwmutex *m);

/**
 * As gmx_rwmutex_rlock, but gives up after timeout nanoseconds.
 *
 * Blocks: as gmx_rwmutex_rlock, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: a share of the lock, if GMX_OK.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_EDEADLK if the caller has it for writing; GMX_EINVAL if m is NULL or
 * not aligned; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_rwmutex_rlock_timeout(struct gmx_rwmutex *m, int64_t timeout);

/**
 * Locks it for reading if no writer has it or waits for it.
 *
 * Safepoint: unless GMX_OK.
 * Migrates: unless GMX_OK.
 * Owns: a share of the lock, if GMX_OK.
 * Returns: GMX_OK; GMX_EBUSY; GMX_EINVAL if m is NULL or not aligned.
 */
GMX_MUST_USE GMX_API gmx_status gmx_rwmutex_try_rlock(struct gmx_rwmutex *m);

/**
 * Unlocks it after reading.
 *
 * Returns: GMX_OK; GMX_EPERM if no reader has it; GMX_EINVAL if m is NULL or not aligned.
 */
GMX_API gmx_status gmx_rwmutex_runlock(struct gmx_rwmutex *m);

/**
 * How many goroutines and threads wait for a read-write mutex, to read or to write. Otherwise as gmx_sema_waiters.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the number, which may have changed by then; 0 if m is NULL or not aligned, and without a runtime.
 * Since: 0.2
 */
GMX_API uint32_t gmx_rwmutex_waiters(const struct gmx_rwmutex *m);

/* ---- Condition variables ---------------------------------------------------------------------------------------- */

/*
 * A condition variable waits until something that a mutex protects is true. A channel, a semaphore or a wait group
 * says the same with less to get wrong; a condition is for states that none of them describes.
 */

/**
 * Where goroutines and threads wait for something that a mutex guards. Zero is ready; nothing needs to be freed. Do
 * not copy it once a caller has waited.
 */
typedef struct gmx_cond {
  uint64_t mutex;
  uint64_t home;
} gmx_cond;

/**
 * Unlocks the mutex and waits for a signal, as one step, and locks the mutex again. Test in a loop whether the
 * expected state is there: another caller may have changed it again.
 *
 * On return the caller has the mutex, whatever the status is. Except after a wrong call, the mutex was unlocked
 * meanwhile and others could run, also if the wait was refused or the timeout has passed.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes, except for a wrong call.
 * Migrates: yes, except for a wrong call.
 * Cancellable: the wait for the signal, not the lock after it.
 * Owns: the mutex, as before.
 * Returns: GMX_OK after a signal; GMX_ECANCELED; GMX_EPERM if the caller does not have the mutex; GMX_EINVAL while
 * others wait with another mutex, for a copy of one that was used, or if c or m is NULL or not aligned; GMX_ENOTG,
 * GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_cond_wait(struct gmx_cond *c, gmx_mutex *m);

/**
 * As gmx_cond_wait, but waits for a signal no longer than timeout nanoseconds. A signal that was given
 * is not lost: either it ends this wait with GMX_OK, or it is for the next.
 *
 * Blocks: as gmx_cond_wait: for a signal no longer than timeout, then for the mutex.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes, except for a wrong call.
 * Migrates: yes, except for a wrong call.
 * Cancellable: the wait for the signal, not the lock after it.
 * Owns: the mutex, as before.
 * Returns: as gmx_cond_wait; GMX_ETIMEDOUT; GMX_ENOMEM.
 */
GMX_MUST_USE GMX_API gmx_status gmx_cond_wait_timeout(struct gmx_cond *c, gmx_mutex *m, int64_t timeout);

/**
 * Wakes the caller that has waited longest, if any waits. The calling goroutine may hold the mutex, but need not.
 *
 * Returns: GMX_OK; GMX_EINVAL for a copy of one that was used, or if c is NULL or not aligned.
 */
GMX_API gmx_status gmx_cond_signal(struct gmx_cond *c);

/**
 * Wakes all waiters.
 *
 * Returns: GMX_OK; GMX_EINVAL for a copy of one that was used, or if c is NULL or not aligned.
 */
GMX_API gmx_status gmx_cond_broadcast(struct gmx_cond *c);

/**
 * How many goroutines and threads wait for a signal. Otherwise as gmx_sema_waiters.
 *
 * A caller that holds the mutex of the waiters misses none of them: a waiter is counted before it unlocks the mutex.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the number, which may have changed by then; 0 if c is NULL or not aligned, and without a runtime.
 * Since: 0.2
 */
GMX_API uint32_t gmx_cond_waiters(const struct gmx_cond *c);

/* ---- Wait groups ------------------------------------------------------------------------------------------------ */

/*
 * A wait group counts what is under way, and wakes its waiters when nothing is. Use it where goroutines are
 * independent; use a scope where one that fails should end the others.
 */

/**
 * Counts what is under way; others wait until nothing is. Zero is ready; nothing needs to be freed. May be used again
 * after every wait.
 */
typedef struct gmx_waitgroup {
  uint64_t state;
  uint32_t sema;
  uint32_t reserved;
} gmx_waitgroup;

/**
 * Adds delta to the count. At 0 every waiter returns, even if the first waiter that is back adds to the count again or
 * frees the memory of the group.
 *
 * Returns: GMX_OK; GMX_EINVAL if the count would fall below 0 or exceed 2^31-1 (it is unchanged), or wg is NULL or not
 * aligned.
 */
GMX_API gmx_status gmx_waitgroup_add(struct gmx_waitgroup *wg, int32_t delta);

/**
 * Takes one from the count.
 *
 * Returns: as gmx_waitgroup_add with -1.
 */
GMX_API gmx_status gmx_waitgroup_done(struct gmx_waitgroup *wg);

/**
 * Starts a goroutine that runs fn(arg), and counts it until it has ended, by the return of fn or by gmx_goexit. The
 * count goes down when the destructors of the goroutine's keys have run. Otherwise as gmx_spawn.
 *
 *     gmx_waitgroup all = {0};
 *     gmx_status status = GMX_OK;
 *     for (int i = 0; i < n && status == GMX_OK; i++) status = gmx_waitgroup_go(&all, work, &jobs[i]);
 *     gmx_waitgroup_wait(&all);
 *
 * Owns: arg stays the caller's; wg is there until it has been waited for.
 * Returns: GMX_OK; and with the count as it was: GMX_EINVAL if fn is NULL, the count would exceed 2^31-1, or wg is
 * NULL or not aligned; GMX_ENOMEM; GMX_ESHUTDOWN from a thread of the host while the runtime ends.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_waitgroup_go(struct gmx_waitgroup *wg, void (*fn)(void*), void *arg);

/**
 * Waits until the count is 0.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: only by gmx_cancel_locks.
 * Returns: GMX_OK; GMX_EINVAL if wg is NULL or not aligned; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_waitgroup_wait(struct gmx_waitgroup *wg);

/**
 * As gmx_waitgroup_wait, but gives up after timeout nanoseconds.
 *
 * Blocks: as gmx_waitgroup_wait, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: only by gmx_cancel_locks.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_EINVAL if wg is NULL or not aligned; GMX_ENOMEM; GMX_ENOTG,
 * GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_waitgroup_wait_timeout(struct gmx_waitgroup *wg, int64_t timeout);

/* ---- Barriers --------------------------------------------------------------------------------------------------- */

/*
 * A barrier lets n parties meet, again and again: for computations in rounds, where each round needs the results of
 * all parts of the one before.
 */

/**
 * Where n goroutines and threads meet, again and again. GMX_BARRIER_INIT(n) makes one; nothing needs to be freed.
 * Without the initialiser, set n, and the rest to zero; n may change while there is no waiter. Do not copy it while
 * there is one.
 */
typedef struct gmx_barrier {
  /**
   * How many meet.
   */
  uint32_t n;
  uint32_t arrived;
  uint64_t reserved;
} gmx_barrier;

/**
 * Waits until n callers have arrived, this one included. In each round one of them, the last, gets *serial = true; the
 * others get false. serial may be NULL.
 *
 *     for (int i = 0; i < steps; i++) {
 *       bool serial;
 *       compute(i);
 *       if (gmx_barrier_wait(&step, &serial) != GMX_OK) return;
 *       if (serial) report(i);
 *     }
 *
 * The barrier is ready for the next round when the first caller is back. If no further round is to come, its memory
 * may be freed then.
 *
 * A caller that returns anything but GMX_OK has not arrived: the others wait for one more, which may be the same
 * caller again.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes: otherwise the others would wait forever for a caller that was canceled elsewhere.
 * Returns: GMX_OK; GMX_ECANCELED; GMX_EINVAL if n is 0, for a copy of a barrier with waiters, or if b is NULL or not
 * aligned; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_barrier_wait(struct gmx_barrier *b, bool *serial);

/**
 * As gmx_barrier_wait, but gives up after timeout nanoseconds. With 0 or less only the last caller of a round gets
 * through.
 *
 * Blocks: as gmx_barrier_wait, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes.
 * Returns: as gmx_barrier_wait; GMX_ETIMEDOUT; GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_barrier_wait_timeout(struct gmx_barrier *b, int64_t timeout, bool *serial);

/**
 * How many goroutines and threads wait at a barrier: how many have arrived in this round. Otherwise as
 * gmx_sema_waiters.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the number, which may have changed by then; 0 if b is NULL or not aligned, and without a runtime.
 * Since: 0.2
 */
GMX_API uint32_t gmx_barrier_waiters(const struct gmx_barrier *b);

/* ---- Doing something once --------------------------------------------------------------------------------------- */

/*
 * A once runs a function the first time that it is asked, and makes all callers wait until that has returned: for
 * tables that are built at their first use.
 */

/**
 * Something to be done once. Zero is ready; nothing needs to be freed.
 */
typedef struct gmx_once {
  uint32_t state;
  uint32_t reserved;
  uint64_t owner;
} gmx_once;

/**
 * Calls fn(arg) if this is the first call for this once; a caller that comes meanwhile waits until fn has returned. If
 * a goroutine ends within fn, the once is done.
 *
 * Blocks: while fn runs, as fn does; while another caller is running fn, the calling goroutine; on a foreign thread,
 * the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: arg stays the caller's.
 * Returns: GMX_OK: it is done; GMX_EDEADLK from within fn; GMX_EINVAL if once is NULL
 * or not aligned, or fn is NULL; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_once_do(struct gmx_once *once, void (*fn)(void*), void *arg);

/**
 * As gmx_once_do, but waits for another's fn no longer than timeout nanoseconds.
 *
 * Blocks: as gmx_once_do, for another no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: only by gmx_cancel_locks.
 * Owns: arg stays the caller's.
 * Returns: as gmx_once_do; GMX_ETIMEDOUT; GMX_ENOMEM.
 */
GMX_MUST_USE GMX_API gmx_status gmx_once_do_timeout(struct gmx_once *once,
                               void (*fn)(void*),
                               void *arg,
                               int64_t timeout);

/* ---- Cancellation ----------------------------------------------------------------------------------------------- */

/*
 * A token cancels waits. A goroutine runs under one; when it is canceled, or its deadline passes, what the goroutine
 * waits for ends with GMX_ECANCELED, and it tidies up and returns. Tokens form a tree: a token made under another is
 * canceled with it. Waits for locks and for the end of goroutines are not ended, so that what was begun is finished.
 */

/**
 * A token of cancellation. When a token, or the one that it was made under, is canceled, by hand or at its deadline,
 * the calls that wait for an event under it end with GMX_ECANCELED: channels, select, sleep, semaphores and condition
 * variables. The wait for a lock or for an end does not: mutex, rwmutex, once, wait group, join, leaving a scope. So a
 * caller that does not check the status of a lock holds the lock, and a join has waited, also in a scope that fails.
 * The line "Cancellable" of each function says whether a token ends its wait.
 *
 * A handle is never used again, and 0 is no handle.
 */
typedef uint64_t gmx_cancel;

/**
 * Makes a token. It is canceled by gmx_cancel_now, after timeout nanoseconds, or with the token parent (0: no parent).
 * It is canceled from the beginning if parent is, or if timeout is 0.
 *
 * Owns: the token is the caller's until gmx_cancel_free.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_ESTALE for a parent that is not valid; GMX_ENOMEM.
 */
GMX_MUST_USE GMX_API gmx_status gmx_cancel_new(gmx_cancel parent, int64_t timeout, gmx_cancel *out);

/**
 * Cancels a token and all that were made under it. A wait under one of them ends with GMX_ECANCELED, and
 * so does the next one; what it would have waited for is unchanged.
 *
 * Returns: GMX_OK, also if it was canceled already; GMX_ESTALE.
 */
GMX_API gmx_status gmx_cancel_now(gmx_cancel token);

/**
 * As gmx_cancel_now, with a reason of the caller's own, which gmx_cancel_reason returns for this token and for those
 * made under it. Waits end with GMX_ECANCELED all the same. If the token was canceled before, its reason stays.
 *
 * reason: any status below 0, of the library or of the program.
 *
 * Returns: GMX_OK, also if it was canceled already; GMX_EINVAL if reason is not below 0; GMX_ESTALE.
 * Since: 0.2
 */
GMX_API gmx_status gmx_cancel_now_because(gmx_cancel token, gmx_status reason);

/**
 * Why a token is canceled. 0: the caller's current one.
 *
 * reason: GMX_OK if it is not canceled, or there is none; GMX_ECANCELED by gmx_cancel_now; GMX_ETIMEDOUT by its
 * deadline; or what gmx_cancel_now_because was given. A token that is canceled with one above it has that one's
 * reason.
 *
 * Returns: GMX_OK; GMX_EINVAL if reason is NULL; GMX_ESTALE.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_cancel_reason(gmx_cancel token, gmx_status *reason);

/**
 * When a token is canceled at the latest, on the clock of gmx_now: the earliest of its own deadline and those above
 * it. 0: the caller's current one.
 *
 * deadline: INT64_MAX if there is none.
 *
 * Returns: GMX_OK; GMX_EINVAL if deadline is NULL; GMX_ESTALE.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_cancel_deadline(gmx_cancel token, int64_t *deadline);

/**
 * Whether a token is canceled, for a loop that waits for nothing. 0: the caller's current one.
 *
 * A stale token counts as canceled: an answer of true stays true when the token is freed, and a loop ends although
 * its token is gone. gmx_cancel_reason tells the two apart.
 *
 * Returns: true if it is canceled or stale; false if it is not canceled, for 0 if there is none, and on a thread
 * that the library did not know and has no memory to know.
 */
GMX_API bool gmx_cancel_is_canceled(gmx_cancel token);

/**
 * Makes a token the caller's current one: from now on it ends what the caller waits for, as "Cancellable" of each
 * function says. 0: none. A goroutine begins with none, except one that a scope has spawned, and ends with its own;
 * an attached thread begins with the thread's, and has none after gmx_detach_thread.
 *
 * previous: where the former token is written, unless NULL. It can be made current again even if it was freed
 * meanwhile, as long as a token that was made under it exists, or it is the current token of a goroutine or thread.
 *
 * Call from: every context but a scheduler's callback and a foreign thread that has stopped the world.
 * Owns: a token that is freed lives on as long as it is the current token of a goroutine or thread.
 * Returns: GMX_OK; GMX_ESTALE; GMX_ENOTG.
 */
GMX_API gmx_status gmx_cancel_use(gmx_cancel token, gmx_cancel *previous);

/**
 * Sets whether the caller's token also ends the caller's waits for locks and for ends: mutex, rwmutex, once, wait
 * group and join return GMX_ECANCELED then. Not to be set around code that does not check each of these calls. An
 * interpreter whose main thread has to react to a signal needs it:
 *
 *     bool before = gmx_cancel_locks(true);
 *     gmx_status status = gmx_mutex_lock(&m); // GMX_ECANCELED: it is not locked
 *     gmx_cancel_locks(before);
 *
 * A goroutine begins without it; an attached thread begins with what the thread has.
 *
 * Call from: every context; it does nothing in a scheduler's callback and on a foreign thread that has stopped the
 * world.
 * Returns: what it was before.
 * Since: 0.2
 */
GMX_API bool gmx_cancel_locks(bool too);

/**
 * Begins a shield around the caller: until gmx_cancel_unshield no token ends what the caller waits for. It is for code
 * that cleans up in a goroutine that is canceled, and has to wait for that. Shields nest. A token that is canceled
 * meanwhile stays so: gmx_cancel_reason tells it, and the first wait behind the shield ends with GMX_ECANCELED.
 *
 *     gmx_status status = gmx_chan_send(out, &block); // GMX_ECANCELED: the scope gives up
 *     if (status != GMX_OK) {
 *       gmx_cancel_shield();
 *       status = gmx_chan_send(spare, &block); // the block goes back all the same
 *       gmx_cancel_unshield();
 *     }
 *
 * A shield is the caller's alone: a goroutine that it spawns has none. A goroutine that ends within a shield has ended
 * it, and so has gmx_detach_thread.
 *
 * Call from: every context but a scheduler's callback and a foreign thread that has stopped the world.
 * Returns: GMX_OK; GMX_EBUSY if there are 2^32 - 1 around the caller; GMX_ENOTG.
 * Since: 0.2
 */
GMX_API gmx_status gmx_cancel_shield(void);

/**
 * Ends the last shield that the caller has begun and not ended.
 *
 * Call from: every context but a scheduler's callback and a foreign thread that has stopped the world.
 * Returns: GMX_OK; GMX_EPERM if there is none; GMX_ENOTG.
 * Since: 0.2
 */
GMX_API gmx_status gmx_cancel_unshield(void);

/**
 * The caller's current token.
 *
 * Returns: the token; 0 if there is none.
 */
GMX_API gmx_cancel gmx_cancel_current(void);

/**
 * Cancels the goroutine g, which was spawned with GMX_SPAWN_CANCELLABLE: its own token is canceled, so that its waits
 * for events end with GMX_ECANCELED, the one that it is in and those to come, and so do those of whatever is below
 * that token. The goroutine is not stopped: it ends when its function returns. gmx_cancel_reason gives the reason of
 * the token: a status, or any other number below zero.
 *
 * While a goroutine has another current token (gmx_cancel_use), the cancellation does not reach it.
 *
 *     gmx_spawn_opts opts = {.flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_CANCELLABLE};
 *     gmx_g worker;
 *     if (gmx_spawn_with(&opts, work, job, &worker) == GMX_OK) {
 *       if (too_late()) (void)gmx_cancel_g(worker, GMX_ECANCELED);
 *       if (gmx_join(worker, GMX_FOREVER) != GMX_OK) abort();
 *     }
 *
 * Returns: GMX_OK, also if it was canceled already, which keeps the first reason; GMX_ESTALE: it has ended;
 * GMX_EPERM: it was spawned without GMX_SPAWN_CANCELLABLE; GMX_EINVAL: reason is not below zero.
 * Since: 0.2
 */
GMX_API gmx_status gmx_cancel_g(gmx_g g, gmx_status reason);

/**
 * Frees a token. That does not cancel it: waits under it continue, tokens made under it stay as they are, and its
 * deadline still cancels it.
 *
 * Owns: the token is the library's again.
 * Returns: GMX_OK; GMX_ESTALE.
 */
GMX_API gmx_status gmx_cancel_free(gmx_cancel token);

/* ---- Scopes ----------------------------------------------------------------------------------------------------- */

/*
 * A scope starts goroutines and is left only when all have ended. The first that fails cancels the others. It is what
 * to use wherever one function starts several goroutines to do its work.
 */

/**
 * gmx_scope_end.by: nothing ended the scope before its goroutines.
 */
#define GMX_SCOPE_ITSELF 0

/**
 * gmx_scope_end.by: an error of one of its goroutines canceled the others.
 */
#define GMX_SCOPE_FAILURE 1

/**
 * gmx_scope_end.by: its deadline, or one above it.
 */
#define GMX_SCOPE_DEADLINE 2

/**
 * gmx_scope_end.by: it was canceled from outside: by gmx_scope_cancel, its token, or one above that.
 */
#define GMX_SCOPE_CANCEL 3

/**
 * Goroutines that belong together: the caller that leaves the scope waits for all of them. A handle is never used
 * again, and 0 is no handle.
 */
typedef uint64_t gmx_scope;

/**
 * By what a scope was ended: by what canceled its token first.
 */
typedef struct gmx_scope_end {
  /**
   * sizeof(gmx_scope_end) of the caller.
   */
  size_t struct_size;
  /**
   * GMX_SCOPE_*.
   */
  uint32_t by;
  /**
   * GMX_OK; after a failure its error; after a deadline GMX_ETIMEDOUT; after a cancel its reason: see
   * gmx_cancel_reason.
   */
  gmx_status status;
  /**
   * After a failure the goroutine that failed, which has ended since; otherwise 0.
   */
  gmx_g g;
} gmx_scope_end;

/**
 * Makes a scope. It has a token of cancellation under the caller's current one, which is canceled when a goroutine of
 * the scope fails, or after timeout nanoseconds.
 *
 * Call from: G, attached thread, foreign thread; also in a syscall, pinned, or with the world stopped.
 * Owns: the scope is the caller's until gmx_scope_leave.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_ENOMEM; GMX_ENOTG in a scheduler's callback.
 */
GMX_MUST_USE GMX_API gmx_status gmx_scope_new(int64_t timeout, gmx_scope *out);

/**
 * Starts a goroutine in a scope that runs fn(arg), under the scope's token. What fn returns is an error if it is below
 * 0: the first one is kept, and cancels the token.
 *
 * Owns: arg stays the caller's.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL, or for more than 2^31-1; GMX_ESTALE if the scope was left; GMX_ENOMEM;
 * GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_scope_spawn(gmx_scope scope, gmx_status (*fn)(void*), void *arg);

/**
 * Puts the caller into a scope, under its token, until gmx_scope_leave: the deadline of the scope, the first error of
 * its goroutines and gmx_scope_cancel end what the caller waits for, as if it were one of them. Leaving the scope
 * makes the caller's former token the current one again. Scopes nest, and may be left in any order.
 *
 * One goroutine or thread at a time is in a scope, and only it leaves the scope. If it ends before, or the thread is
 * detached, no caller is in the scope, and any other may leave it.
 *
 * Call from: G, attached thread, foreign thread; also in a syscall, pinned, or with the world stopped by a goroutine.
 * Owns: the scope is there until it is left.
 * Returns: GMX_OK; GMX_EBUSY if a goroutine or thread is in the scope, perhaps the caller, or leaves it; GMX_EDEADLK
 * from a goroutine of the scope, or of a scope that such a one has made; GMX_ESTALE; GMX_ENOMEM; GMX_ENOTG in a
 * scheduler's callback and on a thread that has stopped the world.
 */
GMX_MUST_USE GMX_API gmx_status gmx_scope_enter(gmx_scope scope);

/**
 * Waits until all goroutines of a scope have ended, and frees the scope. Neither the caller's own token nor that of
 * the scope ends the wait: the cancellation has reached the goroutines.
 *
 * timeout: nanoseconds; GMX_FOREVER; 0 only looks.
 *
 * result: where the first error is written, or GMX_OK, unless NULL.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Owns: on GMX_OK the scope is the library's again.
 * Returns: GMX_OK: it is left; GMX_ETIMEDOUT: it is not left, and the call has canceled nothing; GMX_EBUSY while
 * another leaves it; GMX_EPERM if another has entered it; GMX_EDEADLK from a goroutine of the scope, or of a scope
 * that such a one has made; GMX_ESTALE; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_scope_leave(gmx_scope scope, int64_t timeout, gmx_status *result);

/**
 * As gmx_scope_leave, and says by what the scope was ended.
 *
 *     gmx_scope_end end = {.struct_size = sizeof end};
 *     gmx_status status = gmx_scope_leave_why(scope, timeout, &end);
 *     if (status != GMX_OK) return status; // GMX_ETIMEDOUT: it is not left
 *     if (end.by == GMX_SCOPE_DEADLINE) return late();
 *     if (end.by == GMX_SCOPE_FAILURE) return failed(end.status);
 *
 * Blocks: as gmx_scope_leave.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Owns: on GMX_OK the scope is the library's again.
 * Returns: as gmx_scope_leave; GMX_EINVAL if end is NULL or its struct_size cannot be: the scope is not left.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_scope_leave_why(gmx_scope scope, int64_t timeout, struct gmx_scope_end *end);

/**
 * Cancels the token of a scope: what its goroutines wait for ends with GMX_ECANCELED.
 *
 * Returns: GMX_OK; GMX_ESTALE.
 */
GMX_API gmx_status gmx_scope_cancel(gmx_scope scope);

/**
 * The token of a scope: for tokens to be made under it, and to ask for its reason.
 *
 * Owns: the token is the scope's; leaving the scope frees it.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_ESTALE.
 */
GMX_MUST_USE GMX_API gmx_status gmx_scope_token(gmx_scope scope, gmx_cancel *out);

/* ---- Parallel loops --------------------------------------------------------------------------------------------- */

/*
 * A loop over numbers, cut into pieces that run on several processors: for computation on arrays. The caller takes
 * part, and returns when all of it is done.
 */

/**
 * Calls fn(arg, begin, end) for ranges that together are the numbers from 0 to n - 1, each once, on the caller and on
 * as many other goroutines as Ps have nothing else to do; returns when all calls have returned. The range of a
 * goroutine is cut in two only when it has run for a while and another P is idle, so a short loop costs little more
 * than its calls.
 *
 *     static void square(void *arg, int64_t begin, int64_t end) {
 *       float *v = arg;
 *       for (int64_t i = begin; i < end; i++) v[i] *= v[i];
 *     }
 *     ...
 *     gmx_status status = gmx_parallel_for(count, 0, square, v);
 *
 * grain: the most numbers of one call, and the fewest that are worth a goroutine. 0: as many as take some
 * microseconds, found out while the loop runs. A range of no more than four grains for each P is cut at once.
 *
 * fn always runs on a goroutine: the caller, or another one for which the same token of cancellation counts (a foreign
 * thread only waits). It may wait, and call gmx_parallel_for; while it waits, the rest of its goroutine's range waits
 * too. It must return: gmx_goexit is refused. When the token is canceled no further ranges are begun; the calls that
 * run are waited for. So in a scope whose other children have failed the loop ends early.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread, until all calls have returned.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: between calls of fn; the wait for calls that run is not.
 * Owns: arg stays the caller's.
 * Returns: GMX_OK; GMX_ECANCELED if numbers were left out; GMX_EINVAL if fn is NULL, or n or grain is below 0;
 * GMX_ENOMEM and GMX_ESHUTDOWN on a foreign thread; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_parallel_for(int64_t n,
                            int64_t grain,
                            void (*fn)(void*, int64_t, int64_t),
                            void *arg);

/* ---- Channels --------------------------------------------------------------------------------------------------- */

/*
 * A channel carries values from goroutine to goroutine, and waits where there is none or no room. It is the first
 * thing to reach for where two goroutines share work; a mutex is for state that stays where it is. A channel that is
 * closed tells all its receivers that no more will come.
 */

/**
 * A capacity without a bound: gmx_chan_new.
 */
#define GMX_UNBOUNDED SIZE_MAX

/**
 * For `gmx_select_case`: receive.
 */
#define GMX_CASE_RECV 0

/**
 * For `gmx_select_case`: send.
 */
#define GMX_CASE_SEND 1

/**
 * For `gmx_select_case`: until a receive would not wait: there is a value or a sender, or the channel is closed.
 */
#define GMX_CASE_RECV_READY 2

/**
 * For `gmx_select_case`: until a send would not wait: there is room or a receiver, or the channel is closed.
 */
#define GMX_CASE_SEND_READY 3

/**
 * A channel: values of one size, from senders to receivers, first in first out.
 */
typedef struct gmx_chan gmx_chan;

/**
 * An operation that gmx_select may choose. The reserved words are the library's while it waits. An array of cases may
 * be used again, but by one gmx_select at a time.
 */
typedef struct gmx_select_case {
  /**
   * NULL: this case is never ready.
   */
  struct gmx_chan *chan;
  /**
   * The value to send, or where to put what is received; NULL drops it. Not used by the cases that end in READY.
   */
  void *elem;
  /**
   * GMX_CASE_RECV, GMX_CASE_SEND, GMX_CASE_RECV_READY, GMX_CASE_SEND_READY.
   */
  uint32_t op;
  uint32_t reserved0;
  uint64_t reserved[5];
} gmx_select_case;

/**
 * Makes a channel for values of elem_size bytes (0: it only tells that something happened) with room for capacity of
 * them (0: sender and receiver meet).
 *
 * With GMX_UNBOUNDED as the capacity there is room as long as there is memory: a send never waits, and returns
 * GMX_ENOMEM if it gets no memory. For senders that must not wait for the receivers, such as callbacks of a library.
 * Senders that are faster than the receivers for long fill the memory; a bound is what slows them down. The values lie
 * in segments of about 1 KiB (or one value, if that is larger). A segment is allocated when the ones before it are
 * full, and freed when its values have been received, except two that the channel keeps.
 *
 * Owns: the caller has one reference; gmx_chan_free gives it back.
 * Returns: GMX_OK; GMX_EINVAL if the size of everything does not fit (for GMX_UNBOUNDED: that of one value), or chan
 * is NULL; GMX_ENOMEM.
 */
GMX_MUST_USE GMX_API gmx_status gmx_chan_new(size_t elem_size, size_t capacity, struct gmx_chan **chan);

/**
 * As gmx_chan_new, with so many references at once, one for each user of the channel. The rule by which a program
 * neither leaks channels nor frees them too early: each user of a channel has a reference of its own, and returns it
 * by gmx_chan_free when it will not use the channel any more; a reference that lies in a message belongs to the
 * receiver of the message. So no user needs to know which user is the last.
 *
 * For a request and its reply: the client makes the reply's channel with a capacity of 1 and two references, and sends
 * the pointer with the request. The server sends the reply, which never waits, and frees. The client receives, or
 * gives up after a while, and frees. The second of the two frees the channel. If the request could not be sent, the
 * client frees both. The side that closes the channel of requests receives what is left in it, and frees the reference
 * in each: the values in a channel are bytes to the library.
 *
 *     gmx_status s = gmx_chan_new_refs(sizeof answer, 1, 2, &ask.reply); // for me, and for the server
 *     if (s != GMX_OK) return s;
 *     s = gmx_chan_send(requests, &ask);
 *     if (s == GMX_OK) s = gmx_chan_recv_timeout(ask.reply, &answer, timeout);
 *     else gmx_chan_free(ask.reply);
 *     gmx_chan_free(ask.reply);
 *
 * Owns: the caller has so many references; each is freed by one gmx_chan_free.
 * Returns: GMX_OK; GMX_EINVAL if refs is 0, the size of everything does not fit, or chan is NULL; GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_chan_new_refs(size_t elem_size,
                             size_t capacity,
                             uint32_t refs,
                             struct gmx_chan **chan);

/**
 * One more reference to a channel, for another user, which will call gmx_chan_free.
 *
 * Owns: one more reference.
 * Returns: GMX_OK; GMX_EINVAL if chan is NULL or no channel of this process.
 */
GMX_API gmx_status gmx_chan_ref(struct gmx_chan *chan);

/**
 * Frees a reference to a channel; the last one frees the channel with the values in it. A caller that waits at a
 * channel needs a reference that outlives the wait: its own, or that of a caller that waits for its end.
 *
 * Owns: takes one reference, if GMX_OK.
 * Returns: GMX_OK; GMX_EBUSY if it is the last one and a caller waits there: nothing has changed; GMX_EINVAL if chan
 * is NULL or no channel of this process.
 */
GMX_API gmx_status gmx_chan_free(struct gmx_chan *chan);

/**
 * Sends a value: gives it to a receiver that waits, or puts it behind the others, or waits for either. NULL as a
 * channel waits forever.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes.
 * Owns: the bytes at elem are copied, once.
 * Returns: GMX_OK: it was received, or will be by the next receiver; GMX_ECLOSED: the channel is closed, or was closed
 * while the call waited; GMX_ECANCELED; GMX_ENOMEM if the channel has no bound, and there is no memory for the value;
 * GMX_EINVAL if chan is no channel of this process, or elem is NULL and values have a size; GMX_ENOTG, GMX_EINSYSCALL.
 * If it is not GMX_OK nothing was sent.
 */
GMX_MUST_USE GMX_API gmx_status gmx_chan_send(struct gmx_chan *chan, const void *elem);

/**
 * Receives a value: the oldest in the channel, or that of a sender that waits, or waits for one. NULL as a channel
 * waits forever.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes.
 * Owns: the value is copied to elem; NULL drops it.
 * Returns: GMX_OK; GMX_ECLOSED: the channel is closed and nothing is left in it; the bytes at elem are zero then;
 * GMX_ECANCELED; GMX_EINVAL if chan is no channel of this process; GMX_ENOTG, GMX_EINSYSCALL.
 */
GMX_MUST_USE GMX_API gmx_status gmx_chan_recv(struct gmx_chan *chan, void *elem);

/**
 * Sends a value if it need not wait.
 *
 * Safepoint: unless GMX_OK.
 * Migrates: unless GMX_OK.
 * Owns: the bytes at elem are copied, if GMX_OK.
 * Returns: GMX_OK; GMX_EAGAIN: it would have to wait, or chan is NULL; GMX_ECLOSED; GMX_ENOMEM, GMX_EINVAL as
 * gmx_chan_send.
 */
GMX_MUST_USE GMX_API gmx_status gmx_chan_try_send(struct gmx_chan *chan, const void *elem);

/**
 * Receives a value if it need not wait.
 *
 * Safepoint: unless GMX_OK.
 * Migrates: unless GMX_OK.
 * Owns: the value is copied to elem, if GMX_OK; NULL drops it.
 * Returns: GMX_OK; GMX_EAGAIN: it would have to wait, or chan is NULL; GMX_ECLOSED as gmx_chan_recv; GMX_EINVAL if
 * chan is no channel of this process.
 */
GMX_MUST_USE GMX_API gmx_status gmx_chan_try_recv(struct gmx_chan *chan, void *elem);

/**
 * As gmx_chan_send, but gives up after timeout nanoseconds.
 *
 * Blocks: as gmx_chan_send, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes.
 * Owns: as gmx_chan_send.
 * Returns: as gmx_chan_send; GMX_ETIMEDOUT; GMX_ENOMEM if there is no memory for the timer.
 */
GMX_MUST_USE GMX_API gmx_status gmx_chan_send_timeout(struct gmx_chan *chan, const void *elem, int64_t timeout);

/**
 * As gmx_chan_recv, but gives up after timeout nanoseconds.
 *
 * Blocks: as gmx_chan_recv, no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes.
 * Owns: as gmx_chan_recv.
 * Returns: as gmx_chan_recv; GMX_ETIMEDOUT; GMX_ENOMEM if there is no memory for the timer.
 */
GMX_MUST_USE GMX_API gmx_status gmx_chan_recv_timeout(struct gmx_chan *chan, void *elem, int64_t timeout);

/**
 * Closes a channel: nothing can be sent any more. What is in it can still be received; waits at it end.
 *
 * Owns: nothing; the reference stays.
 * Returns: GMX_OK; GMX_ECLOSED if it was closed already; GMX_EINVAL if chan is NULL or no channel of this process.
 */
GMX_API gmx_status gmx_chan_close(struct gmx_chan *chan);

/**
 * Closes a channel whose values are wanted no more: as gmx_chan_close, and what is left in the channel is dropped.
 * Receivers get GMX_ECLOSED at once. For the side that receives, when it ends before the senders do. In a channel that
 * is closed already the values that are left are dropped all the same.
 *
 * The caller calls drop(arg, elem) for each value that was left, the oldest first, and drop frees what the value owns.
 * NULL forgets the values. The channel is closed by then and no lock is held: drop may do whatever the caller may.
 * elem is valid until drop returns. If drop does not return from a value, the values after it are lost. A sender that
 * waits keeps its value, and gets GMX_ECLOSED.
 *
 *     static void drop_line(void *arg, void *elem) {
 *       (void)arg;
 *       free(*(char **)elem);
 *     }
 *     ...
 *     gmx_chan_close_drop(lines, drop_line, NULL); // enough lines: the senders may stop
 *
 * Blocks: never, except for what drop does.
 * Safepoint: no, except for what drop does.
 * Migrates: no, except for what drop does.
 * Owns: nothing; the reference stays. Each value is drop's.
 * Returns: GMX_OK, also if it was closed already; GMX_EINVAL if chan is NULL or no channel of this process.
 * Since: 0.2
 */
GMX_API gmx_status gmx_chan_close_drop(struct gmx_chan *chan, void (*drop)(void*, void*), void *arg);

/**
 * How many values are in a channel.
 *
 * Returns: the number, which may have changed by then; 0 for NULL.
 */
GMX_API size_t gmx_chan_len(struct gmx_chan *chan);

/**
 * For how many values a channel has room.
 *
 * Returns: the capacity, GMX_UNBOUNDED if it has no bound; 0 for NULL.
 */
GMX_API size_t gmx_chan_cap(struct gmx_chan *chan);

/**
 * Whether a channel is closed: nothing can be sent any more. Values that are left in it can still be received, and
 * gmx_chan_len tells how many. A closed channel stays closed; false may be out of date when the call returns.
 *
 * Returns: true if it is closed; false otherwise, and for NULL and what is no channel of this process.
 * Since: 0.2
 */
GMX_API bool gmx_chan_is_closed(struct gmx_chan *chan);

/**
 * How many goroutines and threads wait at a channel, to send and to receive: for tests, dumps and metrics. A
 * gmx_select counts once for each of its cases, except those that end in READY. Both numbers are of one moment. The
 * call looks at every waiter, and holds the channel meanwhile.
 *
 *     size_t senders;
 *     do gmx_yield();
 *     while (gmx_chan_waiters(c, &senders, NULL) == GMX_OK && senders == 0); // until a sender waits
 *
 * Returns: GMX_OK: senders and receivers, each of which may be NULL, have the numbers, which may be out of date
 * already; GMX_EINVAL if chan is NULL or no channel of this process.
 * Since: 0.2
 */
GMX_API gmx_status gmx_chan_waiters(struct gmx_chan *chan, size_t *senders, size_t *receivers);

/**
 * Does one of n cases: one that is ready, chosen at random if several are, or the first that becomes ready. Gives up
 * after timeout nanoseconds; 0 at once: what default is in Go. Without a case (n is 0, or every channel is NULL) it
 * waits for its timeout. A channel may stand in several cases: each of them is chosen as often.
 *
 * A case with GMX_CASE_RECV_READY or GMX_CASE_SEND_READY receives and sends nothing: it is chosen, with GMX_OK, when a
 * receive (a send) would not wait at that moment. So a sender can make its value when there is a place for it. Another
 * caller may take the place before, so try without waiting, and select again on GMX_EAGAIN. All selects that wait for
 * the same moment are woken; callers that wait to send or receive come first. At a channel with a capacity of 0, two
 * selects that wait for each other in this way wait forever: one of the two sides has to send or receive.
 *
 *     gmx_select_case cases[] = {GMX_SEND_READY(frames), GMX_RECV(stop, NULL)};
 *     size_t chosen;
 *     while (gmx_select(cases, 2, GMX_FOREVER, &chosen) == GMX_OK && chosen == 0) {
 *       frame = newest_frame(); // not one that has become old while it waited for room
 *       if (gmx_chan_try_send(frames, &frame) == GMX_ECLOSED) break;
 *     }
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; never if timeout is 0.
 * Call from: G, attached thread, foreign thread; with timeout 0 every context.
 * Safepoint: when it waits, and unless GMX_OK.
 * Migrates: when it waits, and unless GMX_OK.
 * Cancellable: yes.
 * Owns: the cases, until it returns.
 * Returns: GMX_OK: the case chosen was done; GMX_ECLOSED: the channel of the case chosen is closed (and a receiver's
 * value zero); GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EINVAL if a case has an op that is not one of these, a channel of
 * another process, or nothing to send, or cases is NULL and n is not 0, or not aligned; GMX_ENOMEM if there is
 * no memory for the timer, or for what a case sends to a channel without a bound, and no case was done; GMX_ENOTG,
 * GMX_EINSYSCALL. chosen, which may be NULL, is always written: n if no case was chosen.
 */
GMX_MUST_USE GMX_API gmx_status gmx_select(struct gmx_select_case *cases, size_t n, int64_t timeout, size_t *chosen);

/* ---- Being told of a cancellation ------------------------------------------------------------------------------- */

/*
 * A function runs when a token is canceled: for code that ends a wait outside the library, such as a read from a
 * socket.
 */

/**
 * A function that runs when a token is canceled. A handle is never used again, and 0 is no handle.
 */
typedef uint64_t gmx_cancel_hook;

/**
 * A channel that is closed when a token is canceled, for gmx_select: one of its cases may be a cancellation, or
 * several may, of different tokens. Nothing is ever sent there, and only the library closes it. 0: the caller's
 * current token.
 *
 *     gmx_status status = gmx_cancel_chan(0, &canceled);
 *     if (status != GMX_OK) return status;
 *     gmx_select_case cases[2] = {{.chan = jobs, .elem = &job}, {.chan = canceled}};
 *     status = gmx_select(cases, 2, timeout, &chosen); // chosen == 1 and GMX_ECLOSED: canceled
 *
 * Each call returns the same channel. If the token ends without being canceled, the channel stays open.
 *
 * Owns: the caller has one reference, also when the token is freed; gmx_chan_free gives it back.
 * Returns: GMX_OK, also if the token is canceled; GMX_EINVAL if out is NULL; GMX_ESTALE, also for 0 if there is none;
 * GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_cancel_chan(gmx_cancel token, gmx_chan **out);

/**
 * Runs fn(arg) on a goroutine of its own when a token is canceled; at once if it is. 0: the caller's current token.
 * The goroutine is under no token.
 *
 * hook: where the hook is written, which gmx_cancel_hook_stop frees. NULL: fn is not to be stopped.
 *
 *     gmx_cancel_hook hook;
 *     gmx_status status = gmx_cancel_after(0, wakes_the_reader, &reader, &hook); // read_all waits outside the library
 *     if (status != GMX_OK) return status;
 *     read_all(&reader);
 *     bool stopped;
 *     gmx_cancel_hook_stop(hook, &stopped); // false: wakes_the_reader runs, or has run
 *
 * Owns: arg stays the caller's. The hook is the caller's until gmx_cancel_hook_stop, and the token lives until then;
 * without a hook, until fn is started.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_ESTALE, also for 0 if there is none; GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_cancel_after(gmx_cancel token, void (*fn)(void*), void *arg, gmx_cancel_hook *hook);

/**
 * Ends a hook of gmx_cancel_after. It does not wait for fn.
 *
 * stopped (may be NULL): true if fn will not be started; false if fn runs, has run, or is about to run.
 *
 * Owns: the hook is the library's again.
 * Returns: GMX_OK; GMX_ESTALE.
 * Since: 0.2
 */
GMX_API gmx_status gmx_cancel_hook_stop(gmx_cancel_hook hook, bool *stopped);

/* ---- Time ------------------------------------------------------------------------------------------------------- */

/*
 * The clock is monotonic, in nanoseconds, and the same for every call of this library that takes a moment.
 */

/**
 * A timeout without an end. All others are nanoseconds; one of 0 or less has passed: the call looks once.
 */
#define GMX_FOREVER INT64_MAX

/**
 * The monotonic clock, in nanoseconds from a point that does not matter.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the time.
 */
GMX_API int64_t gmx_now(void);

/**
 * Sleeps for at least this many nanoseconds; 0 or less yields; with GMX_FOREVER only a canceled token ends the sleep.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK; GMX_ECANCELED; GMX_ENOMEM if there is no memory for the timer: it has not slept; GMX_ENOTG,
 * GMX_EINSYSCALL.
 */
GMX_API gmx_status gmx_sleep(int64_t ns);

/**
 * The moment, on the clock of gmx_now, at which a timeout ends that begins now. For several waits that share one end:
 *
 *     int64_t end = gmx_deadline(timeout);
 *     while (!done && s == GMX_OK) s = gmx_cond_wait_timeout(&c, &m, gmx_time_left(end));
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the moment; GMX_FOREVER for GMX_FOREVER and for whatever is too far away.
 * Since: 0.2
 */
GMX_API int64_t gmx_deadline(int64_t timeout);

/**
 * The timeout that ends at a moment of gmx_deadline.
 *
 * Call from: every context; it does not start the runtime.
 * Returns: the nanoseconds until then; GMX_FOREVER for GMX_FOREVER; 0 if it has passed.
 * Since: 0.2
 */
GMX_API int64_t gmx_time_left(int64_t deadline);

/* ---- Timers ----------------------------------------------------------------------------------------------------- */

/*
 * A timer sends the time to a channel, or runs a function, once or again and again. For a limit on one wait use the
 * call with a timeout; for a limit on everything that a goroutine does, a token with a deadline.
 */

/**
 * A timer. A handle is never used again, and 0 is no handle.
 */
typedef uint64_t gmx_timer;

/**
 * Runs fn(arg) on a goroutine of its own after delay nanoseconds (GMX_FOREVER: not before gmx_timer_reset). NULL out:
 * it cannot be stopped, and nothing needs to be freed; delay is not GMX_FOREVER then.
 *
 * Owns: arg stays the caller's; the timer is the caller's until gmx_timer_free.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL, or for GMX_FOREVER with a NULL out; GMX_ENOMEM.
 */
GMX_MUST_USE GMX_API gmx_status gmx_after_func(int64_t delay, void (*fn)(void*), void *arg, gmx_timer *out);

/**
 * Makes a timer with a channel of int64_t: after delay nanoseconds (GMX_FOREVER: not before gmx_timer_reset) the time
 * of gmx_now is sent to it, and then every period nanoseconds; 0: once. There is room for one time: a slow receiver
 * loses some.
 *
 * Owns: the timer is the caller's until gmx_timer_free, and so is one reference to the channel until gmx_chan_free.
 * Only the timer may send to the channel.
 * Returns: GMX_OK; GMX_EINVAL if out or chan is NULL, or period is negative; GMX_ENOMEM.
 */
GMX_MUST_USE GMX_API gmx_status gmx_timer_new(int64_t delay, int64_t period, gmx_timer *out, gmx_chan **chan);

/**
 * Makes a channel of int64_t that gets one value: the time of gmx_now, once delay nanoseconds have passed
 * (GMX_FOREVER: never). With a delay of 0 or less the value is in the channel when the call returns. For a gmx_select
 * that waits for several things and a moment, and for a moment that several wait for.
 *
 * The channel brings its timer along: there is nothing to stop, and gmx_chan_free ends both, before or after the value
 * came.
 *
 *     gmx_chan *late;
 *     if (gmx_after(5000000000, &late) != GMX_OK) return;
 *     gmx_select_case cases[] = {GMX_RECV(answers, &answer), GMX_RECV(late, NULL)};
 *     gmx_status status = gmx_select(cases, 2, GMX_FOREVER, &chosen);
 *     gmx_chan_free(late);
 *
 * Owns: the caller has one reference to the channel until gmx_chan_free. Only the timer may send to the channel.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_after(int64_t delay, gmx_chan **out);

/**
 * Makes a timer that sends the time every period nanoseconds: gmx_timer_new with period as both delay and period.
 *
 * Owns: as gmx_timer_new.
 * Returns: as gmx_timer_new; GMX_EINVAL if period is not above 0.
 */
GMX_MUST_USE GMX_API gmx_status gmx_ticker_new(int64_t period, gmx_timer *out, gmx_chan **chan);

/**
 * Sets a timer anew, whatever it did: it fires after delay nanoseconds (GMX_FOREVER: never), and then every period; 0:
 * once. It stops the timer first, as gmx_timer_stop does: no earlier firing is seen any more.
 *
 * A function that is called again and again is not called while the goroutine of the last firing has not begun.
 *
 * Owns: nothing. stopped (may be NULL) gets whether that prevented an earlier firing.
 * Returns: GMX_OK; GMX_ESTALE; GMX_EINVAL if period is negative; GMX_ENOMEM: it is stopped.
 */
GMX_MUST_USE GMX_API gmx_status gmx_timer_reset(gmx_timer timer, int64_t delay, int64_t period, bool *stopped);

/**
 * Sets a timer to fire every period nanoseconds from now on: gmx_timer_reset with period as both delay and period.
 *
 * Owns: as gmx_timer_reset.
 * Returns: as gmx_timer_reset; GMX_EINVAL if period is not above 0.
 */
GMX_MUST_USE GMX_API gmx_status gmx_ticker_reset(gmx_timer timer, int64_t period, bool *stopped);

/**
 * Stops a timer. When it has returned no function of this timer begins any more, and no time of before can be received
 * from its channel. A function that has begun continues.
 *
 * Owns: nothing. stopped (NULL: not asked for) gets true if it was set, or had fired and the time was not received, or
 * its function had not begun; false if there was nothing to stop.
 * Returns: GMX_OK; GMX_ESTALE.
 */
GMX_API gmx_status gmx_timer_stop(gmx_timer timer, bool *stopped);

/**
 * Stops a timer, as gmx_timer_stop, and frees it. Its channel stays as long as there is a reference to it.
 *
 * Owns: the timer is the library's again. stopped: as gmx_timer_stop.
 * Returns: GMX_OK; GMX_ESTALE; GMX_EBUSY if there is no reference to its channel and a caller waits there all the
 * same: the timer is stopped only.
 */
GMX_API gmx_status gmx_timer_free(gmx_timer timer, bool *stopped);

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

/*
 * A goroutine that reads from a socket should not keep a thread for that. So the library makes each call on a
 * descriptor without waiting; if there is nothing to do, the goroutine parks, and continues when the system says that
 * the descriptor is ready. gmx_poll_open gives a handle to a descriptor: a socket, a pipe, an eventfd, a terminal, a
 * file. The calls of the next two sections take handles. After gmx_close a handle names nothing, also when the system
 * uses the number again.
 *
 *     gmx_poll conn;
 *     gmx_status status = gmx_poll_open(fd, 0, &conn);
 *     if (status != GMX_OK) return status;
 *     char line[128];
 *     status = gmx_read(conn, line, sizeof line, 5000000000);
 *     if (status > 0) status = gmx_write(conn, line, (size_t)status, GMX_FOREVER, NULL);
 *     gmx_close(conn);
 *
 * Any number of goroutines and threads may use a handle at the same time. Those that read take turns in the order in
 * which they come, and so do those that write: what a gmx_write writes is not mixed with what another one does. A
 * reader and a writer do not wait for each other.
 *
 * Two limits end a wait: the timeout of the call, and the deadline of the handle (gmx_poll_set_deadline).
 *
 * Regular files are always ready, as the system sees it: the section "Files" says how they are read and written. A
 * call on a borrowed descriptor that waits and cannot be told not to, such as a terminal, takes its thread for as long
 * as it lasts, as between gmx_enter_syscall and gmx_exit_syscall; it is made when there is something to do, but may
 * outlast its timeout.
 */

/**
 * For gmx_poll_open: the descriptor remains the caller's. The library neither closes it nor changes its flags, and the
 * caller closes it only after gmx_close.
 */
#define GMX_POLL_BORROW 1

/**
 * For gmx_poll_open of a listener, and for gmx_listen_opts: while the system has no descriptor or no memory for a
 * connection (EMFILE, ENFILE, ENOBUFS, ENOMEM), gmx_accept waits and tries again, after 5 ms at first and after 1 s at
 * most. The connections stay in the queue of the listener meanwhile. Without this flag such an error is the caller's.
 */
#define GMX_ACCEPT_PATIENT 2

/**
 * Something can be read, a connection can be accepted, or there is nothing more to come.
 */
#define GMX_POLL_IN 1

/**
 * Something can be written, or the attempt to connect is over.
 */
#define GMX_POLL_OUT 4

/**
 * An error.
 */
#define GMX_POLL_ERR 8

/**
 * The other end is closed.
 */
#define GMX_POLL_HUP 16

/**
 * The other end writes no more.
 */
#define GMX_POLL_RDHUP 8192

/**
 * A descriptor that goroutines wait for. A handle is never used again, and 0 is no handle.
 */
typedef uint64_t gmx_poll;

/**
 * Gives a handle to a descriptor. The descriptor belongs to the handle from here on, and gmx_close closes it, unless
 * flags has GMX_POLL_BORROW. The other flag is GMX_ACCEPT_PATIENT.
 *
 * O_NONBLOCK is set, except for borrowed descriptors, for files, and for 0, 1 and 2, which other processes may share.
 * Nothing else of the descriptor changes, and it is not used before the first call.
 *
 * Owns: the descriptor is the handle's if GMX_OK, unless it is borrowed.
 * Returns: GMX_OK; GMX_EBADF if fd is not open; GMX_EINVAL if out is NULL or flags has another bit; GMX_ENOTSUP after
 * a start with GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ESHUTDOWN; the errno of the system, negated, if it has no
 * descriptors for the library.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_poll_open(int32_t fd, uint32_t flags, gmx_poll *out);

/**
 * The number of the descriptor, for calls of the system that the library does not have, such as setsockopt. It is
 * good until gmx_close.
 *
 * Returns: the number; GMX_EBADF after gmx_close, or if there never was such a handle.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_poll_fd(gmx_poll p);

/**
 * Waits until the descriptor is ready for one of events: GMX_POLL_IN, GMX_POLL_OUT, or both. An error or a hang-up
 * always ends the wait; with GMX_POLL_IN so does an end that writes no more. *ready says what is there, in the bits of
 * poll. It may be gone when the caller uses it, if others use the descriptor too.
 *
 * The deadline of each direction in events counts, as for a call in this direction. Several callers may wait for the
 * same.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile; GMX_EINVAL if ready is NULL
 * or events has neither bit or another one; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_poll_wait(gmx_poll p, uint32_t events, int64_t timeout, uint32_t *ready);

/**
 * Sets the moment, on the clock of gmx_now, at which calls in a direction end with GMX_ETIMEDOUT: those that wait now
 * as well as later ones, also if there is something to read. which: GMX_POLL_IN for reads and accepts, GMX_POLL_OUT
 * for writes and connects, or both. GMX_FOREVER: no deadline, as at the beginning. A deadline limits a conversation of
 * many calls, of which each has its timeout as well.
 *
 *     int64_t at = gmx_now() + 30000000000;
 *     if (gmx_poll_set_deadline(conn, GMX_POLL_IN | GMX_POLL_OUT, at) != GMX_OK) return;
 *
 * Returns: GMX_OK; GMX_EBADF if p is closed; GMX_EINVAL if which has neither bit or another one.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_poll_set_deadline(gmx_poll p, uint32_t which, int64_t when);

/**
 * Ends the handle as gmx_close does, and gives the descriptor back: it stays open. Its O_NONBLOCK stays as it is.
 *
 * Blocks: as gmx_close.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: the descriptor is the caller's again.
 * Returns: as gmx_close; GMX_EINVAL if fd is NULL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_poll_release(gmx_poll p, int32_t *fd);

/**
 * Ends a handle, and closes its descriptor unless that is borrowed. Each call that waits there returns GMX_EBADF, and
 * each later one does; gmx_close returns when the last of them has left.
 *
 * Blocks: the calling goroutine (on a foreign thread, the thread) for a moment, or until a call has returned that was
 * made on a thread of its own: on a file, or on a descriptor that waits.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: the handle is gone, and so is the descriptor unless it is borrowed.
 * Returns: GMX_OK; GMX_EBADF if it is closed already, or is being closed; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_API gmx_status gmx_close(gmx_poll p);

/**
 * As gmx_poll_wait, for a descriptor without a handle, which stays the caller's. It must not be closed meanwhile. For
 * one wait: several are cheaper with a handle.
 *
 *     uint32_t ready;
 *     if (gmx_wait_fd(fd, GMX_POLL_IN, GMX_FOREVER, &ready) != GMX_OK) return;
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if fd is not open; GMX_EINVAL if ready is NULL or events
 * has neither bit or another one; otherwise as gmx_poll_open; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_wait_fd(int32_t fd, uint32_t events, int64_t timeout, uint32_t *ready);

/**
 * poll(2) for goroutines: waits until one of n descriptors is ready for one of its events, and returns how many are.
 * revents of each entry says what is there, as poll(2) says it: POLLERR, POLLHUP and POLLNVAL also if they are not
 * among the events, and 0 for an entry whose fd is negative. The descriptors need no handles, stay the caller's, and
 * must not be closed meanwhile. Without entries it only waits.
 *
 * While it waits, each entry is watched by the system: a goroutine that waits for the same descriptors again and again
 * is cheaper with handles. An entry whose descriptor is watched already, by a handle or another entry, takes one more
 * descriptor for the time of the wait.
 *
 *     struct pollfd fds[2] = {{from, POLLIN, 0}, {to, POLLOUT, 0}};
 *     gmx_status n = gmx_poll_many(fds, 2, 5000000000);
 *     if (n > 0 && fds[0].revents & (POLLIN | POLLHUP)) printf("something to read, or the end\n");
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of entries whose revents is not 0, at least 1; GMX_ETIMEDOUT, and revents of each is 0;
 * GMX_ECANCELED; GMX_EINVAL if fds is NULL and n is not 0, or if n is greater than the limit of open descriptors;
 * GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START, if it would wait; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; the
 * errno of the system, negated, if it has no descriptors for the library.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_poll_many(struct pollfd *fds, size_t n, int64_t timeout);

/* ---- Reading and writing ---------------------------------------------------------------------------------------- */

/*
 * These calls are read, write, recv, send and their like, on the handles of the section before. Each has a timeout in
 * nanoseconds: GMX_FOREVER for none; with 0 or less the call only tries, and returns GMX_ETIMEDOUT where it would have
 * to wait. A call that does not wait lets others run at the end of the goroutine's time slice.
 *
 * A number of bytes is the status; an error of the system is its errno, negated. A write to a socket or a pipe whose
 * other end is closed returns GMX_EPIPE and raises no SIGPIPE.
 *
 *     char head[4], body[4096];
 *     struct iovec parts[2] = {{head, sizeof head}, {body, sizeof body}};
 *     gmx_status n = gmx_readv(conn, parts, 2, 1000000000);
 *     size_t done = 0;
 *     if (n > 0) n = gmx_write(conn, body, sizeof body, 1000000000, &done);
 *     if (n == GMX_ETIMEDOUT) printf("only %zu bytes were written\n", done);
 */

/**
 * Reads what is there, at most n bytes, and waits while there is nothing. At most 1 GiB is read at a time. Of a file
 * all is there: fewer than n bytes come only at its end.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of bytes; 0 at the end of the data, and at once if n is 0; GMX_ETIMEDOUT; GMX_ECANCELED;
 * GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if buf is NULL and n is not 0;
 * GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_read(gmx_poll p, void *buf, size_t n, int64_t timeout);

/**
 * Reads n bytes, and waits until all are there. *done says how many were read, whatever the status is; done may be
 * NULL. No other reader of this handle gets bytes in between.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK when all are read; and when fewer are: GMX_EPIPE if the data ends there; GMX_ETIMEDOUT;
 * GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if buf is NULL
 * and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_read_full(gmx_poll p, void *buf, size_t n, int64_t timeout, size_t *done);

/**
 * Writes all n bytes, and waits where the descriptor takes no more. *done says how many bytes were written, whatever
 * the status is; done may be NULL.
 *
 * What is written is not mixed with what other callers write by this handle, unless the call ends early.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK when all is written; and when less is: GMX_EPIPE if the other end is closed; GMX_ETIMEDOUT;
 * GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if buf is NULL
 * and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_write(gmx_poll p, const void *buf, size_t n, int64_t timeout, size_t *done);

/**
 * As gmx_read, into n places one after the other.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of bytes; 0 at the end of the data, and at once if there is no room for any; GMX_ETIMEDOUT;
 * GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if v is NULL or
 * n is negative; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_readv(gmx_poll p, const struct iovec *v, int32_t n, int64_t timeout);

/**
 * As gmx_write, from n places one after the other.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK when all is written; and when less is: GMX_EPIPE if the other end is closed; GMX_ETIMEDOUT;
 * GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if v is NULL or
 * n is negative; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_writev(gmx_poll p, const struct iovec *v, int32_t n, int64_t timeout, size_t *done);

/**
 * One recv: what is there, or one message. flags: as for recv. The call of the system never waits, so MSG_WAITALL has
 * no effect. A message of no bytes is 0, as is the end of a stream.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
 * for this; GMX_EINVAL if buf is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other
 * errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_recv(gmx_poll p, void *buf, size_t n, int32_t flags, int64_t timeout);

/**
 * One send: of a stream as much as there is room for, or one message. flags: as for send; MSG_NOSIGNAL is always set.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
 * for this; GMX_EINVAL if buf is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other
 * errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_send(gmx_poll p, const void *buf, size_t n, int32_t flags, int64_t timeout);

/**
 * One recvmsg. Descriptors that come with the message are closed by exec: MSG_CMSG_CLOEXEC is always set.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: received descriptors are the caller's.
 * Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
 * for this; GMX_EINVAL if msg is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the
 * system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_recvmsg(gmx_poll p, struct msghdr *msg, int32_t flags, int64_t timeout);

/**
 * One sendmsg. MSG_NOSIGNAL is always set.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
 * for this; GMX_EINVAL if msg is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the
 * system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_sendmsg(gmx_poll p, const struct msghdr *msg, int32_t flags, int64_t timeout);

/**
 * One recvfrom. *len is the room at addr, and then the length of the address, as a socklen_t; both may be NULL.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
 * for this; GMX_EINVAL if buf is NULL and n is not 0, or if one of addr and len is NULL; GMX_ENOMEM;
 * GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_recvfrom(gmx_poll p,
                        void *buf,
                        size_t n,
                        int32_t flags,
                        struct sockaddr *addr,
                        uint32_t *len,
                        int64_t timeout);

/**
 * One sendto. len is the length of the address.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
 * for this; GMX_EINVAL if buf is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other
 * errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_sendto(gmx_poll p,
                      const void *buf,
                      size_t n,
                      int32_t flags,
                      const struct sockaddr *addr,
                      uint32_t len,
                      int64_t timeout);

/* ---- Many messages, and descriptors in messages ----------------------------------------------------------------- */

/*
 * gmx_recvmmsg and gmx_sendmmsg move several datagrams in one call of the system. gmx_send_fds and gmx_recv_fds pass
 * open descriptors to another process by a socket of the Unix domain.
 *
 *     int log = open("/tmp/log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
 *     gmx_status n = gmx_send_fds(to_child, &log, 1, "log", 3, 1000000000);
 *     if (n == 3) printf("the child has the log too\n");
 */

/**
 * recvmmsg: waits for a message, and receives as many of n as are there; 1024 at most. msg_len of each says how long
 * it is. Descriptors that come with a message are closed by exec, as with gmx_recvmsg.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: received descriptors are the caller's.
 * Returns: the number of messages; 0 if n is 0; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also
 * meanwhile, or not open for this; GMX_EINVAL if msgs is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL;
 * any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_recvmmsg(gmx_poll p,
                        struct mmsghdr *msgs,
                        size_t n,
                        int32_t flags,
                        int64_t timeout);

/**
 * sendmmsg: waits until there is room for a message, and sends as many of n as there is room for; 1024 at most.
 * MSG_NOSIGNAL is always set.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: the number of messages; 0 if n is 0; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also
 * meanwhile, or not open for this; GMX_EINVAL if msgs is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL;
 * any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_sendmmsg(gmx_poll p,
                        struct mmsghdr *msgs,
                        size_t n,
                        int32_t flags,
                        int64_t timeout);

/**
 * Sends len bytes and n descriptors, by a socket of the Unix domain. The descriptors go with the first byte, so at
 * least one byte is sent. Of a stream it sends as many bytes as there is room for, as gmx_send; the descriptors are on
 * their way then, and a gmx_write sends the rest.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: the descriptors stay the caller's, which may close them afterwards.
 * Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or if one of
 * fds is not open; GMX_EINVAL if fds or buf is NULL, len is 0, or n is 0 or greater than 253; GMX_ENOMEM; GMX_ENOTG,
 * GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_send_fds(gmx_poll p,
                        const int32_t *fds,
                        size_t n,
                        const void *buf,
                        size_t len,
                        int64_t timeout);

/**
 * Receives at most len bytes, and the descriptors that come with them. *n is the room at fds, and then the number of
 * the descriptors, which may be 0. They are closed by exec.
 *
 * If more descriptors come than there is room for, or if the process has no room for them all, those that came are
 * closed, the bytes are lost, and the status is GMX_EMSGSIZE.
 *
 *     int fds[4];
 *     size_t n = 4;
 *     char name[32];
 *     gmx_status len = gmx_recv_fds(conn, fds, &n, name, sizeof name, GMX_FOREVER);
 *     if (len > 0) printf("%zu descriptors came with %d bytes\n", n, (int)len);
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: the received descriptors are the caller's.
 * Returns: the number of bytes; 0 at the end of the data; GMX_EMSGSIZE; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p
 * is closed, also meanwhile, or not open for this; GMX_EINVAL if fds, n or buf is NULL, or len is 0; GMX_ENOMEM;
 * GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_recv_fds(gmx_poll p,
                        int32_t *fds,
                        size_t *n,
                        void *buf,
                        size_t len,
                        int64_t timeout);

/* ---- Connections ------------------------------------------------------------------------------------------------ */

/*
 * A listener comes from gmx_listen_tcp and its like, or is a socket that the host has made, bound and told to listen,
 * with a handle (gmx_poll_open). gmx_accept gives a handle to each connection. A client calls gmx_dial; or it makes a
 * socket, gets a handle for it, and connects.
 *
 *     for (gmx_poll conn; gmx_accept(listener, &conn, NULL, NULL, GMX_FOREVER) == GMX_OK;) {
 *       if (gmx_spawn(serve, (void *)(uintptr_t)conn) != GMX_OK) gmx_close(conn);
 *     }
 */

/**
 * Ends a direction of a connection for good, as shutdown does: SHUT_RD, SHUT_WR or SHUT_RDWR. Calls that wait there
 * return; the handle stays.
 *
 * Returns: GMX_OK; GMX_EBADF if p is closed; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_API gmx_status gmx_poll_shutdown(gmx_poll p, int32_t how);

/**
 * Connects a socket to an address of len bytes, and waits until the connection is there. After an error close the
 * handle: an attempt that was given up may still succeed later. A second gmx_connect waits for the attempt that is
 * under way.
 *
 * A borrowed socket whose calls wait has O_NONBLOCK for the moment in which the attempt begins.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this;
 * GMX_EINVAL if addr is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
 * negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_connect(gmx_poll p, const struct sockaddr *addr, uint32_t len, int64_t timeout);

/**
 * Waits for a connection of a listener, and gives a handle to it: *out, which owns its descriptor. Its descriptor is
 * closed by exec, and O_NONBLOCK is not set. Connections that fail before they are taken are left out.
 *
 * addr: for the address of the other end; *len is the room there, and then its length, as a socklen_t. Both may be
 * NULL.
 *
 * On a borrowed listener whose calls wait, a connection that another process takes first leaves the call on its thread
 * until the next one comes, whatever the timeout is.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: the new handle and its descriptor are the caller's, until gmx_close.
 * Returns: GMX_OK; -EMFILE and the like if there are no more descriptors: the connection waits for a later call (with
 * GMX_ACCEPT_PATIENT this one waits instead); GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile,
 * or not open for this; GMX_EINVAL if out is NULL, or one of addr and len is NULL; GMX_ENOMEM; GMX_ENOTG,
 * GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_accept(gmx_poll p,
                      gmx_poll *out,
                      struct sockaddr *addr,
                      uint32_t *len,
                      int64_t timeout);

/* ---- Listeners -------------------------------------------------------------------------------------------------- */

/*
 * gmx_listen_tcp, gmx_listen_unix and gmx_listen_inherit give a handle to a listener, for gmx_accept; gmx_udp_open
 * gives one to a socket for datagrams. Their descriptors are closed by exec. gmx_poll_fd gives the number of the
 * descriptor, for getsockname and the like.
 *
 *     gmx_listen_opts opts = GMX_LISTEN_OPTS_INIT;
 *     opts.flags = GMX_ACCEPT_PATIENT;
 *     gmx_poll listener;
 *     if (gmx_listen_tcp(NULL, "8080", &opts, &listener) != GMX_OK) return;
 */

/**
 * Several sockets, also of other processes of the same user, may have this address. Each must have the flag.
 */
#define GMX_LISTEN_REUSEPORT 4

/**
 * Only IPv6: the socket leaves the addresses of IPv4 to others.
 */
#define GMX_LISTEN_V6ONLY 8

/**
 * The file of a Unix socket is removed, if it is there and no process answers at it.
 */
#define GMX_LISTEN_UNLINK 16

/**
 * Options for listeners. Zero is the default of every field.
 */
typedef struct gmx_listen_opts {
  /**
   * sizeof(gmx_listen_opts), or 0.
   */
  size_t struct_size;
  /**
   * GMX_ACCEPT_PATIENT, GMX_LISTEN_*.
   */
  uint32_t flags;
  /**
   * How many connections may wait for gmx_accept. 0: as many as the system allows, SOMAXCONN.
   */
  int32_t backlog;
  /**
   * How long a host or a service that is a name may be looked up. 0: no limit.
   */
  int64_t timeout;
} gmx_listen_opts;

/**
 * Listens for connections of TCP at an address of this machine. host: its name or number; NULL for all addresses, of
 * IPv6 and of IPv4 where the system has both. service: the port, as a number or a name; "0" for any that is free.
 * opts may be NULL, its flags are GMX_ACCEPT_PATIENT, GMX_LISTEN_REUSEPORT and GMX_LISTEN_V6ONLY. SO_REUSEADDR is set,
 * so that a server that starts again gets its port.
 *
 * A host that is a name is looked up, as by gmx_getaddrinfo; the first of its addresses counts at which this machine
 * can listen.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; while a name is looked up, and no longer than
 * opts.timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: the new handle and its descriptor are the caller's, until gmx_close.
 * Returns: GMX_OK; -EADDRINUSE and the like, as the system says; GMX_EAI_* if there is no such name; GMX_ETIMEDOUT;
 * GMX_ECANCELED; GMX_EINVAL if service or out is NULL, or if opts is not right; GMX_ENOTSUP after a start with
 * GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_listen_tcp(const char *host,
                          const char *service,
                          const struct gmx_listen_opts *opts,
                          gmx_poll *out);

/**
 * A socket for datagrams of UDP, at an address of this machine: host and service are as for gmx_listen_tcp. opts may
 * be NULL, its flags are GMX_LISTEN_REUSEPORT and GMX_LISTEN_V6ONLY.
 *
 *     gmx_poll socket;
 *     if (gmx_udp_open(NULL, "9000", NULL, &socket) != GMX_OK) return;
 *     char text[1500];
 *     gmx_status n = gmx_recv(socket, text, sizeof text, 0, GMX_FOREVER);
 *
 * Blocks: as gmx_listen_tcp.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: the new handle and its descriptor are the caller's, until gmx_close.
 * Returns: as gmx_listen_tcp.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_udp_open(const char *host,
                        const char *service,
                        const struct gmx_listen_opts *opts,
                        gmx_poll *out);

/**
 * Listens for connections of the Unix domain, as streams. A path that begins with an at sign is an abstract name,
 * which has no file. opts may be NULL, its flags are GMX_ACCEPT_PATIENT and GMX_LISTEN_UNLINK.
 *
 * The file of the socket stays after gmx_close, and the next gmx_listen_unix finds the address in use. With
 * GMX_LISTEN_UNLINK it removes the file, if it is one of a socket and no process answers there. (A listener that is
 * there gets a connection that is closed at once.) Two processes that begin at the same time must agree by other means
 * which of them listens.
 *
 * Owns: the new handle and its descriptor are the caller's, until gmx_close.
 * Returns: GMX_OK; -EADDRINUSE; -ENAMETOOLONG if path is empty or has more than 107 bytes; GMX_EINVAL if path or out
 * is NULL, or if opts is not right; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ESHUTDOWN;
 * any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_listen_unix(const char *path, const struct gmx_listen_opts *opts, gmx_poll *out);

/**
 * Gives a handle to one of the sockets that the process was started with, by systemd's protocol: LISTEN_PID is this
 * process, and LISTEN_FDS says how many there are. index counts them from 0. The environment stays as it is: ask for
 * each index once, and unset both variables before starting other programs.
 *
 * Owns: the descriptor is the handle's if GMX_OK, and is closed by exec from here on.
 * Returns: GMX_OK; -ENOENT if there is no such socket, or if the sockets are another process's; GMX_EBADF if it is not
 * open; otherwise as gmx_poll_open.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_listen_inherit(size_t index, gmx_poll *out);

/* ---- Names ------------------------------------------------------------------------------------------------------ */

/*
 * gmx_getaddrinfo asks the resolver of the C library, which takes a thread for as long as it thinks; the goroutine
 * waits without one. gmx_dial looks up a name and connects to the first of its addresses that answers.
 *
 *     gmx_poll conn;
 *     gmx_status status = gmx_dial("tcp", "example.org", "https", NULL, 10000000000, &conn);
 *     if (status != GMX_OK) printf("%s\n", gmx_strerror(status));
 */

/**
 * Options for gmx_dial. Zero is the default of every field.
 */
typedef struct gmx_dial_opts {
  /**
   * sizeof(gmx_dial_opts), or 0.
   */
  size_t struct_size;
  /**
   * The time after which an attempt without an answer is joined by the next one. 0: 250 ms.
   */
  int64_t delay;
} gmx_dial_opts;

/**
 * getaddrinfo: the addresses of a host and a service, either of which may be NULL. *res is a list, which the caller
 * frees by freeaddrinfo. hints may be NULL.
 *
 * Numbers are answered at once, on the caller's stack. For names the library asks on another thread, at most 16
 * questions at a time; the others wait. If the time is over, or the token canceled, the caller continues, and the
 * answer that comes later is dropped. gmx_shutdown waits for it.
 *
 *     struct addrinfo *list;
 *     gmx_status status = gmx_getaddrinfo("localhost", "http", NULL, &list, 5000000000);
 *     if (status == GMX_OK) freeaddrinfo(list);
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: the list is the caller's.
 * Returns: GMX_OK; GMX_EAI_* for an error EAI_* of the resolver; the errno of the system, negated, for EAI_SYSTEM;
 * GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EINVAL if res is NULL; GMX_ENOTSUP for names after a start with
 * GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ESHUTDOWN; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_getaddrinfo(const char *node,
                           const char *service,
                           const struct addrinfo *hints,
                           struct addrinfo **res,
                           int64_t timeout);

/**
 * Connects to a name, and gives a handle to the connection. network is "tcp", "udp", one of the two with a 4 or a 6
 * behind it for one family of addresses only, "unix", "unixgram" or "unixpacket". host and service are as for
 * gmx_getaddrinfo; for unix sockets host is the path (after an at sign: an abstract name) and service is NULL.
 *
 * The addresses are tried one after the other, in turns of both families, each 250 ms after the one before or as soon
 * as that has failed (RFC 8305). The first connection that is there is the result; all other attempts are closed. If
 * all fail, the status tells of the first address.
 *
 * A socket of UDP is connected at once, and only the first message shows whether a process receives at the other end.
 * A listener of the Unix domain whose queue is full refuses at once, with GMX_EAGAIN.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Owns: the new handle and its descriptor are the caller's, until gmx_close.
 * Returns: GMX_OK; -ECONNREFUSED and the like, as the system says; GMX_EAI_* if there is no such name; GMX_ETIMEDOUT;
 * GMX_ECANCELED; GMX_EINVAL if network is not one of these, if out is NULL, if host is NULL for a unix socket, or if
 * opts is not right; -ENAMETOOLONG; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ENOTG,
 * GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_dial(const char *network,
                    const char *host,
                    const char *service,
                    const struct gmx_dial_opts *opts,
                    int64_t timeout,
                    gmx_poll *out);

/* ---- Processes -------------------------------------------------------------------------------------------------- */

/*
 * gmx_spawn_process starts a program, and gmx_process_wait parks until it has ended. The parent's end of a pipe is a
 * gmx_poll, so a goroutine that reads what the program writes keeps no thread, while the program has an ordinary pipe.
 *
 *     char *argv[] = {"sort", "-n", NULL};
 *     gmx_poll in, out;
 *     gmx_process_opts opts = {.path = "sort", .argv = argv, .flags = GMX_PROCESS_SEARCH};
 *     opts.stdio[0] = (gmx_process_stdio){GMX_STDIO_PIPE, 0, &in};
 *     opts.stdio[1] = (gmx_process_stdio){GMX_STDIO_PIPE, 0, &out};
 *     gmx_process sort;
 *     gmx_status s = gmx_spawn_process(&opts, &sort);
 *     if (s != GMX_OK) return s;
 *     s = gmx_write(in, text, size, GMX_FOREVER, NULL);
 *     gmx_close(in); // sort sees the end of its input
 *     if (s == GMX_OK) s = read_numbers(out);
 *     gmx_close(out);
 *     int status;
 *     if (gmx_process_wait(sort, &status, GMX_FOREVER) != GMX_OK || status != 0) s = GMX_EINVAL;
 *     gmx_process_release(sort);
 *
 * The library waits for its own children only, and handles no signal for that: a handler of SIGCHLD is the host's. But
 * a host that waits for any child (waitpid with -1), or ignores SIGCHLD, takes the status away: gmx_process_wait then
 * returns -ECHILD when the child has ended.
 */

/**
 * For `gmx_process_opts`: looks for a path without a slash in the directories of PATH.
 */
#define GMX_PROCESS_SEARCH 1

/**
 * For `gmx_process_opts`: the child begins a process group of its own, with its pid as the number. A signal of the
 * terminal does not reach it, and kill(-pid, sig) reaches it with its children.
 */
#define GMX_PROCESS_GROUP 2

/**
 * For `gmx_process_opts`: the child begins a session of its own, without a terminal; and so a process group.
 */
#define GMX_PROCESS_SESSION 4

/**
 * For `gmx_process_stdio`: the descriptor of the same number of this process.
 */
#define GMX_STDIO_INHERIT 0

/**
 * For `gmx_process_stdio`: /dev/null.
 */
#define GMX_STDIO_NULL 1

/**
 * For `gmx_process_stdio`: fd, a descriptor of this process, which stays the caller's.
 */
#define GMX_STDIO_FD 2

/**
 * For `gmx_process_stdio`: a new pipe. The child has one end, which waits as a program expects; *pipe gets the
 * other.
 */
#define GMX_STDIO_PIPE 3

/**
 * For `gmx_process_stdio` of descriptor 2: where descriptor 1 of the child goes.
 */
#define GMX_STDIO_OUTPUT 4

/**
 * What a descriptor of a child is.
 */
typedef struct gmx_process_stdio {
  /**
   * GMX_STDIO_INHERIT, GMX_STDIO_NULL, GMX_STDIO_FD, GMX_STDIO_PIPE, GMX_STDIO_OUTPUT.
   */
  uint32_t kind;
  /**
   * For GMX_STDIO_FD.
   */
  int32_t fd;
  /**
   * For GMX_STDIO_PIPE: where to put the handle of the parent's end, which gmx_close closes.
   */
  gmx_poll *pipe;
} gmx_process_stdio;

/**
 * How to start a process. Zero is the default of every field but path.
 */
typedef struct gmx_process_opts {
  size_t struct_size;
  /**
   * GMX_PROCESS_...
   */
  uint32_t flags;
  uint32_t reserved;
  /**
   * The file of the program.
   */
  const char *path;
  /**
   * Its arguments, the first of which is its name, and NULL at the end. NULL: the path alone.
   */
  char *const *argv;
  /**
   * Its environment, with NULL at the end. NULL: the environment of this process.
   */
  char *const *envp;
  /**
   * Its working directory, from which a path that does not begin with a slash is looked up as well. NULL: that of
   * this process.
   */
  const char *cwd;
  /**
   * Its descriptors 0, 1 and 2.
   */
  struct gmx_process_stdio stdio[3];
} gmx_process_opts;

/**
 * A child process. A handle is never used again, and 0 is no handle.
 */
typedef uint64_t gmx_process;

/**
 * Starts a program as a child of this process. In the child every signal has its default and none is blocked, and
 * only the descriptors 0, 1 and 2 are open, and those of the host that it has not made with O_CLOEXEC. The memory of
 * this process is not copied, and no function of pthread_atfork runs.
 *
 * The call returns when the child executes the program, or could not: then it returns the reason, and nothing is left
 * of the child.
 *
 * Blocks: the calling goroutine (on a foreign thread, the thread) until the child executes.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: opts and all in it stay the caller's; *out is to be given to gmx_process_release, each handle of a pipe to
 * gmx_close.
 * Returns: GMX_OK; the errno of the system, negated: -ENOENT, -EACCES, -ENOEXEC and so on if path cannot be executed
 * or cwd is no directory, GMX_EAGAIN if there may be no more processes, -EMFILE; GMX_EBADF if a descriptor is not
 * open; GMX_EINVAL if opts, path or out is NULL, a kind or a flag is unknown, a pipe has no place, or both
 * GMX_PROCESS_GROUP and GMX_PROCESS_SESSION are set; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START;
 * GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_spawn_process(const struct gmx_process_opts *opts, gmx_process *out);

/**
 * Waits until a child has ended. *status is what waitpid says: WIFEXITED, WEXITSTATUS, WIFSIGNALED and WTERMSIG tell
 * more. Any number of callers may wait, and each gets the status, also later, until gmx_process_release. After a
 * timeout the child runs on.
 *
 *     int status;
 *     if (gmx_process_wait(child, &status, 1000000000) == GMX_ETIMEDOUT) {
 *       gmx_process_kill(child, SIGTERM);
 *       if (gmx_process_wait(child, &status, GMX_FOREVER) != GMX_OK) return;
 *     }
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes.
 * Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; -ECHILD if the host has taken the status; GMX_ESTALE if p was
 * released, also meanwhile; GMX_EINVAL if status is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_process_wait(gmx_process p, int32_t *status, int64_t timeout);

/**
 * Sends a signal to a child, and to no other process: if the child has ended and a wait has seen that, its number may
 * be another's by now. 0 as sig sends none, and asks whether one could be sent.
 *
 * Returns: GMX_OK; -ESRCH if the child has ended, as a wait has told; GMX_EINVAL if there is no such signal;
 * GMX_ESTALE if p was released; GMX_EPERM if the child has other rights by now.
 * Since: 0.2
 */
GMX_API gmx_status gmx_process_kill(gmx_process p, int32_t sig);

/**
 * The number of a child. It is the child's until a wait has told its end.
 *
 * Returns: the number; GMX_ESTALE if p was released.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_process_pid(gmx_process p);

/**
 * A descriptor that is readable when the child has ended (a pidfd), for a loop of the host's or calls such as
 * process_madvise. It is good until gmx_process_release.
 *
 * Owns: the descriptor is the library's.
 * Returns: the descriptor; GMX_ENOTSUP if the system has none (before Linux 5.3); GMX_ESTALE if p was released.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_process_pidfd(gmx_process p);

/**
 * Ends a handle. Calls that wait for the child return GMX_ESTALE. A child that still runs continues to run, and leaves
 * no zombie: the library reaps it when it ends, while the runtime is up, without a goroutine or a thread for it. Until
 * then gmx_main finds no deadlock.
 *
 * Blocks: the calling goroutine (on a foreign thread, the thread) for a moment.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: the handle is gone, and so is the descriptor of gmx_process_pidfd. Pipes stay open until gmx_close.
 * Returns: GMX_OK; GMX_ESTALE if it was released before; GMX_EBUSY if the child runs and the system has no pidfd: wait
 * for it first; GMX_ENOMEM; -EMFILE, or another errno of the system, negated: try again; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_API gmx_status gmx_process_release(gmx_process p);

/* ---- Signals ---------------------------------------------------------------------------------------------------- */

/*
 * A goroutine waits for signals as it waits for anything else: by a channel. The library's handler notes the signal
 * and calls the handler that the host had before; the value comes into the channel afterwards, from a thread of the
 * library.
 *
 *     int32_t sigs[] = {SIGINT, SIGTERM};
 *     gmx_chan *stop;
 *     gmx_status s = gmx_chan_new(sizeof(gmx_siginfo), 4, &stop);
 *     if (s == GMX_OK) s = gmx_signal_notify(stop, sigs, 2);
 *     if (s != GMX_OK) return s;
 *     gmx_siginfo info;
 *     s = gmx_chan_recv(stop, &info);
 *     printf("signal %d from process %d\n", info.signo, info.pid);
 *     gmx_signal_stop(stop);
 *     gmx_chan_free(stop);
 *
 * A signal is handled on a thread of the host that does not block it: worker threads block what the main thread
 * blocked when the runtime began, and wait with all signals blocked. A host that has blocked a signal in all its
 * threads gets nothing.
 */

/**
 * A signal, as a value of a channel.
 */
typedef struct gmx_siginfo {
  int32_t signo;
  /**
   * si_code of the last one: SI_USER, SI_TIMER and so on.
   */
  int32_t code;
  /**
   * si_pid of the last one, if code says that a process has sent it.
   */
  int32_t pid;
  /**
   * How often the signal came since it was delivered before, and at least 1.
   */
  uint32_t count;
} gmx_siginfo;

/**
 * Has the channel get a gmx_siginfo for each of the n signals in sigs when it comes. Signals that come in quick
 * succession may be one value, whose count tells. The library does not wait: if the channel has no room, this channel
 * does not get the value. So a channel for signals that must not be missed has room for one of each, or is unbounded.
 *
 * Any number of channels may get a signal, and a channel more signals by another call. The default of the signal no
 * longer happens: SIGINT ends the process no more. A handler that the host had installed is called as before. One that
 * it installs later takes the signal away from the channels, unless it calls the one that it has found.
 *
 * Refused are SIGKILL and SIGSTOP, which cannot be handled; SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT and
 * SIGSYS, which a thread raises by what it does; and the signal of gmx_config.preempt_signal, and 32 to 34, which this
 * library and the C library use. A child of fork has no channels: it has the host's handlers, and may call this again.
 * While a channel gets signals gmx_main finds no deadlock.
 *
 *     int32_t winch = SIGWINCH;
 *     if (gmx_signal_notify(resized, &winch, 1) != GMX_OK) return;
 *
 * Owns: the library has a reference to the channel until gmx_signal_stop.
 * Returns: GMX_OK; GMX_EINVAL if chan is no channel of this process, its values are not of the size of gmx_siginfo,
 * sigs is NULL, n is 0, or a signal is refused or none; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START;
 * GMX_ENOMEM; GMX_ESHUTDOWN; the errno of the system, negated, if it has no descriptors for the library.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_signal_notify(gmx_chan *chan, const int32_t *sigs, size_t n);

/**
 * The channel gets no more signals. Those that have come before are delivered first, as far as there is room. Signals
 * that no other channel gets have the host's handler again, or their default, unless the host has installed another
 * one meanwhile.
 *
 * Owns: the library gives its reference to the channel back.
 * Returns: GMX_OK; GMX_EINVAL if chan is no channel of this process, or gets no signals.
 * Since: 0.2
 */
GMX_API gmx_status gmx_signal_stop(gmx_chan *chan);

/* ---- The host's loop -------------------------------------------------------------------------------------------- */

/*
 * A program with a loop of its own (libuv, asyncio, a window system) runs it on one thread, and much of what belongs
 * to it may be used on that thread only. A goroutine hands work to it: gmx_post(fn, arg), from anywhere. The loop
 * watches the descriptor of gmx_host_fd, which is readable as long as there is something to run, and then calls
 * gmx_host_run.
 *
 *     void on_readable(void *loop, int fd) { // on the thread of the loop
 *       (void)loop, (void)fd;
 *       if (gmx_host_run(64) < 0) abort(); // what is left makes the descriptor readable again
 *     }
 *
 * The other way, a goroutine or an attached thread drives the loop: it waits for the descriptor of the loop with
 * gmx_wait_fd, no longer than the loop says, and lets the loop run once. examples/host_loop has both for libuv, and
 * the first for asyncio.
 */

/**
 * Has the host's loop call fn(arg): the next gmx_host_run does, in the order of the posts. It works before the host
 * has asked for the descriptor and while the runtime is down. The functions of a process are not run in a child of
 * fork.
 *
 *     if (gmx_post(show, text) != GMX_OK) free(text);
 *
 * Owns: arg is fn's.
 * Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_ENOMEM, and fn is not called.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_post(void (*fn)(void*), void *arg);

/**
 * A descriptor that is readable (EPOLLIN) while a function waits that was posted. The host only watches it:
 * gmx_host_run makes it not readable again. It is made by the first call, is the same at each call, and is closed by
 * exec. After fork the child asks for its own.
 *
 *     int fd = gmx_host_fd();
 *     if (fd < 0) return fd;
 *     watch(fd, on_readable);
 *
 * Owns: the descriptor is the library's, which keeps it: do not close, read or write it.
 * Returns: the descriptor; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START, unless it was made before;
 * GMX_ENOMEM; another errno of the system, negated, if it has no descriptor: the next call tries again.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_host_fd(void);

/**
 * Calls the functions that were posted, the oldest first, on the calling thread: at most max of them, and no more than
 * waited when it was called, so that functions that post others do not keep the host from its loop. A max of 0 or less
 * sets no other limit.
 *
 * A function may call gmx_host_run itself, or run the host's loop within the loop. If several threads call it, each
 * function is called by one of them.
 *
 * Blocks: as the functions do.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: no, except for what the functions do.
 * Migrates: as the functions do.
 * Cancellable: no, except for what the functions do.
 * Returns: how many functions were called; GMX_ENOTG, GMX_EINSYSCALL; GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_host_run(int32_t max);

/* ---- Files ------------------------------------------------------------------------------------------------------ */

/*
 * A file has a handle as a socket has: gmx_open gives it, gmx_close ends it, and gmx_read and gmx_write go on from
 * where the file is. The calls of this section read and write at an offset, and do what else is done with files.
 *
 * The system never says that a file is ready later: a call on one takes its thread until it is done. A read of what is
 * in memory is made at once. Every other call runs beside the Ps, as between gmx_enter_syscall and gmx_exit_syscall,
 * so that other goroutines run meanwhile. No more than 32 such calls of goroutines are in the system at a time,
 * however many goroutines there are; the rest park until it is their turn. (GMXDEBUG=filecalls=N changes the number.)
 *
 * So none of these calls has a timeout, and no token ends one: what the system has begun, it ends. A call that waits
 * for another one of the kind, as the open of one end of a FIFO does for the other end, keeps its turn all the while:
 * open a FIFO with O_NONBLOCK, or in gmx_blocking.
 *
 *     gmx_poll file;
 *     gmx_status status = gmx_open("/etc/hostname", O_RDONLY, 0, &file);
 *     if (status != GMX_OK) return status;
 *     char name[256];
 *     status = gmx_pread(file, name, sizeof name, 0);
 *     if (status > 0) printf("%.*s", (int)status, name);
 *     gmx_close(file);
 */

/**
 * For gmx_io_op: what gmx_pread does.
 */
#define GMX_IO_READ 0

/**
 * What gmx_pwrite does.
 */
#define GMX_IO_WRITE 1

/**
 * What gmx_fsync does.
 */
#define GMX_IO_FSYNC 2

/**
 * What gmx_fdatasync does.
 */
#define GMX_IO_FDATASYNC 3

/**
 * An operation of gmx_io_batch.
 */
typedef struct gmx_io_op {
  /**
   * GMX_IO_READ and so on.
   */
  uint32_t op;
  /**
   * Written by gmx_io_batch: GMX_OK, also for a read that came to the end of the file; or what went wrong.
   */
  gmx_status status;
  gmx_poll p;
  /**
   * Of a read or a write.
   */
  void *buf;
  size_t n;
  int64_t offset;
  /**
   * Written by gmx_io_batch: how many bytes were read or written, whatever the status is.
   */
  size_t done;
} gmx_io_op;

/**
 * Opens a file, and gives a handle to it, which owns its descriptor. flags and mode: as for open; exec closes it
 * (O_CLOEXEC), whatever flags is. A relative path leads from the directory of the process.
 *
 * What it opens may be a FIFO or a device: then the calls on its handle wait for events, as on any other of the kind.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: the handle and its descriptor are the caller's, until gmx_close.
 * Returns: GMX_OK; GMX_EINVAL if path or out is NULL; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START;
 * GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_open(const char *path, int32_t flags, uint32_t mode, gmx_poll *out);

/**
 * Reads n bytes from the offset on, and fewer only if the file ends before. More than 1 GiB may take several calls.
 * The place of the file, from which gmx_read continues, does not matter and stays.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: the number of bytes; 0 at the end of the file and behind it; GMX_EBADF if p is closed, or not open for
 * this; GMX_EINVAL if buf is NULL and n is not 0, or offset is negative; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any
 * other errno of the system, negated, such as that of ESPIPE if p is no file.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_pread(gmx_poll p, void *buf, size_t n, int64_t offset);

/**
 * As gmx_pread, into n places one after the other.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: as gmx_pread; GMX_EINVAL if v is NULL, or n or offset is negative.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_preadv(gmx_poll p, const struct iovec *v, int32_t n, int64_t offset);

/**
 * Writes all n bytes, from the offset on. *done says how many bytes were written, whatever the status is; done may be
 * NULL. The place of the file does not matter and stays. If the file was opened with O_APPEND, the system writes at
 * its end instead.
 *
 * The bytes are in the memory of the system then, not yet on a disk: see gmx_fsync.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK when all is written; and when less is: GMX_EBADF if p is closed, or not open for this; GMX_EINVAL if
 * buf is NULL and n is not 0, or offset is negative; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the
 * system, negated, such as that of ENOSPC.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_pwrite(gmx_poll p, const void *buf, size_t n, int64_t offset, size_t *done);

/**
 * As gmx_pwrite, from n places one after the other.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: as gmx_pwrite; GMX_EINVAL if v is NULL, or n or offset is negative.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_pwritev(gmx_poll p, const struct iovec *v, int32_t n, int64_t offset, size_t *done);

/**
 * Waits until all that was written to the file is on its disk, as fsync.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EBADF if p is closed; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
 * negated: of EIO, and bytes that were written before are lost.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_fsync(gmx_poll p);

/**
 * As gmx_fsync, without what is not needed to read the bytes again, such as the times of the file.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: as gmx_fsync.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_fdatasync(gmx_poll p);

/**
 * Makes the file so many bytes long: cuts it, or adds zeros.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EBADF if p is closed; GMX_EINVAL if it is not open for writing; GMX_ENOMEM; GMX_ENOTG,
 * GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_ftruncate(gmx_poll p, int64_t size);

/**
 * Takes room on the disk for n bytes from the offset on, or gives it back: mode as for fallocate of Linux, 0 to take
 * room and make the file that long.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EBADF if p is closed, or not open for writing; GMX_ENOTSUP where the file system cannot;
 * GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_fallocate(gmx_poll p, int32_t mode, int64_t offset, int64_t n);

/**
 * Asks what a file is, as statx, whose flags and mask these are. Which file:
 *
 * - p and no path (NULL): the file of the handle;
 * - a path and no handle (0): the file of that name;
 * - both: p is a directory, from which a relative path leads.
 *
 *     struct statx what;
 *     gmx_status status = gmx_statx(file, NULL, 0, STATX_SIZE, &what);
 *     if (status == GMX_OK) printf("%llu bytes\n", (unsigned long long)what.stx_size);
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EBADF if p is closed; GMX_EINVAL if out is NULL, or there is neither a handle nor a path;
 * GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_statx(gmx_poll p,
                     const char *path,
                     int32_t flags,
                     uint32_t mask,
                     struct statx *out);

/**
 * Reads the next entries of a directory into n bytes, as getdents64: each is a struct dirent64, and its d_reclen says
 * how many bytes it takes. "." and ".." are among them. The place of the directory moves on; lseek to 0 begins again.
 *
 *     struct dirent64 entries[16];
 *     gmx_status n;
 *     while ((n = gmx_readdir(directory, entries, sizeof entries)) > 0)
 *         for (gmx_status at = 0; at < n;) {
 *             struct dirent64 *entry = (struct dirent64 *)((char *)entries + at);
 *             puts(entry->d_name);
 *             at += entry->d_reclen;
 *         }
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: the number of bytes; 0 when there are no more entries; GMX_EBADF if p is closed; GMX_EINVAL if buf is NULL,
 * or has no room for the next entry (280 bytes are enough for any); GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other
 * errno of the system, negated, such as that of ENOTDIR.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_readdir(gmx_poll p, void *buf, size_t n);

/**
 * Gives a file another name. What has that name is replaced, unless flags is RENAME_NOREPLACE: flags as for renameat2.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EINVAL if a path is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
 * negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_rename(const char *from, const char *to, uint32_t flags);

/**
 * Removes a name of a file, or with AT_REMOVEDIR as flags an empty directory.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EINVAL if path is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
 * negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_unlink(const char *path, int32_t flags);

/**
 * Makes a directory.
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EINVAL if path is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
 * negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_mkdir(const char *path, uint32_t mode);

/**
 * Copies n bytes from where one descriptor is to the other, or all until the end of the data (n is UINT64_MAX, or more
 * than there is). The bytes stay in the system where it can do that: from file to file (copy_file_range), from a file
 * to a connection (sendfile), from and to a pipe, and from connection to connection (splice). Otherwise they are read
 * and written. *done says how many bytes have come to the other end, whatever the status is; done may be NULL.
 *
 * Between files and pipes any two may be copied; sockets have to be streams. A file is read and written at its place,
 * which moves on, as by gmx_read and gmx_write; readers of from and writers of to wait for their turn meanwhile. The
 * timeout limits the copy as a whole. What was read from a connection or a pipe and cannot be written any more is
 * lost; a file stays behind what was copied.
 *
 * A connection that the library owns gets O_NONBLOCK.
 *
 *     uint64_t sent;
 *     gmx_status status = gmx_copy(file, conn, UINT64_MAX, &sent, 30000000000);
 *     if (status != GMX_OK) printf("%s after %llu bytes\n", gmx_strerror(status), (unsigned long long)sent);
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout, except for files.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Cancellable: yes, while it waits for an event.
 * Returns: GMX_OK when n bytes are copied, or all that there are; and when less is: GMX_EPIPE if the other end of to
 * is closed; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if one of them is closed, also meanwhile, or not open for this;
 * GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_copy(gmx_poll from, gmx_poll to, uint64_t n, uint64_t *done, int64_t timeout);

/**
 * Does n operations on files at the same time, in no order, and returns when all of them are done. Each has a status
 * of its own. Reads of what is in memory are made by the caller; the others by as many goroutines as there may be such
 * calls at a time, so a disk has many of them to choose from.
 *
 * A read and a write of the same place, or an fsync and a write, may come in either order: use two batches.
 *
 * timeout: after it no operation is begun any more, and those that were not have GMX_ETIMEDOUT; those that were are
 * waited for. The buffers are the caller's again when the call returns, and not before.
 *
 *     gmx_io_op ops[2] = {
 *         {GMX_IO_READ, 0, file, head, sizeof head, 0, 0},
 *         {GMX_IO_READ, 0, file, tail, sizeof tail, at, 0},
 *     };
 *     gmx_status status = gmx_io_batch(ops, 2, GMX_FOREVER);
 *     if (status == GMX_OK && ops[1].status == GMX_OK) printf("%zu bytes\n", ops[1].done);
 *
 * Blocks: the calling goroutine; on a foreign thread, the thread; until all operations that were begun are done.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK when all were begun and are done, whatever their statuses are; GMX_ETIMEDOUT if some were not begun;
 * GMX_EINVAL if ops is NULL and n is not 0; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_io_batch(struct gmx_io_op *ops, size_t n, int64_t timeout);

/* ---- Seeing inside ---------------------------------------------------------------------------------------------- */

/*
 * Numbers and lists for metrics, debuggers and tests. They cost the goroutines nothing until they are asked for, and
 * may be asked at any time.
 */

/**
 * gmx_dump_goroutines: JSON instead of text.
 */
#define GMX_DUMP_JSON 1

/**
 * gmx_dump_goroutines: goroutines with the same stack are one entry with their number, the largest number first.
 */
#define GMX_DUMP_GROUPS 2

/**
 * gmx_debug_opts.flags: an address that other machines may reach. The token alone protects the page then, and it is
 * sent as plain text.
 */
#define GMX_DEBUG_ANYWHERE 1

/**
 * Memory of the library. struct_size is sizeof(gmx_mem_stats) or 0.
 */
typedef struct gmx_mem_stats {
  /**
   * sizeof(gmx_mem_stats) of the caller; what an older caller has no room for is left out.
   */
  size_t struct_size;
  /**
   * Address space set aside for stacks.
   */
  uint64_t stacks_reserved_bytes;
  /**
   * Address space of the stacks that goroutines own; the memory behind it is what they have touched.
   */
  uint64_t stacks_inuse_bytes;
  /**
   * Address space of the stacks that are kept for the next goroutines.
   */
  uint64_t stacks_cached_bytes;
  /**
   * Stacks that goroutines own.
   */
  uint64_t stacks_inuse;
  /**
   * Stacks that are kept.
   */
  uint64_t stacks_cached;
  /**
   * Goroutine descriptors ever made.
   */
  uint64_t g_descriptors;
  /**
   * Goroutines alive.
   */
  uint64_t g_live;
  /**
   * Ms ever made.
   */
  uint64_t m_total;
  /**
   * Ps ever made.
   */
  uint64_t p_total;
  /**
   * Bytes of all descriptors of goroutines, Ms and Ps.
   */
  uint64_t descriptor_bytes;
  /**
   * How stacks are guarded: 0 not at all, 1 by MADV_GUARD_INSTALL, 2 by mprotect.
   */
  uint32_t guard_kind;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Of the stacks that are kept, those that still have memory. The memory goes back to the system when a stack was
   * not needed for some seconds, or by gmx_release_memory.
   */
  uint64_t stacks_warm;
  /**
   * How often the memory of a stack that was kept has gone back to the system.
   */
  uint64_t stacks_released;
  /**
   * Stacks that have no guard, because there was none left: an overflow of one runs into the stack of another
   * goroutine.
   */
  uint64_t stacks_unguarded;
} gmx_mem_stats;

/**
 * The scheduler in numbers. struct_size is sizeof(gmx_sched_stats) or 0. Read while everything runs: sums of
 * counts that change meanwhile.
 */
typedef struct gmx_sched_stats {
  /**
   * sizeof(gmx_sched_stats) of the caller; what an older caller has no room for is left out.
   */
  size_t struct_size;
  /**
   * Since the runtime started.
   */
  int64_t uptime_ns;
  int32_t gomaxprocs;
  int32_t idleprocs;
  /**
   * Worker threads.
   */
  int32_t threads;
  /**
   * Of those, asleep because there is no work.
   */
  int32_t idlethreads;
  /**
   * Of those, looking for work.
   */
  int32_t spinning;
  /**
   * Threads of the host that are known.
   */
  int32_t extra_threads;
  /**
   * Goroutines alive, and what they do.
   */
  int64_t g_live;
  int64_t g_running;
  int64_t g_runnable;
  int64_t g_waiting;
  int64_t g_syscall;
  /**
   * Goroutines ever started and ended, those of callbacks on threads of the host among them.
   */
  uint64_t spawned;
  uint64_t ended;
  /**
   * Times that a goroutine was entered.
   */
  uint64_t switches;
  /**
   * Times that a P took work from another.
   */
  uint64_t steals;
  /**
   * Times that a goroutine parked.
   */
  uint64_t parks;
  /**
   * Idle threads woken through the system.
   */
  uint64_t wakes;
  /**
   * Ps handed on.
   */
  uint64_t handoffs;
  /**
   * Ps taken from syscalls that lasted.
   */
  uint64_t retakes;
  /**
   * Slices that were asked to end.
   */
  uint64_t preempts;
  /**
   * Stops of the world, and how long it took until all had stopped.
   */
  uint64_t stops;
  uint64_t stop_ns_total;
  uint64_t stop_ns_max;
  /**
   * Calls of gmx_for_each_p.
   */
  uint64_t barriers;
  /**
   * Length of the global run queue.
   */
  int64_t runqueue;
  /**
   * Ps taken from code that calls nothing of the library: it sleeps in the system, or a stop or a barrier needed
   * them.
   */
  uint64_t taken;
  /**
   * Times that a thread was held because the code on it computed on at the end of its slice; the timers that were
   * armed for that; and held threads that went on without a P because the world was stopped, or because one of them
   * could have a lock for which the owners of all Ps waited.
   */
  uint64_t seized;
  uint64_t nudges;
  uint64_t bailed;
  /**
   * Threads that are held now.
   */
  int64_t held;
  /**
   * Goroutines and threads that wait for a descriptor.
   */
  int64_t io_waiting;
  /**
   * Goroutines that were readied by an event of a descriptor; the looks at what is ready, the waits for it among
   * them; and how often such a wait was ended for another reason.
   */
  uint64_t io_readied;
  uint64_t polls;
  uint64_t poll_breaks;
  /**
   * Handles of descriptors.
   */
  int64_t fds_open;
} gmx_sched_stats;

/**
 * How the live page is served. Zero is the default everywhere; struct_size is sizeof(gmx_debug_opts) or 0.
 */
typedef struct gmx_debug_opts {
  /**
   * sizeof(gmx_debug_opts) of the caller.
   */
  size_t struct_size;
  /**
   * GMX_DEBUG_*.
   */
  uint32_t flags;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * Room for the place of the page, terminated: an URL with the token in it, or unix: and a path. NULL: it is
   * written to stderr.
   */
  char *url;
  /**
   * The bytes of that room. 256 are enough, except for a long path.
   */
  size_t url_size;
} gmx_debug_opts;

/**
 * Reads the memory of the library, in a world stopped for the moment.
 *
 * Blocks: as gmx_stop_the_world.
 * Call from: G, attached thread, foreign thread, a caller that has stopped the world.
 * Safepoint: yes.
 * Migrates: yes.
 * Returns: GMX_OK; GMX_EINVAL if out is NULL or its struct_size cannot be; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
 */
GMX_MUST_USE GMX_API gmx_status gmx_read_mem_stats(struct gmx_mem_stats *out);

/**
 * Gives the memory of all stacks that are kept for the next goroutines to the system at once. Without this call the
 * memory of a stack returns to the system when the stack was not needed for 6 to 8 seconds, except 1 MiB of each size.
 * A P that runs other goroutines meanwhile frees the stacks that it keeps (at most 64) when it next looks at the
 * global queue. The address space stays reserved.
 *
 * Blocks: the thread, while the system takes the memory: about a microsecond for each page that was used. A
 * goroutine's P runs others meanwhile, unless it is pinned.
 * Call from: every context; it does not start the runtime.
 * Safepoint: on a goroutine.
 * Migrates: on a goroutine.
 * Returns: GMX_OK.
 * Since: 0.2
 */
GMX_API gmx_status gmx_release_memory(void);

/**
 * Reads the numbers of the scheduler; nothing stops for it. The counts by status walk over all goroutines.
 *
 * Returns: GMX_OK; GMX_EINVAL if out is NULL or its struct_size cannot be.
 */
GMX_MUST_USE GMX_API gmx_status gmx_read_sched_stats(struct gmx_sched_stats *out);

/**
 * Writes what every P, thread and goroutine does, and where each goroutine waits and for how long, as text. Taken in a
 * stopped world, written to fd when it runs again.
 *
 * Blocks: as gmx_stop_the_world; and the thread, while fd takes the text.
 * Call from: G, attached thread, foreign thread, a caller that has stopped the world.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: fd stays the caller's.
 * Returns: GMX_OK; the negative errno of write; GMX_ENOMEM if there was no memory for all of it; GMX_ENOTG,
 * GMX_EINSYSCALL; GMX_ESHUTDOWN.
 */
GMX_API gmx_status gmx_write_heap_dump(int32_t fd);

/**
 * Calls write(arg, text, n) once, with the stacks of all goroutines as text in the shape that Go gives it. Nothing
 * stops for it, and nothing waits: a goroutine that runs while it is looked at is shown without its stack. Functions
 * are shown by name if their object exports them; otherwise addr2line knows them by the place in their file. Code
 * needs no frame pointers, but the tables for exceptions (-fasynchronous-unwind-tables, the default of compilers).
 *
 * flags is 0 or a sum of GMX_DUMP_*. JSON is an array of objects with id, name, state, reason, waited_ms, thread,
 * frames and began_in; what is not known is null. A frame has function, offset, file and file_offset. In groups an
 * object also has count, and id, name and waited_ms are those of the goroutine that has waited longest.
 *
 * write runs as the caller's own code, after the look: it may do what the caller may. It must return. The text is not
 * terminated. The loader keeps its list of objects for the look, so a dlopen or dlclose elsewhere may delay it.
 *
 * Blocks: as write does.
 * Call from: every context; it does not start the runtime.
 * Safepoint: as write is.
 * Migrates: as write does.
 * Cancellable: as write is.
 * Owns: the text is the library's, good during the call.
 * Returns: what write returns, GMX_OK if all went well; GMX_EINVAL if write is NULL or flags is wrong; GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_dump_goroutines(gmx_status (*write)(void*, const char*, size_t),
                               void *arg,
                               uint32_t flags);

/**
 * Serves the live page: what every P, thread and goroutine does now, as a page for a browser, as JSON and as metrics;
 * the stacks of all goroutines; and traces. docs/inside.md lists the paths. A thread of its own serves it, which needs
 * no P: so the page comes while every goroutine hangs. Only GET is answered, and nothing of the program can be
 * changed. One page is served at a time, in this process: a child of fork serves none. It is served until
 * gmx_debug_stop, also after gmx_shutdown.
 *
 * The second library, libgomax-debug.so.0, does this. It is loaded from the directory of libgomax, or else by its
 * name.
 *
 *     gmx_status status = gmx_debug_serve("unix", NULL);
 *     if (status != GMX_OK) fprintf(stderr, "no live page: %s\n", gmx_strerror(status));
 *
 * address: "unix:PATH", a socket for the same user alone; "unix" for $XDG_RUNTIME_DIR/gomax/PID.sock, where the
 * command gomaxctl looks; "127.0.0.1:PORT", or ::1 in brackets before the port, where each request needs the token;
 * port 0 for any.
 * opts: NULL for the defaults.
 *
 * Blocks: the thread, while the second library is loaded, for which the loader must be free, and the socket made. A
 * goroutine's P runs others meanwhile.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: on a goroutine.
 * Migrates: on a goroutine.
 * Owns: address and opts stay the caller's.
 * Returns: GMX_OK; GMX_EINVAL if address is NULL or none of these, for flags, for another machine's address without
 * GMX_DEBUG_ANYWHERE, and if url_size is too small; GMX_ENOTSUP if the second library is not there or of another
 * version; GMX_EBUSY if a page is served already; the negative errno of what the socket needs, such as -EADDRINUSE,
 * -EEXIST for a file that is no socket, -EPERM for a socket of another user, -ENOENT for "unix" without
 * XDG_RUNTIME_DIR; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_debug_serve(const char *address, const struct gmx_debug_opts *opts);

/**
 * Serves the live page no more. Connections are closed, and a trace that is being made is not finished.
 *
 * Blocks: the thread, for a moment: while the thread of the page ends. A goroutine's P runs others meanwhile.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: on a goroutine.
 * Migrates: on a goroutine.
 * Returns: GMX_OK; GMX_EPERM if none is served; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
 * Since: 0.2
 */
GMX_API gmx_status gmx_debug_stop(void);

/* ---- Metrics ---------------------------------------------------------------------------------------------------- */

/*
 * The numbers that a dashboard shows: how many goroutines there are and what they do, how long stops, barriers and
 * slices take, how late timers are. A look stops nothing, and may come from every context and at any time. Each metric
 * has a name that stays, and later versions have more of them; docs/metrics.md has the table.
 *
 *     static gmx_status put(void *arg, const char *text, size_t n) {
 *       return fwrite(text, 1, n, arg) == n ? GMX_OK : GMX_EPIPE;
 *     }
 *     ...
 *     gmx_status status = gmx_metrics_text(put, stdout);
 *
 * Histograms have the same buckets everywhere: gmx_metric_bounds.
 */

/**
 * No metric has this name: the version of the library is older, or the name is wrong.
 */
#define GMX_METRIC_NONE 0

/**
 * A count that only rises, until the process ends.
 */
#define GMX_METRIC_COUNTER 1

/**
 * A number that rises and falls.
 */
#define GMX_METRIC_GAUGE 2

/**
 * Counts of durations, by their length.
 */
#define GMX_METRIC_HISTOGRAM 3

/**
 * The buckets of a histogram.
 */
#define GMX_METRIC_BUCKETS 118

/**
 * What a metric is.
 */
typedef struct gmx_metric_desc {
  /**
   * Its name, with labels if there are several of its family: gomax_goroutines{state="running"}.
   */
  const char *name;
  /**
   * What it counts, in a sentence.
   */
  const char *help;
  /**
   * "ns", "bytes" or "".
   */
  const char *unit;
  /**
   * GMX_METRIC_*.
   */
  int32_t kind;
  /**
   * 0.
   */
  uint32_t reserved;
} gmx_metric_desc;

/**
 * A metric that is read.
 */
typedef struct gmx_metric {
  /**
   * Which one. The caller's.
   */
  const char *name;
  /**
   * For a histogram: room for GMX_METRIC_BUCKETS counts, or NULL. The caller's.
   */
  uint64_t *buckets;
  /**
   * GMX_METRIC_*, as read; GMX_METRIC_NONE if there is no such metric, and then all the rest is 0.
   */
  int32_t kind;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Its value; of a histogram the number of durations.
   */
  uint64_t value;
  /**
   * Of a histogram: all durations together, in ns.
   */
  uint64_t sum;
} gmx_metric;

/**
 * Metric i of the table, from 0; NULL behind the last.
 *
 *     const gmx_metric_desc *d;
 *     for (size_t i = 0; (d = gmx_metric_info(i)) != NULL; i++) printf("%s: %s\n", d->name, d->help);
 *
 * Call from: every context; it does not start the runtime.
 * Owns: what it returns is the library's, and stays.
 * Returns: the metric, or NULL.
 * Since: 0.2
 */
GMX_API const struct gmx_metric_desc *gmx_metric_info(size_t i);

/**
 * The upper bounds of the GMX_METRIC_BUCKETS buckets of each histogram, in ns. A bucket counts the durations above the
 * bound before and up to its own. The first bound is 128, the last but one 2^36 (69 s), with four for each power of
 * two; the last is UINT64_MAX.
 *
 * Call from: every context; it does not start the runtime.
 * Owns: what it returns is the library's, and stays.
 * Returns: the bounds, never NULL.
 * Since: 0.2
 */
GMX_API const uint64_t *gmx_metric_bounds(void);

/**
 * Reads n metrics by their names. A name that is not known is no error: its kind says so. Nothing stops for it; the
 * metrics of one call are read one after the other. Those of goroutines by state walk over all goroutines.
 *
 *     gmx_metric m[] = {{.name = "gomax_stops_total"}, {.name = "gomax_goroutines{state=\"runnable\"}"}};
 *     gmx_status status = gmx_metrics_read(m, 2);
 *     if (status == GMX_OK && m[0].kind == GMX_METRIC_COUNTER) printf("%llu stops\n", (unsigned long long)m[0].value);
 *
 * Call from: every context; it does not start the runtime.
 * Returns: GMX_OK; GMX_EINVAL if metrics is NULL and n is not 0, if a name is NULL, or a reserved field is not 0;
 * GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_metrics_read(struct gmx_metric *metrics, size_t n);

/**
 * Calls write(arg, text, n) once, with all metrics as OpenMetrics text: what a server answers to a scraper, with
 * Content-Type application/openmetrics-text; version=1.0.0; charset=utf-8. Durations are in seconds, and histograms
 * have a bucket for each power of two.
 *
 * write runs as the caller's own code, after the look: it may do what the caller may. It must return. The text is not
 * terminated.
 *
 * Blocks: as write does.
 * Call from: every context; it does not start the runtime.
 * Safepoint: as write is.
 * Migrates: as write does.
 * Cancellable: as write is.
 * Owns: the text is the library's, good during the call.
 * Returns: what write returns, GMX_OK if all went well; GMX_EINVAL if write is NULL; GMX_ENOMEM.
 * Since: 0.2
 */
GMX_MUST_USE GMX_API gmx_status gmx_metrics_text(gmx_status (*write)(void*, const char*, size_t), void *arg);

/* ---- Traces ----------------------------------------------------------------------------------------------------- */

/*
 * The library can record what every goroutine, processor and thread does, in a ring for each thread, until it is asked
 * to write the last of it to a file. The tool gomax-trace makes a file for `go tool trace` of that. While nothing is
 * recorded nothing is slower. GMXDEBUG=trace=FILE does the same for a whole run, without a change of the program. The
 * program can add what it is about: tasks, regions and lines.
 */

/**
 * How to record. Zero is the default everywhere; struct_size is sizeof(gmx_trace_opts) or 0.
 */
typedef struct gmx_trace_opts {
  /**
   * sizeof(gmx_trace_opts) of the caller.
   */
  size_t struct_size;
  /**
   * The bytes of each ring, of which a record takes 32; rounded up to a power of two. 0: 256 KiB. A thread that has
   * a ring from an earlier start keeps that one.
   */
  size_t ring_bytes;
  /**
   * Must be 0.
   */
  uint32_t flags;
  /**
   * Must be 0.
   */
  uint32_t reserved;
} gmx_trace_opts;

/**
 * Begins to record. The world is not stopped; when the call is over everything that happens is recorded.
 *
 * opts: NULL for the defaults.
 *
 * Blocks: as gmx_for_each_p.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: memory for a ring for each thread, to the end of the process; the next start uses it again.
 * Returns: GMX_OK; GMX_EBUSY if it has begun before; GMX_EINVAL for flags, and for ring_bytes below 4 KiB or above
 * 1 GiB; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
 * Since: 0.2
 */
GMX_API gmx_status gmx_trace_start(const struct gmx_trace_opts *opts);

/**
 * Writes what the rings hold to fd, as one file, and continues to record.
 *
 *     int fd = open("late.gmxtrace", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
 *     if (latency > limit) gmx_trace_snapshot(fd);
 *
 * Blocks: the thread, while fd takes the file. A goroutine's P runs others meanwhile, unless it is pinned.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: on a goroutine.
 * Migrates: on a goroutine.
 * Owns: fd stays the caller's.
 * Returns: GMX_OK; GMX_EPERM if nothing is recorded; GMX_EBADF if fd is not open; the negative errno of write, without
 * SIGPIPE; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
 * Since: 0.2
 */
GMX_API gmx_status gmx_trace_snapshot(int32_t fd);

/**
 * Ends what gmx_trace_start began, and writes what the rings hold to fd, as one file. If the write fails the file is
 * not whole, and recording has ended nevertheless.
 *
 * fd: -1 for no file.
 *
 * Blocks: as gmx_for_each_p; and the thread, while fd takes the file.
 * Call from: G, attached thread, foreign thread.
 * Safepoint: yes.
 * Migrates: yes.
 * Owns: fd stays the caller's.
 * Returns: GMX_OK; GMX_EPERM if nothing is recorded; GMX_EBADF if fd is neither -1 nor open, and GMX_ENOMEM: then
 * recording continues; the negative errno of write, without SIGPIPE; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
 * Since: 0.2
 */
GMX_API gmx_status gmx_trace_stop(int32_t fd);

/**
 * Whether what the caller does is recorded: whether a text for gmx_trace_log is worth making.
 *
 * Call from: everywhere.
 * Returns: true or false. Another thread may begin or end to record at any time.
 * Since: 0.2
 */
GMX_API bool gmx_trace_is_on(void);

/**
 * Begins a task: work for one purpose, such as a request, which may be spread over many goroutines. It shows in the
 * trace with all regions and lines that name it. A task is a number and no more: while nothing is recorded it costs an
 * addition, and one that is never ended leaks nothing.
 *
 *     uint64_t task;
 *     gmx_trace_task_begin("GET /index.html", 0, &task);
 *     gmx_trace_region_begin(task, "read the file");
 *     read_file();
 *     gmx_trace_region_end();
 *     gmx_trace_task_end(task);
 *
 * name: what kind of task it is; a trace holds the first 1,008 bytes of it, 768 in a ring of 4 KiB.
 * parent: the task that this one is a part of; 0: none.
 *
 * Call from: G, attached thread; also pinned, and with the world stopped.
 * Owns: nothing; name is copied.
 * Returns: GMX_OK, and the number of the task, which is not 0; GMX_EINVAL for a NULL; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_API gmx_status gmx_trace_task_begin(const char *name, uint64_t parent, uint64_t *task);

/**
 * Ends a task. Any goroutine may do it.
 *
 * Call from: G, attached thread; also pinned, and with the world stopped.
 * Returns: GMX_OK, also for a task that has ended; GMX_EINVAL for 0; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_API gmx_status gmx_trace_task_end(uint64_t task);

/**
 * Begins a region: a span of time of the calling goroutine, with a name. Regions nest.
 *
 * task: what the work is for; 0: no task.
 * name: as in gmx_trace_task_begin.
 *
 * Call from: G, attached thread; also pinned, and with the world stopped.
 * Owns: nothing; name is copied.
 * Returns: GMX_OK; GMX_EINVAL for a NULL; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_API gmx_status gmx_trace_region_begin(uint64_t task, const char *name);

/**
 * Ends the region that the calling goroutine has begun last. What is open at the end of a goroutine ends there; an end
 * without a begin changes nothing.
 *
 * Call from: G, attached thread; also pinned, and with the world stopped.
 * Returns: GMX_OK; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_API gmx_status gmx_trace_region_end(void);

/**
 * Writes a line into the trace.
 *
 *     if (gmx_trace_is_on()) {
 *       char line[64];
 *       snprintf(line, sizeof line, "%d rows", rows);
 *       gmx_trace_log(task, line);
 *     }
 *
 * task: what the line belongs to; 0: no task.
 * line: as name in gmx_trace_task_begin.
 *
 * Call from: G, attached thread; also pinned, and with the world stopped.
 * Owns: nothing; line is copied.
 * Returns: GMX_OK; GMX_EINVAL for a NULL; GMX_ENOTG, GMX_EINSYSCALL.
 * Since: 0.2
 */
GMX_API gmx_status gmx_trace_log(uint64_t task, const char *line);

/* ---- Initialisers ----------------------------------------------------------------------------------------------- */

#if !defined(GMX_NO_INLINE)
/*
 * A struct of options with every field at its default; set what should be otherwise. `gmx_config c = GMX_CONFIG_INIT;`
 */
#if defined(__cplusplus)
#define GMX_ZERO_INIT {}
#else
#define GMX_ZERO_INIT {0}
#endif
#define GMX_CONFIG_INIT GMX_ZERO_INIT
#define GMX_SPAWN_OPTS_INIT GMX_ZERO_INIT
#define GMX_STOP_OPTS_INIT GMX_ZERO_INIT
#define GMX_TRACE_OPTS_INIT GMX_ZERO_INIT
#define GMX_LISTEN_OPTS_INIT GMX_ZERO_INIT
#define GMX_DIAL_OPTS_INIT GMX_ZERO_INIT
#define GMX_SCHED_STATS_INIT GMX_ZERO_INIT
#define GMX_MEM_STATS_INIT GMX_ZERO_INIT
#define GMX_MUTEX_INIT GMX_ZERO_INIT
#define GMX_RWMUTEX_INIT GMX_ZERO_INIT
#define GMX_COND_INIT GMX_ZERO_INIT
#define GMX_WAITGROUP_INIT GMX_ZERO_INIT
#define GMX_ONCE_INIT GMX_ZERO_INIT
#define GMX_BARRIER_INIT(n) {(n), 0, 0}

/*
 * A case of gmx_select: `gmx_select_case cases[] = {GMX_RECV(jobs, &job), GMX_SEND(results, &result)};`
 */
#define GMX_RECV(c, to) {(c), (to), GMX_CASE_RECV, 0, {0, 0, 0, 0, 0}}
#define GMX_SEND(c, from) {(c), (from), GMX_CASE_SEND, 0, {0, 0, 0, 0, 0}}
#define GMX_RECV_READY(c) {(c), NULL, GMX_CASE_RECV_READY, 0, {0, 0, 0, 0, 0}}
#define GMX_SEND_READY(c) {(c), NULL, GMX_CASE_SEND_READY, 0, {0, 0, 0, 0, 0}}
#endif

/* ---- Inline ------------------------------------------------------------------------------------------------------ */

/**
 * Not zero while there is a request to running goroutines: a stop, a barrier, the end of a slice. gmx_safepoint() reads
 * it, and so does the code that a compiler may emit in place of that call.
 */
extern GMX_API volatile uint32_t gmx_poll_word;

/*
 * The bodies of gmx_safepoint and gmx_once_do, for compilers that can inline them: one load and a branch as long as
 * there is no request, or when the once is done. The functions are the library's all the same, with its addresses and
 * its errors: a call that is not inlined goes to the library. With GMX_NO_INLINE defined this header has declarations
 * only, and the status codes are an enum, which #if does not see: for generators of bindings and other readers of
 * headers.
 */
#if defined(__GNUC__) && !defined(GMX_NO_INLINE)
extern __inline __attribute__((__gnu_inline__, __always_inline__)) void gmx_safepoint(void) {
  if (__builtin_expect(__atomic_load_n(&gmx_poll_word, __ATOMIC_RELAXED) != 0, 0)) {
    gmx_status gmx_ignored = gmx_safepoint_slow();
    (void)gmx_ignored;
  }
}

extern __inline __attribute__((__gnu_inline__)) gmx_status gmx_once_do(struct gmx_once *once, void (*fn)(void*),
                                                                       void *arg) {
  const union { const struct gmx_once *p; uintptr_t n; } at = {once};
  if (fn && once && at.n % sizeof at.n == 0 && __atomic_load_n(&once->state, __ATOMIC_ACQUIRE) == 3u) {
    return GMX_OK;
  }
  return gmx_once_do_timeout(once, fn, arg, GMX_FOREVER);
}
#endif

#ifdef __cplusplus
}  /* extern "C" */
#endif

#endif /* GOMAX_H */
