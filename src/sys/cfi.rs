//! The caller of a frame, by the tables that compilers write for exceptions (`.eh_frame`): so code that keeps no frame
//! pointer is walked too. It reads the tables as the loader has mapped them, takes no lock and no memory, and reads the
//! stack only through the function that it is given.
//!
//! It follows the registers that a suspended context keeps ([`Regs`]). A frame whose rules need another register, or an
//! expression, ends the walk: compilers write such rules only for frames that they realign.

/// The registers that are followed, by their numbers in DWARF.
#[cfg(target_arch = "x86_64")]
mod number {
    pub const EXTRA: u64 = 3;
    pub const FP: u64 = 6;
    pub const SP: u64 = 7;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const EXTRA: u64 = 19;
    pub const FP: u64 = 29;
    pub const SP: u64 = 31;
}

/// What is known of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regs {
    pub pc: usize,
    pub sp: usize,
    pub fp: usize,
    /// rbx or x19.
    pub extra: usize,
}

#[derive(Clone, Copy)]
enum Rule {
    Same,
    /// At this offset from the CFA.
    At(i32),
    Lost,
}

impl Rule {
    fn at(offset: i64) -> Rule {
        i32::try_from(offset).map_or(Rule::Lost, Rule::At)
    }
}

/// The rules of one row of the tables.
#[derive(Clone, Copy)]
struct Row {
    cfa: u64,
    offset: i64,
    fp: Rule,
    extra: Rule,
    ra: Rule,
}

/// How deep rows are remembered.
const DEPTH: usize = 4;

/// A place in a table. A table says itself where its values end.
#[derive(Clone, Copy)]
struct Cursor(*const u8);

impl Cursor {
    /// # Safety
    /// A table of an object begins or continues at `at`, and the object stays while the cursor is used.
    unsafe fn new(at: *const u8) -> Cursor {
        Cursor(at)
    }

    fn skip(&mut self, n: usize) {
        self.0 = self.0.wrapping_add(n);
    }

    fn take<T: Copy>(&mut self) -> T {
        // SAFETY: `new`.
        let v = unsafe { self.0.cast::<T>().read_unaligned() };
        self.skip(size_of::<T>());
        v
    }

    fn uleb(&mut self) -> u64 {
        let (mut v, mut shift) = (0, 0);
        loop {
            let b = self.take::<u8>();
            if shift < 64 {
                v |= u64::from(b & 0x7f) << shift;
            }
            shift += 7;
            if b & 0x80 == 0 {
                return v;
            }
        }
    }

    fn sleb(&mut self) -> i64 {
        let begin = self.0 as usize;
        let v = self.uleb();
        let bits = (self.0 as usize - begin) * 7;
        if bits < 64 { (v << (64 - bits)) as i64 >> (64 - bits) } else { v as i64 }
    }

    /// A pointer in an encoding (`DW_EH_PE_*`): its value, if that is absolute or relative to its place.
    fn pointer(&mut self, encoding: u8) -> Option<usize> {
        let at = self.0 as usize;
        let v = match encoding & 0xf {
            0 | 4 | 0xc => self.take::<u64>() as usize,
            3 => self.take::<u32>() as usize,
            0xb => self.take::<i32>() as isize as usize,
            2 => self.take::<u16>() as usize,
            0xa => self.take::<i16>() as isize as usize,
            _ => return None,
        };
        Some(if encoding & 0x70 == 0x10 { at.wrapping_add(v) } else { v })
    }
}

