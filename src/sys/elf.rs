//! The objects of this process and their symbols, read from their headers as the loader has mapped them.
//!
//! `dladdr` and `dlsym` take the loader's lock, which a thread has while it runs the constructors of an object. So a
//! thread that must make progress for others asks `dl_iterate_phdr`, whose lock is held only while the list of objects
//! changes.

use super::array::Array;
use super::c;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::slice;

/// The place of a function in a file.
#[derive(Clone, Copy)]
pub struct Place {
    /// The function, if a symbol that others may use begins there.
    pub name: Option<&'static CStr>,
    pub file: &'static CStr,
    pub offset: usize,
}

/// The place of a function. None if it is in no file. Does not wait for a thread that loads an object.
///
/// # Safety
/// The function's object stays loaded while the result is used.
pub unsafe fn place_of(f: usize) -> Option<Place> {
    let mut found = None;
    with_place(f, &mut |place| found = Some(*place));
    found
}

/// As [`place_of`], for a function whose object may be unloaded: it stays while `tell` uses the place. So `tell` must
/// be short, and must not wait for the host. Not called if the function is in no file.
pub fn with_place(f: usize, tell: &mut dyn FnMut(&Place)) {
    let mut asked = (f, tell);
    // SAFETY: `find` gets `asked`, which lives for the call.
    unsafe { libc::dl_iterate_phdr(Some(find), (&raw mut asked).cast()) };
}

unsafe extern "C" fn find(info: *mut libc::dl_phdr_info, _: usize, asked: *mut c_void) -> c_int {
    // SAFETY: the loader's, for the call.
    let info = unsafe { &*info };
    // SAFETY: what `with_place` passed.
    let (f, tell) = unsafe { &mut *asked.cast::<(usize, &mut dyn FnMut(&Place))>() };
    let base = info.dlpi_addr as usize;
    // SAFETY: the loader has mapped and counted them.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    if !covers(base, headers, *f) {
        return 0;
    }
    let first = headers.iter().find(|h| h.p_type == libc::PT_LOAD).map_or(0, |h| h.p_vaddr as usize);
    // SAFETY: the loader's names are terminated. That of the program itself is empty.
    let file = match unsafe { CStr::from_ptr(info.dlpi_name) } {
        name if name.is_empty() => program(),
        name => name,
    };
    // SAFETY: the object is mapped, with its headers.
    let name = unsafe { Object::of(info) }.and_then(|o| o.function_at(*f));
    // SAFETY: names live as long as their object, so as long as they are used (`place_of`, `with_place`).
    let text = |s: *const c_char| unsafe { CStr::from_ptr(s) };
    tell(&Place { name: name.map(text), file, offset: *f - (base + first) });
    1
}

/// An object that has tables for its frames ([`super::cfi`]).
#[derive(Clone, Copy)]
pub struct Unwound {
    lo: usize,
    hi: usize,
    pub table: *const u8,
    /// It is this library, and nothing else.
    pub is_own: bool,
}

impl Unwound {
    pub const NONE: Unwound = Unwound { lo: 0, hi: 0, table: core::ptr::null(), is_own: false };

    pub fn covers(&self, at: usize) -> bool {
        (self.lo..self.hi).contains(&at)
    }
}

/// The objects that have tables, as many as there is room for.
pub struct Objects {
    room: Array<Unwound>,
    n: usize,
    /// How often an object was loaded or unloaded. It only rises.
    changes: u64,
}

impl Objects {
    /// None if there is no memory.
    pub fn new(room: usize) -> Option<Objects> {
        Some(Objects { room: Array::of(room, |_| Unwound::NONE)?, n: 0, changes: 0 })
    }

    /// The object that contains an address.
    pub fn of(&self, at: usize) -> Option<&Unwound> {
        self.room[..self.n].iter().find(|o| o.covers(at))
    }

    /// Calls `f` while no object is unloaded: so `f` must be short, and must not wait for the host. Tells it whether
    /// the objects are others than the last time.
    pub fn while_they_stay(&mut self, f: &mut dyn FnMut(&Objects, bool)) {
        let mut asked = (self, f);
        // SAFETY: `first` gets `asked`, which lives for the call.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut asked).cast()) };
    }
}

unsafe extern "C" fn first(info: *mut libc::dl_phdr_info, _: usize, asked: *mut c_void) -> c_int {
    // SAFETY: what `while_they_stay` passed.
    let (objects, f) = unsafe { &mut *asked.cast::<(&mut Objects, &mut dyn FnMut(&Objects, bool))>() };
    // SAFETY: the loader's, for the call.
    let info = unsafe { &*info };
    let changes = info.dlpi_adds + info.dlpi_subs;
    let changed = changes != objects.changes;
    if changed {
        objects.changes = changes;
        objects.n = 0;
        // SAFETY: `unwound` gets the objects, which live for the call. A thread may take the loader's lock twice.
        unsafe { libc::dl_iterate_phdr(Some(unwound), (&raw mut **objects).cast()) };
    }
    f(objects, changed);
    1
}

