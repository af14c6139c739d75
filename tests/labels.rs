//! Labels of steps and invariants, such as WAKE-S2: each that is cited is defined in one paper, and each that is
//! defined is cited where the code does it.
//!
//! A paper is the head comment of a file in `src` or `posix/src`. A list item or a row of a table that begins with a
//! label defines it.

#![cfg(not(any(loom, shuttle)))]

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;

/// Where labels are cited. This file has made-up ones.
const PLACES: [&str; 7] = ["src/", "posix/", "tests/", "ctests/", "ci/", "docs/", "HACKING.md"];
const MYSELF: &str = "tests/labels.rs";

/// What is written like a label, and names something else.
const OTHER_NAMES: [&str; 4] = ["GPL-3", "MPL-2", "SPDX-2", "UTF-8"];

/// Defined and nowhere cited, and why it is defined all the same.
const UNCITED: &[(&str, &str)] = &[];

/// What is written like a label without its prefix, and names something else in that file.
const ALIKE: &[(&str, &[&str])] = &[
    // Ms and Ps by their numbers, as in a trace.
    ("src/models/legacy.rs", &["M1", "M2", "P1"]),
    ("ctests/schedtrace.c", &["P0"]),
    ("ci/gdb.sh", &["P0"]),
    ("docs/inside.md", &["G7", "M2", "M4", "P0", "P1"]),
    // Versions of cgroups.
    ("src/sys/ncpu.rs", &["V1", "V2"]),
    // Versions of C.
    ("docs/install.md", &["C99"]),
    // The steps of the collector at the head of examples/marksweep/gc.c.
    ("docs/runtimes.md", &["C1", "C2", "C3", "C4", "C5"]),
];

/// The words of a text, with hyphens and underscores, and where they are.
fn words(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + text[at..].find(inside)?;
        at = text[begin..].find(|c| !inside(c)).map_or(text.len(), |n| begin + n);
        Some((begin..at, &text[begin..at]))
    })
}

/// The letters and the number of `S2` in WAKE-S2, or of `4` in ASK-4.
fn step(word: &str) -> Option<(&str, u32)> {
    let (letters, number) = word.split_at(word.find(|c: char| c.is_ascii_digit())?);
    let fits = letters.len() <= 2 && letters.chars().all(|c| c.is_ascii_uppercase()) && number.len() <= 2;
    number.parse().ok().filter(|_| fits).map(|n| (letters, n))
}

/// The parts of a label: `WAKE`, `S`, 2.
fn parts(word: &str) -> Option<(&str, &str, u32)> {
    let (prefix, rest) = word.split_once('-')?;
    let fits = prefix.len() >= 2 && prefix.chars().all(|c| c.is_ascii_uppercase()) && !OTHER_NAMES.contains(&word);
    step(rest).filter(|_| fits).map(|(letters, n)| (prefix, letters, n))
}

/// A label without its prefix, such as S2.
fn is_bare(word: &str) -> bool {
    step(word).is_some_and(|(letters, _)| !letters.is_empty())
}

/// The labels in a text, in order; of `WAKE-S2 to WAKE-S5` also those between.
fn cited(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut last = None;
    for (at, word) in words(text) {
        let Some(label) = parts(word) else { continue };
        if let Some((end, (prefix, letters, first))) = last
            && words(&text[end..at.start]).map(|(_, word)| word).eq(["to"])
            && (prefix, letters) == (label.0, label.1)
        {
            all.extend((first + 1..label.2).map(|n| format!("{prefix}-{letters}{n}")));
        }
        all.push(word.to_string());
        last = Some((at.end, label));
    }
    all
}

/// The labels that the head comment of a file defines.
fn defined(text: &str) -> Vec<String> {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim_start);
    let items = lines.filter_map(|line| ["* ", "- ", "| "].iter().find_map(|mark| line.strip_prefix(mark)));
    let first = items.filter_map(|item| words(item).next().filter(|(at, _)| at.start == 0));
    first.filter(|(_, word)| parts(word).is_some()).map(|(_, word)| word.to_string()).collect()
}

/// What is wrong in these files (path, text), a line each.
fn faults(files: &[(String, String)], uncited: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    // Label to papers; prefix to papers.
    let mut papers = BTreeMap::<String, Vec<&str>>::new();
    let mut prefixes = BTreeMap::<String, BTreeSet<&str>>::new();
    let mut count = BTreeMap::<String, (usize, &str)>::new();
    for (name, text) in files {
        for label in defined(text).into_iter().filter(|_| name.starts_with("src/") || name.starts_with("posix/src/")) {
            prefixes.entry(parts(&label).unwrap().0.to_string()).or_default().insert(name);
            papers.entry(label).or_default().push(name);
        }
        for label in cited(text) {
            count.entry(label).or_insert((0, name)).0 += 1;
        }
        let alike = |word: &str| ALIKE.iter().any(|(of, what)| of == name && what.contains(&word));
        for (n, line) in text.lines().enumerate() {
            let bare = words(line).filter(|(_, word)| is_bare(word) && !alike(word));
            found.extend(bare.map(|(_, word)| {
                format!("{name}:{}: {word} has no prefix that says whose it is (if it is no label: ALIKE)", n + 1)
            }));
        }
    }
    for (label, (n, name)) in &count {
        match papers.get(label).map_or(&[][..], Vec::as_slice) {
            [] => found.push(format!("{name}: {label} is cited, and no paper defines it")),
            [paper] if *n == 1 && !uncited.iter().any(|(except, _)| except == label) => {
                found.push(format!("{paper}: {label} is defined, and cited nowhere"));
            }
            [_] => {}
            many => found.push(format!("{label} is defined {} times: {}", many.len(), many.join(", "))),
        }
    }
    let of_two = prefixes.iter().filter(|(_, papers)| papers.len() > 1);
    found.extend(of_two.map(|(prefix, papers)| format!("{prefix} is the prefix of {papers:?}")));
    let stale = uncited.iter().filter(|(label, _)| count.get(*label).is_none_or(|(n, _)| *n != 1));
    found.extend(stale.map(|(label, _)| format!("UNCITED has {label}, which is cited or not defined")));
    found
}

