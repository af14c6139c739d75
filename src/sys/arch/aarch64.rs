//! AArch64, AAPCS64 on Linux.
//!
//! A context that does not run looks like this; `Sp` points to the lowest word:
//!
//! ```text
//!            suspended by switch                  made by prepare
//!   higher   frames of the caller        hi  ->   (end of the stack)
//!            (unused)                             0
//!            x19                                  entry
//!            address of label 2                   gmx_arch_start
//!   Sp ->    x29                         Sp ->    0
//! ```
//!
//! Both are continued the same way: put back x29, x30 and x19, free the 32 bytes, jump to x30 with the payload in x0.
//! `br` and not `ret`: the return predictor would miss every time. Every address that is reached so begins with `bti j`
//! (a hint that older cores pass over), so that the library may be linked with branch protection.
//!
//! x18 is an ordinary scratch register here; a host that keeps a shadow call stack in it is not supported.

use super::{Saved, Sp};
use core::arch::{asm, global_asm};

pub mod keep;

// The first thing that runs on a fresh stack: x19 holds entry, x0 the payload, x29 is 0.
// No frame lies below: the tables say that the return address is unknown and walkers stop here. The nop keeps the
// address before the first instruction inside this function, since unwinders look up pc - 4.
global_asm!(
    ".pushsection .text.gmx_arch_start,\"ax\",@progbits",
    ".balign 16",
    ".hidden gmx_arch_start",
    ".globl gmx_arch_start",
    ".type gmx_arch_start,@function",
    ".cfi_startproc",
    ".cfi_personality 0x1b, {bottom}", // pc-relative, 4 bytes
    ".cfi_undefined x30",
    ".cfi_undefined x29",
    "nop",
    "gmx_arch_start:",
    "hint #36", // bti j
    "mov x29, xzr",
    // A call of entry(payload) without a call instruction: entry does not return, so the return predictor would keep an
    // address to which no return ever comes. By x16, from which a branch may arrive where calls do.
    "adr x30, 2f",
    "mov x16, x19",
    "br x16",
    "2: brk #1",
    ".cfi_endproc",
    ".size gmx_arch_start, . - gmx_arch_start",
    ".popsection",
    bottom = sym super::bottom_of_stack,
);

// The call of a function of the host: its arguments are where the function expects them, the function itself comes
// last. Debuggers and backtraces walk through this frame, exceptions do not: see `super::no_way_through`.
global_asm!(
    ".pushsection .text.gmx_arch_call,\"ax\",@progbits",
    ".balign 16",
    ".hidden gmx_arch_call",
    ".globl gmx_arch_call",
    ".type gmx_arch_call,@function",
    ".cfi_startproc",
    ".cfi_personality 0x1b, {no_way_through}", // pc-relative, 4 bytes
    "gmx_arch_call:",
    "hint #34", // bti c
    "stp x29, x30, [sp, #-16]!",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset x29, -16",
    ".cfi_offset x30, -8",
    "mov x29, sp",
    "blr x3",
    "ldp x29, x30, [sp], #16",
    ".cfi_restore x29",
    ".cfi_restore x30",
    ".cfi_def_cfa_offset 0",
    "ret",
    ".cfi_endproc",
    ".size gmx_arch_call, . - gmx_arch_call",
    ".popsection",
    no_way_through = sym super::no_way_through,
);

/// Defines `gmx_arch_signal`: `$handler(sig, info, context, sp, fp, lr)` as a handler of signals.
macro_rules! signal_entry {
    ($handler:path) => {
        core::arch::global_asm!(
            ".pushsection .text.gmx_arch_signal,\"ax\",@progbits",
            ".balign 16",
            ".hidden gmx_arch_signal",
            ".globl gmx_arch_signal",
            ".type gmx_arch_signal,@function",
            ".cfi_startproc",
            "gmx_arch_signal:",
            "hint #34", // bti c
            "mov x5, x30",
            "mov x4, x29",
            "mov x3, sp",
            "b {handler}",
            ".cfi_endproc",
            ".size gmx_arch_signal, . - gmx_arch_signal",
            ".popsection",
            handler = sym $handler,
        );
    };
}
pub(crate) use signal_entry;

/// How an argument of a probe names the field of an object whose address is in a register (`crate::sys::probe`).
macro_rules! probe_field {
    ($size:literal, $base:literal, $at:literal) => {
        concat!($size, "@[{", $base, "}, {", $at, "}]")
    };
}
pub(crate) use probe_field;

/// What the kernel has put on the stack for a handler. From the lowest address on: the information; the context, which
/// ends in a list of records; what had no room in these; a frame record.
pub mod signal {
    use crate::sys::arch::Entry;
    use core::arch::asm;
    use core::ffi::{c_int, c_void};

    /// Whether the kernel called the handler, or another one that has left the stack as the kernel made it.
    pub fn by_kernel(entry: Entry, info: *mut libc::siginfo_t, _: *mut libc::ucontext_t) -> bool {
        entry.sp == info as usize
    }

