//! The sources of the library as text, for tests that hold rules which no compiler knows.
#![allow(dead_code, reason = "each test uses a part")]

use std::fs;
use std::path::{Path, PathBuf};

pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn src() -> PathBuf {
    top().join("src")
}

/// The files of the tree that people read (sources, scripts, pages) by their paths from the top, sorted.
pub fn texts() -> Vec<(String, PathBuf)> {
    const KINDS: [&str; 13] = ["rs", "c", "h", "hpp", "cpp", "py", "sh", "zig", "nim", "md", "toml", "in", "yml"];
    fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "build", "zig-out", "venv", "__pycache__"].contains(&name) {
                    collect(&path, files);
                }
            } else if path.extension().is_some_and(|e| KINDS.iter().any(|kind| e == *kind)) {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(top(), &mut files);
    files.sort();
    let named = |file: PathBuf| (file.strip_prefix(top()).unwrap().to_str().unwrap().to_string(), file);
    files.into_iter().map(named).collect()
}

/// A file of `src` without its comments and without its unit tests.
pub struct Source {
    /// Below `src`.
    pub name: String,
    pub code: String,
}

pub fn sources() -> Vec<Source> {
    fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                collect(&entry, files);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                files.push(entry);
            }
        }
    }
    let src = src();
    let mut files = Vec::new();
    collect(&src, &mut files);
    files.sort();
    let named = files.iter().map(|file| (file.strip_prefix(&src).unwrap().to_str().unwrap().to_string(), file));
    named
        .filter(|(name, _)| !is_test_only(name))
        .map(|(name, file)| Source { code: code_of(&fs::read_to_string(file).unwrap()), name })
        .collect()
}

/// Files that no build of the library contains.
fn is_test_only(name: &str) -> bool {
    name.starts_with("models/")
        || name == "sync/prim/model.rs"
        || name == "sync/simple.rs"
        || name == "sys/arch/tests.rs"
        || name == "sys/heap/tests.rs"
}

/// The text up to the unit tests, without comments. (Strings that hold two slashes lose their ends.)
fn code_of(text: &str) -> String {
    let end = ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test, "].iter().filter_map(|mark| text.find(mark)).min();
    let code = |line: &str| line.split("//").next().unwrap_or("").to_string();
    text[..end.unwrap_or(text.len())].lines().map(code).collect::<Vec<_>>().join("\n")
}

/// Where `word` stands in the code, as `file:line`.
pub fn places<'a>(sources: &'a [Source], word: &'a str) -> impl Iterator<Item = (&'a Source, String)> + 'a {
    sources.iter().flat_map(move |s| {
        s.code.match_indices(word).map(move |(at, _)| (s, format!("{}:{}", s.name, s.code[..at].lines().count())))
    })
}
