//! The table of lock ranks in HACKING.md equals the list in src/sync/rank.rs. `GMX_BLESS=1` writes the table again.

#![cfg(not(any(loom, shuttle)))]

use std::fs;
use std::path::{Path, PathBuf};

const HEAD: &str = "| rank | lock | guards |\n|---|---|---|\n";

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The rows, from the doc comments in `ranks! { ... }`.
fn table() -> String {
    let text = fs::read_to_string(source("src/sync/rank.rs")).unwrap();
    let list = text.split_once("\nranks! {\n").unwrap().1.split_once("\n}\n").unwrap().0;
    let (mut rows, mut doc) = (String::new(), String::new());
    for line in list.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            doc.push_str(words);
            continue;
        }
        let (name, number) = line.trim_end_matches(',').split_once(" = ").unwrap();
        let words = doc.trim().trim_end_matches('.');
        let (first, rest) = words.split_at(1);
        rows.push_str(&format!("| {number} | `{name}` | {}{rest} |\n", first.to_lowercase()));
        doc.clear();
    }
    rows
}

#[test]
fn the_table_of_lock_ranks_is_up_to_date() {
    let file = source("HACKING.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(HEAD).expect("a table of ranks");
    let (_, after) = rest.split_once("\n\n").unwrap();
    let wanted = format!("{before}{HEAD}{}\n{after}", table());
    if std::env::var_os("GMX_BLESS").is_some() {
        fs::write(&file, wanted).unwrap();
    } else {
        assert!(text == wanted, "HACKING.md: GMX_BLESS=1 cargo test --test ranks");
    }
}