/// The description (FDE) of the last function that begins at or before an address.
///
/// # Safety
/// `header` is the mapped `PT_GNU_EH_FRAME` of an object that stays while the cursor is used.
unsafe fn find(header: *const u8, pc: usize) -> Option<Cursor> {
    // SAFETY: the caller's promise.
    let mut c = unsafe { Cursor::new(header) };
    // Version 1, pointers of 4 bytes relative to their place, a count of 4 bytes, entries relative to the header: what
    // every linker writes.
    if c.take::<[u8; 4]>() != [1, 0x1b, 0x03, 0x3b] {
        return None;
    }
    c.skip(4);
    let n = c.take::<u32>() as usize;
    let entry = |i: usize| Cursor(c.0.wrapping_add(8 * i)).take::<[i32; 2]>();
    let want = pc.wrapping_sub(header as usize) as isize;
    let (mut lo, mut hi) = (0, n);
    while lo < hi {
        let mid = lo + (hi - lo) / 2;
        if entry(mid)[0] as isize <= want { lo = mid + 1 } else { hi = mid }
    }
    (lo > 0).then(|| Cursor(header.wrapping_offset(entry(lo - 1)[1] as isize)))
}

/// What functions have in common (a CIE).
struct Common {
    code: u64,
    data: i64,
    ra: u64,
    /// The encoding of addresses.
    encoding: u8,
    /// Its functions have augmentation data.
    sized: bool,
    first: Cursor,
    end: *const u8,
}

impl Common {
    /// None if it has what cannot be followed. Frames of signals are such: their pc is no return address.
    fn read(mut c: Cursor) -> Option<Common> {
        let length = c.take::<u32>();
        let end = c.0.wrapping_add(length as usize);
        c.skip(size_of::<u32>());
        let version = c.take::<u8>();
        let mut letters = c;
        while c.take::<u8>() != 0 {}
        let code = c.uleb();
        let data = c.sleb();
        let ra = if version == 1 { u64::from(c.take::<u8>()) } else { c.uleb() };
        let (mut encoding, mut sized, mut first) = (0, false, c);
        loop {
            match letters.take::<u8>() {
                0 => return Some(Common { code, data, ra, encoding, sized, first, end }),
                b'z' => {
                    sized = true;
                    let n = c.uleb();
                    first = c;
                    first.skip(n as usize);
                }
                b'R' => encoding = c.take(),
                b'L' => c.skip(1),
                b'P' => {
                    let encoding = c.take();
                    c.pointer(encoding)?;
                }
                b'B' => {}
                _ => return None,
            }
        }
    }
}

/// How the caller of a frame is found: what the tables say of one place in the code.
#[derive(Clone, Copy)]
pub struct Rules {
    /// The begin of the function.
    pub function: usize,
    /// None at the end of a stack, and where the tables say nothing that can be followed.
    row: Option<Row>,
}

impl Rules {
    /// The registers of the caller. `read` returns the word at an address, or None if that is not in the stack.
    pub fn caller(&self, regs: &Regs, read: impl Fn(usize) -> Option<usize>) -> Option<Regs> {
        apply(self.row.as_ref()?, regs, read)
    }
}

/// The rules of the function that contains `at`: the pc of the innermost frame, and one less than the pc of all others.
/// There the pc is where a call returns to, which may be behind the function.
///
/// # Safety
/// `header` is the mapped `PT_GNU_EH_FRAME` of an object that stays meanwhile.
pub unsafe fn rules(header: *const u8, at: usize) -> Option<Rules> {
    // SAFETY: the caller's promise.
    let mut c = unsafe { find(header, at) }?;
    let length = c.take::<u32>();
    if length == 0 || length == u32::MAX {
        return None;
    }
    let end = c.0.wrapping_add(length as usize);
    let back = c;
    let common = Common::read(Cursor(back.0.wrapping_sub(c.take::<u32>() as usize)))?;
    let first = c.pointer(common.encoding)?;
    let size = c.pointer(common.encoding & 0xf)?;
    if !(first..first.wrapping_add(size)).contains(&at) {
        return None;
    }
    if common.sized {
        let n = c.uleb();
        c.skip(n as usize);
    }
    let mut row = Row { cfa: number::SP, offset: 0, fp: Rule::Same, extra: Rule::Same, ra: Rule::Lost };
    let known = run(common.first, common.end, &common, (first, usize::MAX), &mut row, None);
    let initial = row;
    let known = known.and_then(|()| run(c, end, &common, (first, at), &mut row, Some(&initial)));
    Some(Rules { function: first, row: known.map(|()| row) })
}

