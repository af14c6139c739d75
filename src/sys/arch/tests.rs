//! Switches, with everything that has to survive them.

use super::*;
use core::ptr;
use std::alloc::{Layout, alloc, dealloc};

struct TestStack(*mut u8);
const LAYOUT: Layout = match Layout::from_size_align(64 << 10, 4096) {
    Ok(l) => l,
    Err(_) => unreachable!(),
};

impl TestStack {
    fn new() -> Self {
        // SAFETY: the layout is not empty.
        TestStack(unsafe { alloc(LAYOUT) })
    }
    fn hi(&self) -> *mut u8 {
        self.0.wrapping_add(LAYOUT.size())
    }
}

impl Drop for TestStack {
    fn drop(&mut self) {
        // SAFETY: from `new`.
        unsafe { dealloc(self.0, LAYOUT) }
    }
}

/// Both ends of a pair of contexts; the first payload of the entry points to it.
struct Pair {
    main: Sp,
    side: Sp,
    seen: Vec<usize>,
}

impl Pair {
    fn new(stack: &TestStack, entry: unsafe extern "C" fn(usize) -> !) -> Pair {
        // SAFETY: the stack is fresh.
        Pair { main: Sp::NULL, side: unsafe { prepare(stack.hi(), entry) }, seen: Vec::new() }
    }
}

#[inline(never)]
fn resume(p: *mut Pair, payload: usize) -> usize {
    // SAFETY: the test's pair; the side is suspended, and holds no reference to it.
    let Pair { main, side, .. } = unsafe { &mut *p };
    // SAFETY: the side is suspended.
    unsafe { switch(main, *side, payload) }
}

#[inline(never)]
fn suspend(p: *mut Pair, payload: usize) -> usize {
    // SAFETY: the test's pair; called on the side only, so main is suspended, and holds no reference to it.
    let Pair { main, side, .. } = unsafe { &mut *p };
    // SAFETY: main is suspended.
    unsafe { switch(side, *main, payload) }
}

unsafe extern "C" fn echo(p: usize) -> ! {
    let p = p as *mut Pair;
    let mut v = suspend(p, usize::MAX);
    loop {
        // SAFETY: main is suspended and does not hold a reference.
        unsafe { (*p).seen.push(v) };
        v = suspend(p, v * 2);
    }
}

#[test]
fn payloads_go_both_ways() {
    let stack = TestStack::new();
    let mut pair = Pair::new(&stack, echo);
    let p = &raw mut pair;
    assert_eq!(resume(p, p as usize), usize::MAX);
    for i in 0..1000 {
        assert_eq!(resume(p, i), i * 2);
    }
    assert_eq!(pair.seen, (0..1000).collect::<Vec<_>>());
}