    /// The lowest address of what the kernel has put there.
    pub fn lowest(info: *mut libc::siginfo_t, _: *mut libc::ucontext_t) -> usize {
        info as usize
    }

    /// Below what the interrupted code may use of its stack.
    ///
    /// # Safety
    /// The context is the kernel's.
    pub unsafe fn room_below(context: *mut libc::ucontext_t) -> usize {
        // SAFETY: the caller's promise.
        unsafe { (*context).uc_mcontext.sp as usize }
    }

    /// The context was copied: what points into the frame moves along.
    ///
    /// # Safety
    /// The context is a copy of the kernel's.
    pub unsafe fn moved(context: *mut libc::ucontext_t, by: usize) {
        const EXTRA: u32 = 0x4558_5401;
        const LIST: usize = 288; // of the fields before it, rounded up to 16
        // SAFETY: the caller's promise. The list ends with a record of size 0.
        unsafe {
            let mut at = (&raw mut (*context).uc_mcontext).cast::<u8>().add(LIST).cast::<u32>();
            while *at.add(1) != 0 {
                if *at == EXTRA {
                    let data = at.add(2).cast::<u64>();
                    *data = (*data).wrapping_add(by as u64);
                }
                at = at.byte_add(*at.add(1) as usize);
            }
        }
    }

    /// Enters a handler as the kernel does, with what it has put at `lowest` or a copy of that, which lies `by` bytes
    /// further.
    ///
    /// # Safety
    /// `lowest` is such a place, `f` a handler; nothing on the stack of the caller is needed any more.
    pub unsafe fn deliver(
        f: usize,
        sig: c_int,
        info: *mut libc::siginfo_t,
        context: *mut c_void,
        lowest: usize,
        entry: Entry,
        by: usize,
    ) -> ! {
        // SAFETY: the caller's promise. It returns to where the kernel's frame does.
        unsafe {
            asm!(
                "mov sp, x9",
                "mov x29, x10",
                "mov x30, x11",
                "br x16", // arrives where calls do
                in("x9") lowest,
                in("x10") entry.fp.wrapping_add(by),
                in("x11") entry.lr,
                in("x16") f,
                in("w0") sig,
                in("x1") info,
                in("x2") context,
                options(noreturn),
            )
        }
    }
}

/// Where glibc keeps the address of a thread's vector of thread-local blocks.
#[inline(always)]
pub fn thread_vector() -> *const usize {
    let at: *const usize;
    // SAFETY: reads a word of the thread's control block.
    unsafe {
        core::arch::asm!("mrs {0}, tpidr_el0", "ldr {0}, [{0}]", out(reg) at, options(nostack, preserves_flags, readonly));
    }
    at
}

unsafe extern "C" {
    fn gmx_arch_start();
    /// See [`signal`].
    pub fn gmx_arch_signal();
    /// Calls `f(a, b, c)`, through which no exception passes.
    pub fn gmx_arch_call(a: usize, b: usize, c: usize, f: *const ()) -> usize;
}

/// Saves this context in `*save`, continues `to` and hands it `payload`. Returns when another stack switches back to
/// this context, with the payload of that switch.
///
/// FPCR belongs to the thread.
///
/// # Safety
/// `to` was saved by `switch` or made by [`prepare`], was not continued since, and its stack is still there. `save` is
/// writable until this context has been left. Nothing that is tied to the thread (addresses of thread-locals, `errno`)
/// may live across the call.
#[inline(always)]
pub unsafe fn switch(save: *mut Sp, to: Sp, payload: usize) -> usize {
    let back;
    // SAFETY: the caller vouches for `to` and `save`. All registers are declared as lost but x19, x29 and sp, which
    // the switch back to this context restores.
    unsafe {
        asm!(
            "adr x30, 2f",
            "stp x29, x30, [sp, #-32]!",
            "str x19, [sp, #16]",
            "mov x9, sp",
            "str x9, [x1]",             // *save = this context
            "mov sp, x2",               // from here on the other stack
            "ldr x19, [sp, #16]",
            "ldp x29, x30, [sp], #32",
            "br x30",
            "2:",
            "hint #36",                 // bti j
            inlateout("x0") payload => back,
            in("x1") save,
            in("x2") to.0,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _, lateout("x30") _,
            lateout("v8") _, lateout("v9") _, lateout("v10") _, lateout("v11") _,
            lateout("v12") _, lateout("v13") _, lateout("v14") _, lateout("v15") _,
            clobber_abi("C"),
        );
    }
    back
}

/// A fresh context: the first [`switch`] to it calls `entry(payload)` at the top of the stack that ends at `stack_hi`.
///
/// # Safety
/// `stack_hi` is 16-aligned and one past the end of a writable stack that nothing else uses.
pub unsafe fn prepare(stack_hi: *mut u8, entry: unsafe extern "C" fn(usize) -> !) -> Sp {
    debug_assert!(stack_hi as usize & 15 == 0);
    let sp = stack_hi.wrapping_sub(32).cast::<[usize; 4]>();
    // SAFETY: the four highest words of a stack that is ours.
    unsafe { sp.write([0, gmx_arch_start as *const () as usize, entry as usize, 0]) };
    Sp(sp.cast())
}