fn apply(row: &Row, regs: &Regs, read: impl Fn(usize) -> Option<usize>) -> Option<Regs> {
    let base = match row.cfa {
        number::SP => regs.sp,
        number::FP => regs.fp,
        number::EXTRA => regs.extra,
        _ => return None,
    };
    let cfa = base.wrapping_add_signed(row.offset as isize);
    // A caller's frame is above. Otherwise a walk of a stack that is written meanwhile might not end.
    if cfa <= regs.sp {
        return None;
    }
    let value = |rule, same| match rule {
        Rule::Same => Some(same),
        Rule::At(n) => read(cfa.wrapping_add_signed(n as isize)),
        Rule::Lost => None,
    };
    let pc = match row.ra {
        Rule::At(n) => read(cfa.wrapping_add_signed(n as isize))?,
        _ => return None,
    };
    Some(Regs {
        pc,
        sp: cfa,
        fp: value(row.fp, regs.fp).unwrap_or(0),
        extra: value(row.extra, regs.extra).unwrap_or(0),
    })
}

/// Executes instructions from `c` to `end`, up to the row of the address `at` in the function that begins at `first`.
/// None if one of them cannot be followed.
fn run(
    mut c: Cursor,
    end: *const u8,
    common: &Common,
    (first, at): (usize, usize),
    row: &mut Row,
    initial: Option<&Row>,
) -> Option<()> {
    let mut kept = [*row; DEPTH];
    let mut depth = 0;
    let mut place = first;
    let data = common.data;
    let set = |row: &mut Row, reg: u64, rule: Rule| {
        if reg == common.ra {
            row.ra = rule;
        } else if reg == number::FP {
            row.fp = rule;
        } else if reg == number::EXTRA {
            row.extra = rule;
        }
    };
    let restore = |row: &mut Row, reg: u64| {
        let Some(from) = initial else { return };
        let rule = if reg == common.ra {
            from.ra
        } else if reg == number::FP {
            from.fp
        } else {
            from.extra
        };
        set(row, reg, rule);
    };
    while c.0 < end {
        let op = c.take::<u8>();
        let low = u64::from(op & 0x3f);
        let mut advance = None;
        match (op >> 6, op & 0x3f) {
            // advance_loc, offset, restore
            (1, _) => advance = Some(low),
            (2, _) => set(row, low, Rule::at(c.uleb() as i64 * data)),
            (3, _) => restore(row, low),
            // nop; negate_ra_state
            (_, 0x00 | 0x2d) => {}
            // advance_loc1, 2 and 4
            (_, 0x02) => advance = Some(u64::from(c.take::<u8>())),
            (_, 0x03) => advance = Some(u64::from(c.take::<u16>())),
            (_, 0x04) => advance = Some(u64::from(c.take::<u32>())),
            // offset_extended, restore_extended, undefined, same_value, register
            (_, 0x05) => {
                let reg = c.uleb();
                set(row, reg, Rule::at(c.uleb() as i64 * data));
            }
            (_, 0x06) => restore(row, c.uleb()),
            (_, 0x07) => set(row, c.uleb(), Rule::Lost),
            (_, 0x08) => set(row, c.uleb(), Rule::Same),
            (_, 0x09) => {
                let reg = c.uleb();
                c.uleb();
                set(row, reg, Rule::Lost);
            }
            // remember_state, restore_state
            (_, 0x0a) => {
                *kept.get_mut(depth)? = *row;
                depth += 1;
            }
            (_, 0x0b) => {
                depth = depth.checked_sub(1)?;
                *row = kept[depth];
            }
            // def_cfa, def_cfa_register, def_cfa_offset
            (_, 0x0c) => (row.cfa, row.offset) = (c.uleb(), c.uleb() as i64),
            (_, 0x0d) => row.cfa = c.uleb(),
            (_, 0x0e) => row.offset = c.uleb() as i64,
            // expression, val_expression
            (_, 0x10 | 0x16) => {
                let reg = c.uleb();
                let n = c.uleb();
                c.skip(n as usize);
                set(row, reg, Rule::Lost);
            }
            // The same with signed offsets
            (_, 0x11) => {
                let reg = c.uleb();
                set(row, reg, Rule::at(c.sleb() * data));
            }
            (_, 0x12) => (row.cfa, row.offset) = (c.uleb(), c.sleb() * data),
            (_, 0x13) => row.offset = c.sleb() * data,
            // GNU_args_size
            (_, 0x2e) => _ = c.uleb(),
            _ => return None,
        }
        if let Some(n) = advance {
            place = place.wrapping_add((n * common.code) as usize);
            if place > at {
                return Some(());
            }
        }
    }
    Some(())
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::hint::black_box;

    /// The table of the object that contains an address.
    fn header_of(at: usize) -> Option<*const u8> {
        unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, found: *mut libc::c_void) -> i32 {
            // SAFETY: the loader's, for the call.
            let info = unsafe { &*info };
            // SAFETY: what the caller passed.
            let found = unsafe { &mut *found.cast::<(usize, usize)>() };
            // SAFETY: the loader has mapped and counted them.
            let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
            let base = info.dlpi_addr as usize;
            let covers = |h: &libc::Elf64_Phdr| {
                let lo = base + h.p_vaddr as usize;
                h.p_type == libc::PT_LOAD && (lo..lo + h.p_memsz as usize).contains(&found.0)
            };
            if headers.iter().any(covers)
                && let Some(h) = headers.iter().find(|h| h.p_type == libc::PT_GNU_EH_FRAME)
            {
                found.1 = base + h.p_vaddr as usize;
            }
            0
        }
        let mut found = (at, 0usize);
        // SAFETY: `look` gets `found`, which lives for the call.
        unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
        (found.1 != 0).then_some(found.1 as *const u8)
    }

    /// The begins of the functions from the caller of this macro on, innermost first.
    #[inline(never)]
    fn walk(mut regs: Regs) -> Vec<usize> {
        let mut begins = Vec::new();
        let lo = regs.sp;
        let mut at = regs.pc;
        while let Some(header) = header_of(at) {
            let read = |a: usize| {
                // SAFETY: a word of the stack of this thread, whose end is far.
                (a >= lo && a < lo + (64 << 10)).then(|| unsafe { *(a as *const usize) })
            };
            // SAFETY: objects of the test stay.
            let Some(rules) = (unsafe { rules(header, at) }) else { break };
            begins.push(rules.function);
            let Some(next) = rules.caller(&regs, read) else { break };
            regs = next;
            at = regs.pc - 1;
            if begins.len() == 16 {
                break;
            }
        }
        begins
    }

    #[inline(never)]
    fn innermost(n: usize) -> Vec<usize> {
        let (pc, sp, fp, extra): (usize, usize, usize, usize);
        // SAFETY: it only reads registers.
        unsafe {
            std::arch::asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", "mov {}, rbx",
                out(reg) pc, out(reg) sp, out(reg) fp, out(reg) extra);
        }
        let found = walk(Regs { pc, sp, fp, extra });
        black_box(n);
        found
    }

    #[inline(never)]
    fn middle(n: usize) -> Vec<usize> {
        let room = black_box([n; 40]);
        let found = innermost(room[n]);
        black_box(room);
        found
    }

    #[inline(never)]
    fn outer(n: usize) -> Vec<usize> {
        let found = middle(black_box(n) + 1);
        black_box(n);
        found
    }

    #[test]
    fn callers_are_found_in_order() {
        let found = outer(black_box(3));
        let wants = [innermost as *const () as usize, middle as *const () as usize, outer as *const () as usize];
        assert_eq!(found[..3], wants);
        assert!(found.len() > 4, "the walk ends early: {found:x?}");
    }
}
