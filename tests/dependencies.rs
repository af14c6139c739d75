//! The dependencies of the library and of its tests, from Cargo.toml, Cargo.lock and the crates that cargo has, without
//! a network. ci/deny.sh checks these versions for known vulnerabilities.

#![cfg(not(any(loom, shuttle)))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn read(name: &str) -> String {
    fs::read_to_string(top().join(name)).unwrap()
}

/// The tables of a TOML file as it is written here: the header of each and its lines.
fn tables(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut tables: Vec<(&str, Vec<&str>)> = vec![("", Vec::new())];
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[') {
            Some(header) if line.ends_with(']') => tables.push((header.trim_matches(['[', ']']), Vec::new())),
            _ => tables.last_mut().unwrap().1.push(line),
        }
    }
    tables
}

/// The value of `name = "value"` in a table.
fn value<'a>(lines: &[&'a str], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let (key, value) = line.split_once(" = ")?;
        (key == name).then(|| value.trim_matches('"'))
    })
}

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Each crate comes from one registry, with a checksum: none comes from git, from a path, or from elsewhere.
fn wrong_sources(lock: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (_, package) in tables(lock).iter().filter(|(header, _)| *header == "package") {
        let name = value(package, "name").unwrap();
        if ["gomax", "gomax-inside", "gomax-page"].contains(&name) {
            continue;
        }
        let checksum = value(package, "checksum").unwrap_or("");
        if value(package, "source") != Some(REGISTRY) {
            wrong.push(format!("{name} is not from crates.io"));
        } else if checksum.len() != 64 || !checksum.bytes().all(|b| b.is_ascii_hexdigit()) {
            wrong.push(format!("{name} has no checksum"));
        }
    }
    wrong
}

#[test]
fn every_crate_is_from_the_registry_and_has_a_checksum() {
    for name in ["Cargo.lock", "inside/Cargo.lock", "inside/page/Cargo.lock"] {
        let lock = read(name);
        assert!(tables(&lock).iter().filter(|(header, _)| *header == "package").count() > 2);
        assert_eq!(wrong_sources(&lock), [""; 0]);
    }
}

/// The check finds planted faults.
#[test]
fn a_crate_from_elsewhere_is_found() {
    let lock = read("Cargo.lock");
    let from_git = lock.replacen(REGISTRY, "git+https://example.org/libc", 1);
    assert_eq!(wrong_sources(&from_git).len(), 1);
    let at = lock.find("checksum = ").unwrap();
    let end = at + lock[at..].find('\n').unwrap();
    let unchecked = format!("{}{}", &lock[..at], &lock[end..]);
    assert_eq!(wrong_sources(&unchecked).len(), 1);
}

/// The library that ships depends on libc alone, which has no dependency. At build time only build.rs runs.
#[test]
fn the_library_depends_on_libc_alone() {
    let manifest = read("Cargo.toml");
    for (header, lines) in tables(&manifest) {
        let names: Vec<&str> = lines.iter().filter_map(|line| line.split([' ', '.']).next()).collect();
        match header {
            "dependencies" => assert_eq!(names, ["libc"]),
            // Models and tests: no build of the library has these.
            "target.'cfg(loom)'.dependencies" => assert_eq!(names, ["loom"]),
            "target.'cfg(shuttle)'.dependencies" => assert_eq!(names, ["shuttle"]),
            "target.'cfg(not(any(loom, shuttle)))'.dev-dependencies" => {
                assert_eq!(names, ["cbindgen", "cc", "crossbeam-deque"])
            }
            other => assert!(!other.contains("dependencies") && !other.contains("patch"), "[{other}] in Cargo.toml"),
        }
    }
    let lock = read("Cargo.lock");
    let all = tables(&lock);
    let (_, libc) = all.iter().find(|(_, lines)| value(lines, "name") == Some("libc")).unwrap();
    assert!(!libc.iter().any(|line| line.starts_with("dependencies")), "libc has dependencies now: {libc:?}");
}

/// The licences that deny.toml allows.
fn allowed() -> Vec<String> {
    let deny = read("deny.toml");
    let list = deny.split_once("allow = [").expect("the licences").1.split_once(']').unwrap().0;
    list.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

/// Whether all parts of one alternative are allowed. (The expressions of these crates have no deeper brackets.)
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let part = |p: &str| allowed.iter().any(|a| a == p.trim());
    let any = |e: &str| e.replace('/', " OR ").split(" OR ").any(part);
    expression.split(" AND ").all(|e| any(e.trim().trim_matches(['(', ')'])))
}

#[test]
fn every_licence_is_allowed() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(top()).args(["tree", "--offline", "--locked", "-e", "normal,dev,build", "--prefix", "none"]);
    let said = cargo.args(["--format", "{p}|{l}"]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let (text, allowed) = (String::from_utf8(said.stdout).unwrap(), allowed());
    let crates: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(name, licence)| (name, licence.trim_end_matches("(*)").trim()))
        .collect();
    assert!(crates.iter().any(|(name, _)| name.starts_with("libc ")));
    for (name, licence) in crates {
        // No part of it ships: it writes the header.
        let excepted = name.starts_with("cbindgen ") && licence == "MPL-2.0";
        assert!(excepted || is_allowed(licence, &allowed), "{name}: {licence}");
    }
    assert!(!is_allowed("GPL-3.0-only", &allowed) && !is_allowed("MIT AND GPL-3.0-only", &allowed));
}