unsafe extern "C" fn aligned(p: usize) -> ! {
    let p = p as *mut Pair;
    #[repr(align(16))]
    struct Block(#[expect(dead_code)] [u64; 4]);
    let mut b = Block([1, 2, 3, 4]);
    let at = core::hint::black_box(&raw mut b);
    // A compiler that trusts the alignment of the stack, as C compilers do, spills vectors so.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `at` is 32 writable bytes.
    unsafe {
        core::arch::asm!(
            "movaps {v}, [{p}]", "movaps [{p} + 16], {v}",
            p = in(reg) at, v = out(xmm_reg) _, options(nostack)
        )
    };
    let sp = stack_pointer() as usize;
    suspend(p, (at as usize % 16) | (sp % 16) << 8);
    unreachable!()
}

#[test]
fn fresh_context_is_aligned() {
    let stack = TestStack::new();
    let mut pair = Pair::new(&stack, aligned);
    let p = &raw mut pair;
    assert_eq!(resume(p, p as usize), 0);
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    // fn(*const usize) -> usize: where the entry's stack pointer is before any compiler had its way with it.
    ".pushsection .text.gmx_test_entry,\"ax\",@progbits",
    ".hidden gmx_test_entry",
    ".globl gmx_test_entry",
    "gmx_test_entry:",
    "mov rsi, rsp",
    "mov rdx, rbp",
    "sub rsp, 8",
    "call {}",
    "ud2",
    ".popsection",
    sym raw_entry
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .text.gmx_test_entry,\"ax\",@progbits",
    ".hidden gmx_test_entry",
    ".globl gmx_test_entry",
    "gmx_test_entry:",
    "mov x1, sp",
    "mov x2, x29",
    "bl {}",
    "brk #1",
    ".popsection",
    sym raw_entry
);

unsafe extern "C" {
    fn gmx_test_entry(p: usize) -> !;
}

unsafe extern "C" fn raw_entry(p: usize, sp: usize, fp: usize) -> ! {
    let p = p as *mut Pair;
    // SAFETY: main is suspended.
    unsafe { (*p).seen.extend([sp, fp]) };
    suspend(p, 0);
    unreachable!()
}

#[test]
fn entry_sees_the_abi() {
    let stack = TestStack::new();
    let mut pair = Pair::new(&stack, gmx_test_entry);
    let p = &raw mut pair;
    resume(p, p as usize);
    // x86-64 enters functions with the return address just pushed.
    let below = if cfg!(target_arch = "x86_64") { 8 } else { 0 };
    assert_eq!((pair.seen[0] + below) % 16, 0);
    assert!(stack.hi() as usize - pair.seen[0] <= 48);
    assert_eq!(pair.seen[1], 0, "the chain of frame pointers ends here");
}

/// Changes every register that the ABI wants kept, then goes back.
unsafe extern "C" fn trasher(p: usize) -> ! {
    let p = p as *mut Pair;
    let mut v = 1usize;
    loop {
        trash(v);
        v = suspend(p, v);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn trash(v: usize) {
    // SAFETY: the registers are put back or declared; the point is that the switch which follows does not keep them.
    unsafe {
        core::arch::asm!(
            "mov r12, {v}", "mov r13, {v}", "mov r14, {v}", "mov r15, {v}",
            "movq xmm6, {v}", "movq xmm15, {v}",
            v = in(reg) v,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _, out("xmm6") _, out("xmm15") _,
        )
    }
}

#[cfg(target_arch = "aarch64")]
#[inline(never)]
fn trash(v: usize) {
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "mov x20, {v}", "mov x27, {v}", "mov x28, {v}", "fmov d8, {v}", "fmov d15, {v}",
            v = in(reg) v,
            out("x20") _, out("x27") _, out("x28") _, out("v8") _, out("v15") _,
        )
    }
}

// A C caller that keeps values in every callee-saved register over a call that switches.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .text.gmx_test_keep,\"ax\",@progbits",
    ".hidden gmx_test_keep",
    ".globl gmx_test_keep",
    "gmx_test_keep:",
    "push rbp", "push rbx", "push r12", "push r13", "push r14", "push r15", "sub rsp, 8",
    "mov rbx, 0x11", "mov rbp, 0x22", "mov r12, 0x33", "mov r13, 0x44", "mov r14, 0x55", "mov r15, 0x66",
    "call {}",
    "xor eax, eax",
    "sub rbx, 0x11", "or rax, rbx", "sub rbp, 0x22", "or rax, rbp", "sub r12, 0x33", "or rax, r12",
    "sub r13, 0x44", "or rax, r13", "sub r14, 0x55", "or rax, r14", "sub r15, 0x66", "or rax, r15",
    "add rsp, 8", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
    "ret",
    ".popsection",
    sym resume_c
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .text.gmx_test_keep,\"ax\",@progbits",
    ".hidden gmx_test_keep",
    ".globl gmx_test_keep",
    "gmx_test_keep:",
    "stp x29, x30, [sp, #-160]!",
    "stp x19, x20, [sp, #16]", "stp x21, x22, [sp, #32]", "stp x23, x24, [sp, #48]", "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]", "stp d8, d9, [sp, #96]", "stp d10, d11, [sp, #112]", "stp d12, d13, [sp, #128]",
    "stp d14, d15, [sp, #144]",
    "mov x19, #0x19", "mov x20, #0x20", "mov x21, #0x21", "mov x22, #0x22", "mov x23, #0x23", "mov x24, #0x24",
    "mov x25, #0x25", "mov x26, #0x26", "mov x27, #0x27", "mov x28, #0x28", "mov x29, #0x29",
    "fmov d8, x19", "fmov d9, x20", "fmov d10, x21", "fmov d11, x22", "fmov d12, x23", "fmov d13, x24",
    "fmov d14, x25", "fmov d15, x26",
    "bl {}",
    "mov x0, #0",
    "fmov x1, d8", "sub x1, x1, x19", "orr x0, x0, x1", "fmov x1, d9", "sub x1, x1, x20", "orr x0, x0, x1",
    "fmov x1, d10", "sub x1, x1, x21", "orr x0, x0, x1", "fmov x1, d11", "sub x1, x1, x22", "orr x0, x0, x1",
    "fmov x1, d12", "sub x1, x1, x23", "orr x0, x0, x1", "fmov x1, d13", "sub x1, x1, x24", "orr x0, x0, x1",
    "fmov x1, d14", "sub x1, x1, x25", "orr x0, x0, x1", "fmov x1, d15", "sub x1, x1, x26", "orr x0, x0, x1",
    "sub x19, x19, #0x19", "orr x0, x0, x19", "sub x20, x20, #0x20", "orr x0, x0, x20",
    "sub x21, x21, #0x21", "orr x0, x0, x21", "sub x22, x22, #0x22", "orr x0, x0, x22",
    "sub x23, x23, #0x23", "orr x0, x0, x23", "sub x24, x24, #0x24", "orr x0, x0, x24",
    "sub x25, x25, #0x25", "orr x0, x0, x25", "sub x26, x26, #0x26", "orr x0, x0, x26",
    "sub x27, x27, #0x27", "orr x0, x0, x27", "sub x28, x28, #0x28", "orr x0, x0, x28",
    "sub x29, x29, #0x29", "orr x0, x0, x29",
    "ldp x19, x20, [sp, #16]", "ldp x21, x22, [sp, #32]", "ldp x23, x24, [sp, #48]", "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]", "ldp d8, d9, [sp, #96]", "ldp d10, d11, [sp, #112]", "ldp d12, d13, [sp, #128]",
    "ldp d14, d15, [sp, #144]",
    "ldp x29, x30, [sp], #160",
    "ret",
    ".popsection",
    sym resume_c
);

