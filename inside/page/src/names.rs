//! Names of functions: from the symbols of the files that are mapped, and not from the loader, whose lock a hung
//! constructor holds. A file is read where it is asked for, and is not mapped: one that is replaced in its place must
//! not end the program.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use object::read::ReadCache;
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};

/// The most names that are kept.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct Names {
    known: HashMap<u64, String>,
}

struct Module {
    begin: u64,
    end: u64,
    offset: u64,
    path: PathBuf,
}

impl Names {
    /// Looks for the functions that begin at these addresses.
    pub fn learn(&mut self, addresses: impl Iterator<Item = u64>) {
        let mut new: Vec<u64> = addresses.filter(|a| *a != 0 && !self.known.contains_key(a)).collect();
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return;
        }
        if self.known.len() > MOST {
            self.known.clear();
        }
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let modules: Vec<Module> = maps.lines().filter_map(module).collect();
        let mut of_file: HashMap<&Path, Vec<(u64, u64)>> = HashMap::new();
        for at in new {
            match modules.iter().find(|m| (m.begin..m.end).contains(&at)) {
                Some(m) => of_file.entry(&m.path).or_default().push((at, at - m.begin + m.offset)),
                None => _ = self.known.insert(at, "?".into()),
            }
        }
        for (path, mut wanted) in of_file {
            for (at, name) in symbols(path, &mut wanted).unwrap_or_default() {
                self.known.insert(at, name);
            }
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            for (at, offset) in wanted {
                self.known.entry(at).or_insert_with(|| format!("{file}+{offset:#x}"));
            }
        }
    }

    /// The name of a function that was learnt.
    pub fn of(&self, address: u64) -> &str {
        self.known.get(&address).map_or("", String::as_str)
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

/// The names of the functions at these places of the file, of each of which the address in memory comes first.
fn symbols(path: &Path, wanted: &mut [(u64, u64)]) -> Option<Vec<(u64, String)>> {
    let file = File::open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(())?;
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).ok()?;
    let segments: Vec<(u64, u64, u64)> =
        object.segments().map(|s| (s.address(), s.file_range().0, s.file_range().1)).collect();
    let address = |offset: u64| {
        let (address, begin, _) = segments.iter().find(|(_, begin, n)| (*begin..begin + n).contains(&offset))?;
        Some(offset - begin + address)
    };
    let places: HashMap<u64, u64> = wanted.iter().filter_map(|(at, offset)| Some((address(*offset)?, *at))).collect();
    let has_table = object.section_by_name(".symtab").is_some_and(|s| s.size() > 0);
    let mut found = Vec::new();
    let mut look = |symbol: object::Symbol<'_, '_, _>| {
        if symbol.kind() == SymbolKind::Text
            && symbol.is_definition()
            && let Some(at) = places.get(&symbol.address())
            && let Ok(name) = symbol.name()
        {
            found.push((*at, addr2line::demangle_auto(name.into(), None).into_owned()));
        }
    };
    if has_table {
        object.symbols().for_each(&mut look)
    } else {
        object.dynamic_symbols().for_each(&mut look)
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() {
        std::hint::black_box(1);
    }

    #[test]
    fn a_function_of_this_program_has_its_name() {
        let mut names = Names::default();
        let at = here as fn() as usize as u64;
        names.learn([at, at + 1, 0x10, 0].into_iter());
        assert!(names.of(at).contains("here"), "{}", names.of(at));
        assert!(names.of(at + 1).contains("+0x"), "{}", names.of(at + 1));
        assert_eq!((names.of(0x10), names.of(0)), ("?", ""));
        here();
    }
}
