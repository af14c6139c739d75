//! x86-64: a call that gives every register back.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicU32, Ordering};

/// What `keep_registers` has the CPU save: bits of XCR0; 0: what `fxsave` saves.
pub static KEPT: AtomicU32 = AtomicU32::new(0);

/// The room for it, in the frame of `keep_registers`: what `xsave` needs for `WANTED`.
pub const ROOM: usize = 2688;

/// x87, SSE, AVX, the three of AVX-512 and the registers of APX. Not among them: tiles of AMX, which are large, and
/// which compilers hold across no call; keys of memory, which belong to the thread.
const WANTED: u32 = 1 << 19 | 0b1110_0111;

/// Looks up which state of registers this machine has. To be called before the first goroutine begins: until then no
/// caller of `keep_registers` leaves its thread, and the callee, which is compiled for every x86-64, touches no more
/// than `fxsave` saves.
pub fn look_at_registers() {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return;
    }
    let low: u32;
    // SAFETY: the system has enabled the instruction, as OSXSAVE says.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack, preserves_flags)) };
    let mut kept = low & WANTED;
    // The first two have no entry: they are in the 512 bytes that `fxsave` writes.
    for part in 2..32 {
        let place = __cpuid_count(0xd, part);
        if kept & 1 << part != 0 && (place.ebx + place.eax) as usize > ROOM {
            kept &= !(1 << part);
        }
    }
    KEPT.store(kept, Ordering::Relaxed);
}

/// Whether the thread rounds, traps and flushes as a new program does.
pub fn float_modes_are_default() -> bool {
    const FLAGS: u32 = 0x3f; // of MXCSR: what has happened, no mode
    let (mut mxcsr, mut fpcw) = (0u32, 0u16);
    // SAFETY: stores the two words.
    unsafe {
        asm!(
            "stmxcsr [{}]",
            "fnstcw [{}]",
            in(reg) &raw mut mxcsr,
            in(reg) &raw mut fpcw,
            options(nostack, preserves_flags),
        );
    }
    mxcsr & !FLAGS == 0x1f80 && fpcw == 0x37f
}

/// The body of a naked function `extern "C" fn()` that calls `$f`, an `extern "C" fn()`, and gives every register of
/// the caller back as it was, except the flags. The caller need not align the stack, and may have values on the stack
/// of the x87, which is empty for `$f`. MXCSR and the control word of the x87 are those of the caller too. So `$f`
/// keeps a caller on its thread if these are not the default ([`float_modes_are_default`]): otherwise the modes would
/// stay behind, and the next goroutine on the thread would have them.
///
/// ```text
///              return address
///   rbp ->     rbp
///              rax rcx rdx rsi rdi r8 r9 r10 r11
///              KEPT, as it was at the save
///              (up to 63 bytes)
///   rsp ->     ROOM bytes, 64-aligned
/// ```
macro_rules! keep_registers {
    ($f:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "endbr64", // compilers call it through the GOT
            "push rbp",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset rbp, -16",
            "mov rbp, rsp",
            ".cfi_def_cfa_register rbp",
            "push rax",
            "push rcx",
            "push rdx",
            "push rsi",
            "push rdi",
            "push r8",
            "push r9",
            "push r10",
            "push r11",
            "mov eax, dword ptr [rip + {kept}]",
            "push rax",
            "sub rsp, {room}",
            "and rsp, -64",
            "xor edx, edx",
            "test eax, eax",
            "jz 2f",
            // xrstor wants zeros in the header of what xsave does not write
            "mov qword ptr [rsp + 512], rdx",
            "mov qword ptr [rsp + 520], rdx",
            "mov qword ptr [rsp + 528], rdx",
            "mov qword ptr [rsp + 536], rdx",
            "mov qword ptr [rsp + 544], rdx",
            "mov qword ptr [rsp + 552], rdx",
            "mov qword ptr [rsp + 560], rdx",
            "mov qword ptr [rsp + 568], rdx",
            "xsave64 [rsp]",
            "jmp 3f",
            "2: fxsave64 [rsp]",
            "3: cmp byte ptr [rsp + 4], 0", // which x87 registers hold values
            "je 4f",
            "fninit",
            "fldcw word ptr [rsp]",
            "4: call {f}",
            "mov rax, qword ptr [rbp - 80]",
            "xor edx, edx",
            "test eax, eax",
            "jz 5f",
            "xrstor64 [rsp]",
            "jmp 6f",
            "5: fxrstor64 [rsp]",
            "6: lea rsp, [rbp - 72]",
            "pop r11",
            "pop r10",
            "pop r9",
            "pop r8",
            "pop rdi",
            "pop rsi",
            "pop rdx",
            "pop rcx",
            "pop rax",
            "pop rbp",
            ".cfi_def_cfa rsp, 8",
            "ret",
            ".cfi_endproc",
            f = sym $f,
            kept = sym $crate::sys::arch::keep::KEPT,
            room = const $crate::sys::arch::keep::ROOM,
        )
    };
}
#[cfg(not(any(loom, shuttle)))]
pub(crate) use keep_registers;

