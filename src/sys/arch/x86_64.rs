//! x86-64, System V ABI.
//!
//! A context that does not run looks like this; `Sp` points to the lowest word:
//!
//! ```text
//!            suspended by switch                  made by prepare
//!   higher   frames of the caller        hi  ->   (end of the stack)
//!            ...                                  0
//!            rbp                                  0          <- rsp, 16-aligned, when entry is called
//!            rbx                                  entry
//!   Sp ->    address of label 2          Sp ->   gmx_arch_start
//! ```
//!
//! Both are continued the same way: pop an address, jump to it with the payload in rdx. Jump and not `ret`: the return
//! predictor would miss every time, the indirect predictor learns the target.
//!
//! At label 2 the stack pointer is `Sp + 8`; with rbx and rbp taken from the picture, rip = label 2 and rsp = `Sp + 24`
//! the compiler's own unwind tables describe the suspended frame, so no CFI is needed inside the assembly. See
//! [`saved`].

use super::{Saved, Sp};
use core::arch::{asm, global_asm};

pub mod keep;

// The first thing that runs on a fresh stack. On entry rsp points to `entry`, rdx holds the payload.
// No return address lies below this frame, so the tables say that rip is unknown and walkers stop here; rbp is zeroed
// for walkers that follow frame pointers. The nop keeps the address before the first instruction inside this function:
// a suspended fresh context has it as its pc, and unwinders look up pc - 1.
global_asm!(
    ".pushsection .text.gmx_arch_start,\"ax\",@progbits",
    ".balign 16",
    ".hidden gmx_arch_start",
    ".globl gmx_arch_start",
    ".type gmx_arch_start,@function",
    ".cfi_startproc",
    ".cfi_personality 0x1b, {bottom}", // pc-relative, 4 bytes
    ".cfi_undefined rip",
    ".cfi_undefined rbp",
    "nop",
    "gmx_arch_start:",
    "pop rax",      // entry; rsp is now 16-aligned
    "xor ebp, ebp", // end of the frame-pointer chain
    "mov rdi, rdx", // first argument: the payload
    // A call without a call instruction: entry does not return, so the return predictor would keep an address to which
    // no return ever comes. After the end of the G, the returns on g0 would then be predicted wrong.
    "lea rcx, [rip + 2f]",
    "push rcx",
    "jmp rax",
    "2: ud2",
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
    "sub rsp, 8", // rsp is 16-aligned at the call
    ".cfi_adjust_cfa_offset 8",
    "call rcx",
    "add rsp, 8",
    ".cfi_adjust_cfa_offset -8",
    "ret",
    ".cfi_endproc",
    ".size gmx_arch_call, . - gmx_arch_call",
    ".popsection",
    no_way_through = sym super::no_way_through,
);

/// Defines `gmx_arch_signal`: `$handler(sig, info, context, sp, fp, lr)` as a handler of signals. It is told where the
/// stack was on entry; what else an [`Entry`](super::Entry) holds has no meaning here.
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
            "endbr64",
            "mov rcx, rsp",
            "jmp {handler}",
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
        concat!($size, "@{", $at, "}(%{", $base, "})")
    };
}
pub(crate) use probe_field;

/// What the kernel has put on the stack for a handler. From the lowest address on: the address that the handler returns
/// to, which leads to `rt_sigreturn`; the context, the information; the state of the vector unit, to which the context
/// points.
pub mod signal {
    use crate::sys::arch::Entry;
    use core::arch::asm;
    use core::ffi::{c_int, c_void};
    use core::mem::offset_of;

    /// Whether the kernel called the handler, or another one that has left the stack as the kernel made it.
    pub fn by_kernel(entry: Entry, _: *mut libc::siginfo_t, context: *mut libc::ucontext_t) -> bool {
        entry.sp + 8 == context as usize
    }

    /// The lowest address of what the kernel has put there.
    pub fn lowest(_: *mut libc::siginfo_t, context: *mut libc::ucontext_t) -> usize {
        context as usize - 8
    }

    /// Below what the interrupted code may use of its stack.
    ///
    /// # Safety
    /// The context is the kernel's.
    pub unsafe fn room_below(context: *mut libc::ucontext_t) -> usize {
        // SAFETY: the caller's promise.
        unsafe { (*context).uc_mcontext.gregs[libc::REG_RSP as usize] as usize - 128 }
    }

    /// The context was copied: what points into the frame moves along.
    ///
    /// # Safety
    /// The context is a copy of the kernel's.
    pub unsafe fn moved(context: *mut libc::ucontext_t, by: usize) {
        // The word after the registers is the address of that state. libc has no name for it in musl.
        let words = context.wrapping_byte_add(offset_of!(libc::ucontext_t, uc_mcontext)).cast::<[*mut c_void; 24]>();
        // SAFETY: the caller's promise.
        let [.., state] = unsafe { &mut *words };
        if !state.is_null() {
            *state = state.wrapping_byte_add(by);
        }
    }