unsafe extern "C" {
    /// 0, or the bits in which a register differs after `resume`.
    #[expect(improper_ctypes)]
    fn gmx_test_keep(p: *mut Pair, payload: usize) -> usize;
}

unsafe extern "C" fn resume_c(p: *mut Pair, payload: usize) {
    resume(p, payload);
}

#[test]
fn callee_saved_registers_survive() {
    let stack = TestStack::new();
    let mut pair = Pair::new(&stack, trasher);
    let p = &raw mut pair;
    let mut payload = p as usize;
    for i in 0..100 {
        // SAFETY: the side is suspended.
        assert_eq!(unsafe { gmx_test_keep(p, payload) }, 0);
        payload = usize::MAX / (i + 1);
    }
}

unsafe extern "C" fn adder(p: usize) -> ! {
    let p = p as *mut Pair;
    let (mut a, mut b, mut c) = (1.0f64, 0.5f32, [1.0f64; 8]);
    loop {
        let v = suspend(p, (a + f64::from(b) + c.iter().sum::<f64>()) as usize) as f64;
        a += v;
        b += v as f32;
        c.iter_mut().for_each(|c| *c += v);
    }
}

#[test]
fn floats_survive() {
    let stack = TestStack::new();
    let mut pair = Pair::new(&stack, adder);
    let p = &raw mut pair;
    let mut sum = 0.25f64;
    assert_eq!(resume(p, p as usize), 9);
    let mut last = 0;
    for i in 0..100usize {
        sum *= 1.0 + i as f64 / 1024.0;
        last = resume(p, i);
    }
    assert_eq!(last, 9 + 10 * 4950);
    assert_eq!(sum, (0..100).fold(0.25, |s, i| s * (1.0 + i as f64 / 1024.0)));
}

#[test]
fn suspended_contexts_show_their_registers() {
    let stack = TestStack::new();
    let mut pair = Pair::new(&stack, echo);
    let p = &raw mut pair;
    // SAFETY: the side does not run.
    let fresh = unsafe { saved(pair.side) };
    assert_eq!(fresh.fp, 0);
    resume(p, p as usize);
    // SAFETY: the side does not run.
    let s = unsafe { saved(pair.side) };
    assert_ne!(s.pc, fresh.pc);
    assert!((stack.0 as usize..stack.hi() as usize).contains(&s.sp));
}

