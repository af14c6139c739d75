//! The symbols that the objects of this process import from each other, read from their headers as the loader has
//! mapped them.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::slice;

/// The state of a search by [`importer`].
struct Search<'a> {
    symbol: &'a CStr,
    skip: &'a dyn Fn(&[u8]) -> bool,
    holds: usize,
    name: &'a mut [u8],
    len: usize,
}

/// Looks for an object that imports `symbol` from others. Writes as much of its name as fits, and returns the written
/// length. Leaves out the objects for which `skip` returns true, and the object that contains the address `holds`. Does
/// not wait for a thread that loads an object.
pub fn importer(symbol: &CStr, skip: &dyn Fn(&[u8]) -> bool, holds: usize, name: &mut [u8]) -> Option<usize> {
    let mut search = Search { symbol, skip, holds, name, len: 0 };
    // SAFETY: `look` gets the search, which lives for the call.
    let found = unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) } != 0;
    found.then_some(search.len)
}

unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: the loader's, for the call.
    let info = unsafe { &*info };
    // SAFETY: what `importer` passed.
    let search = unsafe { &mut *search.cast::<Search<'_>>() };
    let name = match info.dlpi_name.is_null() {
        true => &b""[..],
        // SAFETY: the loader's names are terminated.
        false => unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes(),
    };
    // SAFETY: the object is mapped, with its headers.
    let asks = unsafe { Object::of(info) }.is_some_and(|o| !o.covers(search.holds) && o.imports(search.symbol));
    if !asks || (search.skip)(name) {
        return 0;
    }
    // The program itself has no name here.
    let name = if name.is_empty() { b"the program" } else { name };
    search.len = name.len().min(search.name.len());
    search.name[..search.len].copy_from_slice(&name[..search.len]);
    1
}

struct Object<'a> {
    base: usize,
    headers: &'a [libc::Elf64_Phdr],
    symbols: *const libc::Elf64_Sym,
    strings: *const c_char,
    /// Bytes of the strings.
    size: usize,
    /// From this symbol on none is imported.
    imports: usize,
}

impl Object<'_> {
    /// None if the object has no table of this kind.
    ///
    /// # Safety
    /// The object is mapped as long as the result is used.
    unsafe fn of(info: &libc::dl_phdr_info) -> Option<Object<'_>> {
        const DYNAMIC: u32 = libc::PT_DYNAMIC;
        const STRTAB: i64 = 5;
        const SYMTAB: i64 = 6;
        const STRSZ: i64 = 10;
        const GNU_HASH: i64 = 0x6fff_fef5;
        let base = info.dlpi_addr as usize;
        // glibc has turned the offsets into addresses, musl has not.
        let address = |v: usize| if v < base { base + v } else { v };
        // SAFETY: the loader has mapped and counted them.
        let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
        let dynamic = headers.iter().find(|h| h.p_type == DYNAMIC)?;
        let mut entry = (base + dynamic.p_vaddr as usize) as *const [i64; 2];
        let (mut symbols, mut strings, mut size, mut hash) = (0, 0, 0, 0);
        loop {
            // SAFETY: the header names the dynamic table, of which this is an entry: the loop ends at the last, a zero.
            let [tag, value] = unsafe { *entry };
            match tag {
                0 => break,
                STRTAB => strings = address(value as usize),
                SYMTAB => symbols = address(value as usize),
                STRSZ => size = value as usize,
                GNU_HASH => hash = address(value as usize),
                _ => {}
            }
            entry = entry.wrapping_add(1);
        }
        if symbols == 0 || strings == 0 || hash == 0 {
            return None;
        }
        // The second word of the table is the index of its first symbol; imported symbols come before. In an object
        // that defines no symbols the word is 1. Then the names follow the symbols, perhaps after other tables.
        // SAFETY: the table is mapped, and begins with four words.
        let imports = match unsafe { *(hash as *const [u32; 2]) } {
            [_, 0 | 1] => strings.saturating_sub(symbols) / size_of::<libc::Elf64_Sym>(),
            [_, first] => first as usize,
        };
        Some(Object { base, headers, symbols: symbols as *const _, strings: strings as *const _, size, imports })
    }

    fn covers(&self, at: usize) -> bool {
        self.headers.iter().filter(|h| h.p_type == libc::PT_LOAD).any(|h| {
            let lo = self.base + h.p_vaddr as usize;
            (lo..lo + h.p_memsz as usize).contains(&at)
        })
    }

    fn imports(&self, symbol: &CStr) -> bool {
        (1..self.imports).any(|i| {
            // SAFETY: the object is mapped (`of`), and its table has more than `i` symbols.
            let s = unsafe { &*self.symbols.wrapping_add(i) };
            let name = self.strings.wrapping_add(s.st_name as usize);
            s.st_shndx == 0
                && (s.st_name as usize) < self.size
                // SAFETY: the object is mapped (`of`); the name begins in its strings, each of which is terminated.
                && unsafe { CStr::from_ptr(name) } == symbol
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_asks_for_what_it_calls() {
        let mut room = [0; 64];
        let me = importer as *const () as usize;
        let others = |name: &[u8]| !name.is_empty();
        assert_eq!(importer(c"dl_iterate_phdr", &others, 0, &mut room), Some(11));
        assert_eq!(&room[..11], b"the program");
        assert_eq!(importer(c"dl_iterate_phdr", &others, me, &mut room), None);
        assert_eq!(importer(c"no_object_asks_for_this", &|_| false, 0, &mut room), None);
        assert_eq!(importer(c"dl_iterate_phdr", &others, 0, &mut [0; 3]), Some(3));
    }
}
