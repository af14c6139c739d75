//! Words that make a reader guess, counted over the whole tree. Their numbers may only fall: `GMX_BLESS=1 cargo test
//! --test prose` takes in lower ones. And comments keep to the width of the code.

#![cfg(not(any(loom, shuttle)))]

mod source;

use std::collections::BTreeMap;
use std::fs;

/// Each with what to write instead.
const WORDS: &[(&str, &str)] = &[
    ("who", "the actor: the owner, the waker, a thief, the caller"),
    ("whoever", "the actor"),
    ("nobody", "no thread, no goroutine, no caller"),
    ("somebody", "a thread, a goroutine, a caller"),
    ("anybody", "any thread, any goroutine, any caller"),
    ("for ever", "forever"),
    ("for want of", "without"),
    ("to be had", "if there is none; is available"),
    ("sees to", "does; makes sure of"),
    ("makes way", "yields"),
    ("goes on", "continues"),
    ("but for", "except"),
    ("that is none", "is not a ..."),
    ("gives back", "unlocks, frees, returns"),
    ("cancelled", "canceled, except in names that exist"),
];
/// What is the width of the code in rustfmt.toml.
const WIDTH: usize = 120;
const LIST: &str = "tests/prose.txt";

/// How often a word stands there by itself, in any case of its letters. A name does not count: `task.cancelled()`,
/// `trio.Cancelled`.
fn count(text: &str, word: &str) -> usize {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let alone = |&(at, found): &(usize, &str)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + found.len()..].chars().next());
        let name = before.is_some_and(|c| ".:`".contains(c)) || after == Some('(');
        !letter(before) && !letter(after) && !name
    };
    text.match_indices(word).filter(alone).count()
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    ["//", "* ", "/*", "# ", "##"].iter().any(|mark| line.starts_with(mark))
}

fn counts() -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = WORDS.iter().map(|(word, _)| (word.to_string(), 0)).collect();
    let mut long = 0;
    // This file has the words as such.
    for (_, file) in source::texts().into_iter().filter(|(name, _)| name != "tests/prose.rs") {
        let text = fs::read_to_string(&file).unwrap();
        // A phrase may be broken at the end of a line, with the mark of a comment between its words.
        let words = text.to_lowercase().replace(['\n', '/', '*', '!', '#'], " ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        for (word, _) in WORDS {
            *counts.get_mut(*word).unwrap() += count(&words, word);
        }
        if file.extension().is_some_and(|e| e != "md") {
            long += text.lines().filter(|line| is_comment(line) && line.chars().count() > WIDTH).count();
        }
    }
    counts.insert("comment lines that are too long".into(), long);
    counts
}

#[test]
fn what_makes_a_reader_guess_only_falls() {
    let now = counts();
    let list = source::top().join(LIST);
    let write = |counts: &BTreeMap<String, usize>| -> String {
        counts.iter().map(|(word, n)| format!("{n} {word}\n")).collect()
    };
    if std::env::var_os("GMX_BLESS").is_some() {
        return fs::write(&list, write(&now)).unwrap();
    }
    let text = fs::read_to_string(&list).unwrap();
    let most: BTreeMap<&str, usize> =
        text.lines().map(|line| line.split_once(' ').unwrap()).map(|(n, word)| (word, n.parse().unwrap())).collect();
    let advice = |word: &str| WORDS.iter().find(|(w, _)| *w == word).map_or("break the line", |(_, advice)| *advice);
    let risen: Vec<String> = now
        .iter()
        .filter(|(word, n)| most.get(word.as_str()).is_none_or(|most| *n > most))
        .map(|(word, n)| format!("{word:?}: {n}, at most {:?}. Better: {}", most.get(word.as_str()), advice(word)))
        .collect();
    assert!(risen.is_empty(), "{risen:#?}");
}

#[test]
fn words_are_counted_as_they_stand() {
    assert_eq!(count("who, whoever and who", "who"), 2);
    assert_eq!(count("gmx_who who_", "who"), 0);
    assert_eq!(count("waits for ever.", "for ever"), 1);
    assert_eq!(count("t.cancelled(), def cancelled(self), trio.cancelled, `cancelled`, a::cancelled", "cancelled"), 0);
    assert_eq!(count("it is cancelled: (cancelled) \"cancelled\"; cancelled (by hand), cancelled.", "cancelled"), 5);
    assert!(is_comment("    /// a") && is_comment(" * a") && !is_comment("let a = 1; // a"));
}