#[cfg(target_env = "gnu")]
mod unwinding {
    use super::*;
    use core::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn _Unwind_Backtrace(f: extern "C" fn(*mut c_void, *mut c_void) -> c_int, arg: *mut c_void) -> c_int;
        fn _Unwind_GetIP(ctx: *mut c_void) -> usize;
    }

    extern "C" fn frame(ctx: *mut c_void, arg: *mut c_void) -> c_int {
        // SAFETY: `ctx` is the unwinder's.
        let ip = unsafe { _Unwind_GetIP(ctx) };
        // SAFETY: `arg` is the vector below.
        unsafe { &mut *arg.cast::<Vec<usize>>() }.push(ip);
        0
    }

    unsafe extern "C" fn walker(p: usize) -> ! {
        let mut ips: Vec<usize> = Vec::new();
        // SAFETY: `frame` gets the vector.
        let r = unsafe { _Unwind_Backtrace(frame, (&raw mut ips).cast()) };
        // 5: _URC_END_OF_STACK.
        let clean = r == 5 && (2..10).contains(&ips.len());
        drop(ips);
        suspend(p as *mut Pair, clean.into());
        unreachable!()
    }

    #[test]
    fn backtraces_end_at_the_start() {
        let stack = TestStack::new();
        let mut pair = Pair::new(&stack, walker);
        let p = &raw mut pair;
        assert_eq!(resume(p, p as usize), 1);
    }

    #[repr(C, align(16))]
    struct Exception {
        class: u64,
        cleanup: usize,
        private: [usize; 6],
    }

    unsafe extern "C" {
        fn _Unwind_RaiseException(e: *mut Exception) -> c_int;
    }

    /// A throw, which returns only if the search for a handler failed. (Which error it returns is not looked at: that
    /// of libgcc before 13.3 gets lost on AArch64.)
    #[inline(never)]
    fn throws() -> c_int {
        let mut e = Exception { class: u64::from_be_bytes(*b"GMX\0TEST"), cleanup: 0, private: [0; 6] };
        // SAFETY: an exception as the ABI has it, which nothing takes over.
        unsafe { _Unwind_RaiseException(&mut e) };
        NOT_CAUGHT
    }

    const NOT_CAUGHT: c_int = 17;

    // "C-unwind": these tests are built so that what is "C" has a handler of its own, which aborts.
    extern "C-unwind" fn called(ips: *mut c_void) -> c_int {
        // SAFETY: `frame` gets the vector.
        let r = unsafe { _Unwind_Backtrace(frame, ips) };
        assert_eq!(r, 5);
        throws()
    }

    /// The call of a host's function is a wall for exceptions and none for backtraces.
    #[test]
    fn no_exception_passes_through_a_call() {
        let (mut here, mut within): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // SAFETY: `frame` gets the vector.
            unsafe { _Unwind_Backtrace(frame, (&raw mut here).cast()) };
            // SAFETY: `called` takes one argument, the other vector.
            unsafe { gmx_arch_call((&raw mut within) as usize, 0, 0, called as *const ()) as c_int }
        }));
        assert_eq!(r.unwrap(), NOT_CAUGHT);
        // The frames from the test's caller on are the same.
        assert!(here.len() > 3 && within.len() > here.len());
        assert_eq!(within[within.len() - here.len() + 1..], here[1..]);
    }

    unsafe extern "C-unwind" fn throws_at_the_bottom(p: usize) -> ! {
        suspend(p as *mut Pair, throws() as usize);
        unreachable!()
    }

    #[test]
    fn no_exception_leaves_a_stack() {
        let stack = TestStack::new();
        type Unwinds = unsafe extern "C-unwind" fn(usize) -> !;
        type Plain = unsafe extern "C" fn(usize) -> !;
        // SAFETY: called in the same way, and nothing unwinds into its caller.
        let mut pair = Pair::new(&stack, unsafe { core::mem::transmute::<Unwinds, Plain>(throws_at_the_bottom) });
        let p = &raw mut pair;
        assert_eq!(resume(p, p as usize), NOT_CAUGHT as usize);
    }
}

#[test]
fn slot_is_per_thread() {
    assert!(current_m().is_null());
    let mut here = 0u8;
    set_current_m((&raw mut here).cast());
    std::thread::spawn(|| {
        assert!(current_m().is_null());
        set_current_m(ptr::dangling_mut());
    })
    .join()
    .unwrap();
    assert_eq!(current_m(), (&raw mut here).cast());
    set_current_m(ptr::null_mut());
}

unsafe extern "C" fn migrant(p: usize) -> ! {
    let p = p as *mut Pair;
    let before = current_m();
    suspend(p, before as usize);
    suspend(p, current_m() as usize);
    unreachable!()
}

#[test]
fn slot_is_reread_after_migration() {
    let stack = TestStack::new();
    let mut pair = Pair::new(&stack, migrant);
    let p = (&raw mut pair) as usize;
    set_current_m(ptr::without_provenance_mut(1));
    assert_eq!(resume(p as *mut Pair, p), 1);
    std::thread::spawn(move || {
        set_current_m(ptr::without_provenance_mut(2));
        assert_eq!(resume(p as *mut Pair, p), 2);
    })
    .join()
    .unwrap();
    set_current_m(ptr::null_mut());
}

/// Whatever is there, or is not: a hint does not fault.
#[test]
fn prefetch_takes_any_address() {
    for p in [0, 1, 4096, usize::MAX / 2 + 1, usize::MAX] {
        prefetch(p as *const u8);
    }
}