#[test]
fn each_label_is_defined_once_and_cited() {
    let here = |name: &str| name != MYSELF && PLACES.iter().any(|place| name.starts_with(place));
    let read = |(name, path)| (name, fs::read_to_string(path).unwrap());
    let files: Vec<(String, String)> = source::texts().into_iter().filter(|(name, _)| here(name)).map(read).collect();
    let labels: usize = files.iter().map(|(_, text)| defined(text).len()).sum();
    assert!(files.len() > 300 && labels > 250, "{} files, {labels} labels", files.len());
    let found = faults(&files, UNCITED);
    assert!(found.is_empty(), "{found:#?}");
    let unused = ALIKE.iter().flat_map(|(of, what)| what.iter().map(move |word| (of, word))).filter(|(of, word)| {
        let mut places = files.iter().filter(|(name, _)| **of == *name);
        !places.any(|(_, text)| words(text).any(|(_, other)| other == **word))
    });
    assert_eq!(unused.collect::<Vec<_>>(), [], "in ALIKE, and in no file");
}

/// The faults of a paper, `src/wake.rs`, with one other file.
fn with(paper: &str, other: (&str, &str), uncited: &[(&str, &str)]) -> Vec<String> {
    let file = |name: &str, text: &str| (name.to_string(), text.to_string());
    faults(&[file("src/wake.rs", paper), file(other.0, other.1)], uncited)
}

const PAPER: &str = "//! Wakes.\n//! * WAKE-S1 put;\n//! * WAKE-S2 fence;\n//! * WAKE-S3 return.\n\n// WAKE-S1\n";

#[test]
fn a_tree_without_faults_has_none() {
    let none: [String; 0] = [];
    assert_eq!(with(PAPER, ("src/a.rs", "// WAKE-S2, and (WAKE-S3's) UTF-8"), &[]), none);
    // In a range, over the end of a line.
    assert_eq!(with(PAPER, ("ctests/a.c", "/* WAKE-S1 to\n * WAKE-S3 */"), &[]), none);
    assert_eq!(with(PAPER, ("ci/a.py", "# WAKE-S2"), &[("WAKE-S3", "a reason")]), none);
    assert_eq!(
        with(PAPER, ("src/a.rs", "//! - ASK-1: asks\n//! | ASK-2 | b |\n//! WAKE-S2 WAKE-S3 ASK-1 ASK-2"), &[]),
        none
    );
    assert_eq!(with(PAPER, ("src/sys/ncpu.rs", "V1 WAKE-S2 WAKE-S3 G1_x 0xA1 -O2 A123 ABC1 a1"), &[]), none);
}

#[test]
fn each_fault_is_seen() {
    let all = "// WAKE-S2, WAKE-S3\n";
    let sees = |found: Vec<String>, what: &str| assert!(found.len() == 1 && found[0].contains(what), "{found:?}");
    sees(with(PAPER, ("docs/a.md", "WAKE-S2 WAKE-S3 WAKE-S9"), &[]), "WAKE-S9 is cited, and no paper defines it");
    // A definition counts only in a head comment, and only in src.
    sees(with(PAPER, ("src/a.rs", &format!("{all}\n//! * ASK-1 asks")), &[]), "ASK-1 is cited, and no paper");
    sees(with(PAPER, ("ctests/a.c", &format!("//! * ASK-1 asks\n{all}")), &[]), "ASK-1 is cited, and no paper");
    sees(with(PAPER, ("src/a.rs", "// WAKE-S2"), &[]), "src/wake.rs: WAKE-S3 is defined, and cited nowhere");
    sees(with(PAPER, ("src/a.rs", "// WAKE-S1 and WAKE-S3"), &[]), "WAKE-S2 is defined, and cited nowhere");
    sees(with(PAPER, ("src/a.rs", all), &[("WAKE-S3", "a reason")]), "UNCITED has WAKE-S3");
    sees(with(PAPER, ("src/a.rs", all), &[("WAKE-S8", "a reason")]), "UNCITED has WAKE-S8");
    let twice = PAPER.replace("//! * WAKE-S3", "//! * WAKE-S2 again\n//! * WAKE-S3");
    sees(with(&twice, ("src/a.rs", all), &[]), "WAKE-S2 is defined 2 times: src/wake.rs, src/wake.rs");
    let found = with(PAPER, ("src/a.rs", &format!("//! * WAKE-S2 too\n{all}")), &[]);
    assert!(found.iter().any(|f| f.contains("WAKE-S2 is defined 2 times: src/wake.rs, src/a.rs")), "{found:?}");
    assert!(found.iter().any(|f| f.contains("WAKE is the prefix of")), "{found:?}");
    for bare in ["// S2 in wake.rs", "/// I3.", "assert!(a, \"K5: b\");", "// (G1)", "// P0"] {
        sees(with(PAPER, ("src/a.rs", &format!("{all}{bare}")), &[]), "src/a.rs:2: ");
    }
    // What looks like one in one file is a label in another.
    sees(with(PAPER, ("src/a.rs", &format!("{all}// V1")), &[]), "src/a.rs:2: V1 has no prefix");
}
