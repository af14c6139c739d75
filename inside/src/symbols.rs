//! Names of functions: an address lies in a module of the process (/proc/self/maps), the module is a file, and its
//! symbols and its debug information tell the function, the file and the line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use addr2line::Loader;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    pub function: String,
    pub file: String,
    pub line: u32,
}

/// A file that is mapped with the right to run: addresses from `begin` to `end`, from `offset` of the file on.
struct Module {
    begin: u64,
    end: u64,
    offset: u64,
    path: PathBuf,
}

struct Object {
    loader: Loader,
    /// Of each segment: address, offset and length in the file.
    segments: Vec<(u64, u64, u64)>,
}

pub struct Symbols {
    modules: Vec<Module>,
    objects: HashMap<PathBuf, Option<Object>>,
    known: HashMap<(u64, bool), Frame>,
}

impl Symbols {
    /// `maps`: lines of /proc/self/maps.
    pub fn new(maps: &str) -> Symbols {
        let modules = maps.lines().filter_map(module).collect();
        Symbols { modules, objects: HashMap::new(), known: HashMap::new() }
    }

    /// The function that begins at the address.
    pub fn entry(&mut self, pc: u64) -> Frame {
        self.frame(pc, true)
    }

    /// The function that continues at the address: that of the call before it.
    pub fn caller(&mut self, pc: u64) -> Frame {
        self.frame(pc, false)
    }

    fn frame(&mut self, pc: u64, entry: bool) -> Frame {
        if let Some(frame) = self.known.get(&(pc, entry)) {
            return frame.clone();
        }
        let frame = self.find(pc, entry);
        self.known.insert((pc, entry), frame.clone());
        frame
    }

    fn find(&mut self, pc: u64, entry: bool) -> Frame {
        let unknown = |function: String| Frame { function, file: String::new(), line: 0 };
        let Some(module) = self.modules.iter().find(|module| module.begin <= pc && pc < module.end) else {
            return unknown(format!("{pc:#x}"));
        };
        let offset = pc - module.begin + module.offset;
        let name = module.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let object = self.objects.entry(module.path.clone()).or_insert_with(|| open(&module.path));
        let Some(object) = object else { return unknown(format!("{name}+{offset:#x}")) };
        let segment = object.segments.iter().find(|(_, begin, length)| *begin <= offset && offset < begin + length);
        let address = segment.map_or(offset, |(address, begin, _)| offset - begin + address) - u64::from(!entry);
        let mut frame = unknown(format!("{name}+{offset:#x}"));
        if let Some(symbol) = object.loader.find_symbol(address) {
            frame.function = addr2line::demangle_auto(symbol.into(), None).into_owned();
        }
        let mut found = None;
        if let Ok(mut frames) = object.loader.find_frames(address) {
            // The innermost frame comes first: what was inlined there. An entry is that of the outermost.
            while let Ok(Some(next)) = frames.next() {
                found = Some(next);
                if !entry {
                    break;
                }
            }
        }
        if let Some(found) = found {
            // (an inlined function has no symbol)
            if let Some(function) = found.function
                && let Ok(name) = function.demangle()
            {
                frame.function = name.into_owned();
            }
            if let Some(place) = found.location {
                frame.file = place.file.unwrap_or_default().to_string();
                frame.line = place.line.unwrap_or(0);
            }
        }
        frame
    }
}

/// `55d0c8a00000-55d0c8a02000 r-xp 00001000 fd:01 1234    /usr/bin/program`
fn module(line: &str) -> Option<Module> {
    let mut words = line.split_whitespace();
    let (begin, end) = words.next()?.split_once('-')?;
    let rights = words.next()?;
    let offset = words.next()?;
    let path = line.find('/').map(|at| &line[at..])?;
    let hex = |s: &str| u64::from_str_radix(s, 16).ok();
    rights.contains('x').then_some(())?;
    // (so the kernel names a file that was replaced since)
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    Some(Module { begin: hex(begin)?, end: hex(end)?, offset: hex(offset)?, path: path.into() })
}

fn open(path: &Path) -> Option<Object> {
    let segments = segments(&std::fs::read(path).ok()?)?;
    Some(Object { loader: Loader::new(path).ok()?, segments })
}

/// The segments that are loaded, from the program headers of an ELF file of 64 bits.
fn segments(file: &[u8]) -> Option<Vec<(u64, u64, u64)>> {
    const LOAD: u32 = 1;
    let word = |at: usize| Some(u64::from_le_bytes(file.get(at..at + 8)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    if file.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let (table, size, count) = (word(32)? as usize, usize::from(half(54)?), usize::from(half(56)?));
    let mut segments = Vec::new();
    for at in (0..count).map(|n| table + n * size) {
        let kind = u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?);
        if kind == LOAD {
            segments.push((word(at + 16)?, word(at + 8)?, word(at + 32)?));
        }
    }
    Some(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() {
        std::hint::black_box(1);
    }

    #[test]
    fn a_function_of_this_program_has_its_name_and_its_file() {
        let mut symbols = Symbols::new(&std::fs::read_to_string("/proc/self/maps").unwrap());
        let frame = symbols.entry(here as fn() as usize as u64);
        assert!(frame.function.contains("here"), "{frame:?}");
        assert!(frame.file.ends_with("symbols.rs") && frame.line > 100, "{frame:?}");
        here();
    }

    #[test]
    fn an_address_in_no_module_is_a_number() {
        assert_eq!(Symbols::new("").entry(0x1234).function, "0x1234");
        let none = Symbols::new("1000-2000 r-xp 00000500 00:00 1  /no/such/file").caller(0x1010);
        assert_eq!((none.function.as_str(), none.line), ("file+0x510", 0));
    }
}
