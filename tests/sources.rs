//! Rules about the sources that no compiler checks.

#![cfg(not(any(loom, shuttle)))]

use std::fs;
use std::path::{Path, PathBuf};

/// Each Rust file below src/, with the code of its unit tests cut off.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dirs = vec![root.join("src")];
    let mut found = Vec::new();
    while let Some(dir) = dirs.pop() {
        let entries: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        for path in entries {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
                let code: String =
                    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
                found.push((path.strip_prefix(root).unwrap().to_str().unwrap().to_string(), code));
            }
        }
    }
    assert!(found.len() > 50, "where are the sources?");
    found
}

/// The starter of a process decides its environment. So the library reads it in one place, which checks it, and not at all
/// in a process that has more rights than its starter.
#[test]
fn one_file_alone_reads_the_environment() {
    // Code that is in no release build: models, and what debug builds and tests ask.
    let elsewhere = ["src/models/", "src/sync/rank.rs", "src/ds/rng.rs"];
    let ways = ["getenv", "env::var", "env::vars", "var_os(", "environ", "/proc/self/environ"];
    let mut readers = Vec::new();
    for (file, code) in sources() {
        if elsewhere.iter().any(|prefix| file.starts_with(prefix)) {
            continue;
        }
        if ways.iter().any(|way| code.contains(way)) {
            readers.push(file.clone());
        }
        if file == "src/rt/config.rs" {
            assert!(!code.replace("secure_getenv", "").contains("getenv"), "{file} uses getenv");
        }
    }
    assert_eq!(readers, ["src/rt/config.rs"]);
}