#[cfg(test)]
mod tests {
    use super::*;
    use core::arch::naked_asm;

    #[unsafe(naked)]
    extern "C" fn kept() {
        keep_registers!(ruin)
    }

    /// Writes what a C function may write, and needs the whole stack of the x87.
    #[unsafe(naked)]
    extern "C" fn ruin() {
        naked_asm!(
            "test rsp, 8",
            "jnz 2f",
            "ud2", // the stack is not aligned
            "2: mov rax, -1",
            "mov rcx, rax",
            "mov rdx, rax",
            "mov rsi, rax",
            "mov rdi, rax",
            "mov r8, rax",
            "mov r9, rax",
            "mov r10, rax",
            "mov r11, rax",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movq xmm\\n, rax",
            ".endr",
            "fldz; fldz; fldz; fldz; fldz; fldz; fldz; fldz",
            "fnstsw ax",
            "fninit",
            "test al, 0x40", // a place was taken
            "jz 3f",
            "ud2",
            "3: ret",
        )
    }

    /// Calls `kept` with `regs` in xmm0 to xmm15, rax, rcx, rdx, rsi, r8 to r11, and 1, pi on the stack of the x87.
    /// Puts what is there afterwards in their place. The stack of the call is aligned to 8 or 16 bytes, as `odd` says.
    #[unsafe(naked)]
    unsafe extern "C" fn through(_regs: *mut [u64; 44], _odd: usize) {
        naked_asm!(
            "push rbp",
            "push rbx",
            "mov rbp, rsp",
            "mov rbx, rdi",
            "neg rsi",
            "lea rsp, [rsp + 8 * rsi]",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movups xmm\\n, [rbx + 16 * \\n]",
            ".endr",
            "fldpi",
            "fld1",
            "mov rax, [rbx + 256]",
            "mov rcx, [rbx + 264]",
            "mov rdx, [rbx + 272]",
            "mov rsi, [rbx + 280]",
            "mov r8, [rbx + 288]",
            "mov r9, [rbx + 296]",
            "mov r10, [rbx + 304]",
            "mov r11, [rbx + 312]",
            "call {kept}",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movups [rbx + 16 * \\n], xmm\\n",
            ".endr",
            "mov [rbx + 256], rax",
            "mov [rbx + 264], rcx",
            "mov [rbx + 272], rdx",
            "mov [rbx + 280], rsi",
            "mov [rbx + 288], r8",
            "mov [rbx + 296], r9",
            "mov [rbx + 304], r10",
            "mov [rbx + 312], r11",
            "mov [rbx + 320], rdi",
            "fstp qword ptr [rbx + 336]",
            "fstp qword ptr [rbx + 344]",
            "mov rsp, rbp",
            "pop rbx",
            "pop rbp",
            "ret",
            kept = sym kept,
        )
    }

    #[test]
    fn every_register_comes_back() {
        let before = KEPT.load(Ordering::Relaxed);
        for xsave in [false, true] {
            if xsave {
                look_at_registers();
            } else {
                KEPT.store(0, Ordering::Relaxed);
            }
            for odd in [0, 1] {
                let mut regs = [0; 44];
                for (i, r) in regs.iter_mut().enumerate() {
                    *r = 0x0123_4567_89ab_cdef ^ (i as u64) << 32;
                }
                let given = regs;
                // SAFETY: as `through` says; the x87 is empty before and afterwards.
                unsafe { through(&mut regs, odd) };
                assert_eq!(regs[..40], given[..40]);
                assert_eq!(regs[40], (&raw const regs).addr() as u64, "rdi");
                assert_eq!(f64::from_bits(regs[42]), 1.0);
                assert_eq!(f64::from_bits(regs[43]), core::f64::consts::PI);
            }
        }
        KEPT.store(before, Ordering::Relaxed);
    }

    #[test]
    fn modes_are_told_from_the_default() {
        assert!(float_modes_are_default());
        let (old, up) = (0x1f80u32, 0x5f80u32);
        // SAFETY: MXCSR is back before anything is computed.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const up, options(nostack)) };
        let changed = !float_modes_are_default();
        // SAFETY: as above.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const old, options(nostack)) };
        assert!(changed);
    }
}