    /// Enters a handler as the kernel does, with what it has put at `lowest` or a copy of that.
    ///
    /// # Safety
    /// `lowest` is such a place, `f` a handler; nothing on the stack of the caller is needed any more.
    pub unsafe fn deliver(
        f: usize,
        sig: c_int,
        info: *mut libc::siginfo_t,
        context: *mut c_void,
        lowest: usize,
        _: Entry,
        _: usize,
    ) -> ! {
        // SAFETY: the caller's promise. It returns to the address that lies at `lowest`.
        unsafe {
            asm!(
                "mov rsp, rcx",
                "xor eax, eax", // no variable arguments
                "jmp r8",
                in("rcx") lowest,
                in("r8") f,
                in("edi") sig,
                in("rsi") info,
                in("rdx") context,
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
        core::arch::asm!("mov {}, qword ptr fs:[8]", out(reg) at, options(nostack, preserves_flags, readonly));
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
/// The direction flag is clear on both sides, as the ABI has it; MXCSR and the x87 control word belong to the thread.
///
/// # Safety
/// `to` was saved by `switch` or made by [`prepare`], was not continued since, and its stack is still there. `save` is
/// writable until this context has been left. Nothing that is tied to the thread (addresses of thread-locals, `errno`)
/// may live across the call.
#[inline(always)]
pub unsafe fn switch(save: *mut Sp, to: Sp, payload: usize) -> usize {
    let back;
    // SAFETY: the caller vouches for `to` and `save`. All registers are declared as lost but rbx, rbp and rsp, which
    // are put back at label 2; pushing is allowed since `nostack` is not given.
    unsafe {
        asm!(
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov [rdi], rsp",       // *save = this context
            "mov rsp, rsi",         // from here on the other stack
            "pop rax",
            "jmp rax",
            "2:",
            "pop rbx",
            "pop rbp",
            in("rdi") save,
            in("rsi") to.0,
            inlateout("rdx") payload => back,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("sysv64"),
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
    unsafe { sp.write([gmx_arch_start as *const () as usize, entry as usize, 0, 0]) };
    Sp(sp.cast())
}

/// The registers of a context that does not run.
///
/// # Safety
/// `sp` was saved by [`switch`] or made by [`prepare`] and is not continued meanwhile.
pub unsafe fn saved(sp: Sp) -> Saved {
    let w = sp.0.cast::<usize>();
    // SAFETY: both pictures above have at least three words.
    let [pc, extra, fp] = unsafe { w.cast::<[usize; 3]>().read() };
    if pc == gmx_arch_start as *const () as usize {
        return Saved { pc, sp: w.wrapping_add(1) as usize, fp: 0, extra: 0 };
    }
    Saved { pc, sp: w.wrapping_add(3) as usize, fp, extra }
}

/// A counter that rises all the time. See [`ticks_are_time`].
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every processor of this instruction set has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether [`ticks`] rises as fast as time does on every CPU, and in step.
pub fn ticks_are_time() -> bool {
    const POWER: u32 = 0x8000_0007;
    const INVARIANT: u32 = 1 << 8;
    let known = core::arch::x86_64::__cpuid(0x8000_0000).eax;
    known >= POWER && core::arch::x86_64::__cpuid(POWER).edx & INVARIANT != 0
}

/// Where this function's caller is on its stack.
#[inline(always)]
pub fn stack_pointer() -> *mut u8 {
    let sp;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// Brings the cache line at `p` closer; any address will do.
#[inline(always)]
pub fn prefetch(p: *const u8) {
    // SAFETY: a hint, which never faults.
    unsafe { asm!("prefetcht0 [{}]", in(reg) p, options(readonly, nostack, preserves_flags)) };
}

/// Asks valgrind; gives `default` where it does not run. The instructions before the `xchg` do nothing on a processor.
#[inline(always)]
pub fn valgrind(default: usize, request: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: rdi is rotated by 128 bits in all; valgrind reads the request.
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51",
            "xchg rbx, rbx",
            inlateout("rdx") default => answer,
            in("rax") request,
            out("rdi") _,
            options(nostack),
        );
    }
    answer
}

/// The registers that a callee keeps, as they are now.
#[inline(always)]
pub fn kept_registers() -> [usize; 12] {
    let mut regs = [0usize; 12];
    // SAFETY: writes the first six.
    unsafe {
        core::arch::asm!(
            "mov [{p}], rbx",
            "mov [{p} + 8], rbp",
            "mov [{p} + 16], r12",
            "mov [{p} + 24], r13",
            "mov [{p} + 32], r14",
            "mov [{p} + 40], r15",
            p = in(reg) &raw mut regs,
            options(nostack, preserves_flags),
        );
    }
    regs
}

/// The end of what the interrupted code uses of its stack: the red zone lies below its stack pointer.
///
/// # Safety
/// `context` is what the system passed to a handler of signals.
pub unsafe fn interrupted_sp(context: *const core::ffi::c_void) -> *mut u8 {
    // SAFETY: the caller's promise.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    (context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize - 128) as *mut u8
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

    // The instruction with @GOTTPOFF has the form that linkers turn into a constant for executables.
    #[inline(always)]
    pub fn load() -> *mut c_void {
        let p;
        // SAFETY: reads the slot of this thread. Not `pure`: two loads with a switch between them differ.
        unsafe {
            asm!(
                "mov {p}, qword ptr [rip + gmx_arch_m@GOTTPOFF]",
                "mov {p}, qword ptr fs:[{p}]",
                p = out(reg) p,
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
                "mov {t}, qword ptr [rip + gmx_arch_m@GOTTPOFF]",
                "mov qword ptr fs:[{t}], {p}",
                t = out(reg) _,
                p = in(reg) p,
                options(nostack, preserves_flags),
            );
        }
    }
}