unsafe extern "C" fn unwound(info: *mut libc::dl_phdr_info, _: usize, objects: *mut c_void) -> c_int {
    // SAFETY: the loader's, for the call.
    let info = unsafe { &*info };
    // SAFETY: what `first` passed.
    let objects = unsafe { &mut *objects.cast::<Objects>() };
    let base = info.dlpi_addr as usize;
    // SAFETY: the loader has mapped and counted them.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let code = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_X != 0);
    let lo = code.clone().map(|h| base + h.p_vaddr as usize).min();
    let hi = code.map(|h| base + (h.p_vaddr + h.p_memsz) as usize).max();
    let table = headers.iter().find(|h| h.p_type == libc::PT_GNU_EH_FRAME);
    if let (Some(lo), Some(hi), Some(table), Some(place)) = (lo, hi, table, objects.room.get_mut(objects.n)) {
        // Code of the host that is linked with the library is in another file.
        // SAFETY: the loader's names are terminated.
        let is_own = (lo..hi).contains(&(unwound as *const () as usize))
            && base_name(unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes()).starts_with(b"libgomax");
        *place = Unwound { lo, hi, table: (base + table.p_vaddr as usize) as *const u8, is_own };
        objects.n += 1;
    }
    0
}

/// A file name without its directories.
pub fn base_name(file: &[u8]) -> &[u8] {
    file.rsplit(|&b| b == b'/').next().unwrap_or(file)
}

/// The file name by which the program was started.
fn program() -> &'static CStr {
    match c::auxval(libc::AT_EXECFN) as *const c_char {
        p if p.is_null() => c"the program",
        // SAFETY: the kernel's text, which stays.
        p => unsafe { CStr::from_ptr(p) },
    }
}

fn covers(base: usize, headers: &[libc::Elf64_Phdr], at: usize) -> bool {
    headers.iter().filter(|h| h.p_type == libc::PT_LOAD).any(|h| {
        let lo = base + h.p_vaddr as usize;
        (lo..lo + h.p_memsz as usize).contains(&at)
    })
}

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
    /// The hash table of the other symbols.
    hash: *const u32,
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
        let (symbols, strings, hash) = (symbols as *const _, strings as *const _, hash as *const _);
        Some(Object { base, headers, symbols, strings, size, imports, hash })
    }

    fn covers(&self, at: usize) -> bool {
        covers(self.base, self.headers, at)
    }

    /// One more than the last symbol. The table of GNU's hash has no count: four words (buckets, first symbol, words of
    /// the filter, shift), the filter, the buckets (the first symbol of each chain), and for each symbol from the first
    /// on its hash, with the lowest bit set in the last one of its chain.
    fn symbols_end(&self) -> usize {
        // SAFETY: the object is mapped (`of`), and each word that is read belongs to its table by the form above.
        let word = |i: usize| unsafe { *self.hash.wrapping_add(i) } as usize;
        let (buckets, first) = (word(0), word(1));
        let at = 4 + 2 * word(2);
        let mut last = (at..at + buckets).map(word).max().unwrap_or(0);
        if last < first {
            return self.imports;
        }
        while word(at + buckets + last - first) & 1 == 0 {
            last += 1;
        }
        last + 1
    }

    /// The name of the function that begins at an address, if others may use it.
    fn function_at(&self, at: usize) -> Option<*const c_char> {
        const FUNC: u8 = 2;
        (self.imports..self.symbols_end()).find_map(|i| {
            // SAFETY: the object is mapped (`of`), and its table has more than `i` symbols.
            let s = unsafe { &*self.symbols.wrapping_add(i) };
            let is = s.st_shndx != 0
                && s.st_info & 15 == FUNC
                && self.base + s.st_value as usize == at
                && (s.st_name as usize) < self.size;
            is.then_some(self.strings.wrapping_add(s.st_name as usize))
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

    /// What `dladdr` says of functions of the C library, and of the addresses behind their first bytes.
    #[test]
    fn functions_are_where_the_loader_says() {
        for name in [c"malloc", c"free", c"pthread_create", c"dl_iterate_phdr", c"fork", c"write", c"regcomp"] {
            // SAFETY: a name.
            let f = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) } as usize;
            assert_ne!(f, 0);
            let mut info = c::zeros::<libc::Dl_info>();
            // SAFETY: `info` is writable.
            assert_ne!(unsafe { libc::dladdr(f as *const c_void, &mut info) }, 0);
            // SAFETY: the C library stays.
            let place = unsafe { place_of(f) }.unwrap();
            // SAFETY: the loader's.
            let file = unsafe { CStr::from_ptr(info.dli_fname) };
            assert_eq!((place.file, place.offset), (file, f - info.dli_fbase as usize));
            // One function may have several names.
            let again = place.name.expect("an exported function");
            // SAFETY: a name.
            assert_eq!(unsafe { libc::dlsym(libc::RTLD_DEFAULT, again.as_ptr()) } as usize, f, "{again:?}");
            // SAFETY: the C library stays.
            let behind = unsafe { place_of(f + 1) }.unwrap();
            assert_eq!((behind.name, behind.offset), (None, place.offset + 1));
        }
    }

    #[test]
    fn a_function_of_the_program_is_in_its_file() {
        let f = importer as *const () as usize;
        // SAFETY: the program stays.
        let place = unsafe { place_of(f) }.unwrap();
        let exe = std::env::current_exe().unwrap();
        let base = place.file.to_bytes().rsplit(|&b| b == b'/').next().unwrap();
        assert_eq!(base, exe.file_name().unwrap().as_encoded_bytes());
        // SAFETY: any address may be asked about.
        assert!(unsafe { place_of(8) }.is_none());
    }
}