/// The registers of a context that does not run.
///
/// # Safety
/// `sp` was saved by [`switch`] or made by [`prepare`] and is not continued meanwhile.
pub unsafe fn saved(sp: Sp) -> Saved {
    let w = sp.0.cast::<usize>();
    // SAFETY: the words are those of the pictures above.
    let [fp, pc, extra] = unsafe { w.cast::<[usize; 3]>().read() };
    Saved { pc, sp: w.wrapping_add(4) as usize, fp, extra }
}

/// A counter that rises all the time. See [`ticks_are_time`].
#[inline(always)]
pub fn ticks() -> u64 {
    let n;
    // SAFETY: it reads a register that programs may read.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) n, options(nomem, nostack, preserves_flags)) };
    n
}

/// Whether [`ticks`] rises as fast as time does on every CPU, and in step: by the definition of the counter.
pub fn ticks_are_time() -> bool {
    true
}

/// Where this function's caller is on its stack.
#[inline(always)]
pub fn stack_pointer() -> *mut u8 {
    let sp;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// Brings the cache line at `p` closer; any address will do.
#[inline(always)]
pub fn prefetch(p: *const u8) {
    // SAFETY: a hint, which never faults.
    unsafe { asm!("prfm pldl1keep, [{}]", in(reg) p, options(readonly, nostack, preserves_flags)) };
}

/// Asks valgrind; gives `default` where it does not run. The instructions before the `orr` do nothing on a processor.
#[inline(always)]
pub fn valgrind(default: usize, request: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: x12 is rotated by 128 bits in all; valgrind reads the request.
    unsafe {
        asm!(
            "ror x12, x12, #3", "ror x12, x12, #13", "ror x12, x12, #51", "ror x12, x12, #61",
            "orr x10, x10, x10",
            inlateout("x3") default => answer,
            in("x4") request,
            out("x12") _,
            options(nostack),
        );
    }
    answer
}

/// The registers that a callee keeps, as they are now.
#[inline(always)]
pub fn kept_registers() -> [usize; 12] {
    let mut regs = [0usize; 12];
    // SAFETY: writes all of them.
    unsafe {
        core::arch::asm!(
            "stp x19, x20, [{p}]",
            "stp x21, x22, [{p}, #16]",
            "stp x23, x24, [{p}, #32]",
            "stp x25, x26, [{p}, #48]",
            "stp x27, x28, [{p}, #64]",
            "str x29, [{p}, #80]",
            p = in(reg) &raw mut regs,
            options(nostack, preserves_flags),
        );
    }
    regs
}

/// The end of what the interrupted code uses of its stack.
///
/// # Safety
/// `context` is what the system passed to a handler of signals.
pub unsafe fn interrupted_sp(context: *const core::ffi::c_void) -> *mut u8 {
    // SAFETY: the caller's promise.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    context.uc_mcontext.sp as usize as *mut u8
}

/// The initial-exec slot: one load through the thread pointer, also in a library that was dlopened (8 bytes of the
/// room that the loader keeps for such). Hidden, so that two copies of the library in one process have one each;
/// global, since other objects of this crate, and inlined copies in crates above it, name it.
#[cfg(not(target_env = "musl"))]
pub mod slot {
    use core::arch::{asm, global_asm};
    use core::ffi::c_void;

    global_asm!(
        ".pushsection .tbss.gmx_arch_m,\"awT\",@nobits",
        ".balign 8",
        ".hidden gmx_arch_m",
        ".globl gmx_arch_m",
        ".type gmx_arch_m,@object",
        ".size gmx_arch_m, 8",
        "gmx_arch_m:",
        ".zero 8",
        ".popsection",
    );

    #[inline(always)]
    pub fn load() -> *mut c_void {
        let p;
        // SAFETY: reads the slot of this thread. Not `pure`: two loads with a switch between them differ.
        unsafe {
            asm!(
                "adrp {p}, :gottprel:gmx_arch_m",
                "ldr {p}, [{p}, :gottprel_lo12:gmx_arch_m]",
                "mrs {t}, tpidr_el0",
                "ldr {p}, [{t}, {p}]",
                p = out(reg) p,
                t = out(reg) _,
                options(nostack, preserves_flags, readonly),
            );
        }
        p
    }

    #[inline(always)]
    pub fn store(p: *mut c_void) {
        // SAFETY: writes the slot of this thread, which nothing else names.
        unsafe {
            asm!(
                "adrp {o}, :gottprel:gmx_arch_m",
                "ldr {o}, [{o}, :gottprel_lo12:gmx_arch_m]",
                "mrs {t}, tpidr_el0",
                "str {p}, [{t}, {o}]",
                o = out(reg) _,
                t = out(reg) _,
                p = in(reg) p,
                options(nostack, preserves_flags),
            );
        }
    }
}
