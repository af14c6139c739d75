//! docs/errors.md explains each message of the library. A message is a text in the sources that begins with
//! `libgomax: `; its words up to the first value that is put in stand in the page, in a block of text.

#![cfg(not(any(loom, shuttle)))]

mod source;

use std::collections::BTreeSet;
use std::fs;

const PAGE: &str = "docs/errors.md";
const BEGIN: &str = "libgomax: ";

/// The texts in quotes, in their order. (A quote within one is written with a backslash, which stays.)
fn quoted(code: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find('"') {
        rest = &rest[at + 1..];
        let mut end = 0;
        while let Some(c) = rest[end..].chars().next().filter(|&c| c != '"') {
            end += if c == '\\' { 1 + rest[end + 1..].chars().next().map_or(0, char::len_utf8) } else { c.len_utf8() };
        }
        // A line that ends with a backslash continues behind the blanks of the next one.
        texts
            .push(rest[..end].split("\\\n").enumerate().map(|(i, s)| if i > 0 { s.trim_start() } else { s }).collect());
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    texts
}

/// The first words of each message, up to a value or to the end of a line. Where a message begins with a value, they
/// are the words behind it.
fn messages() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for s in source::sources() {
        let texts = quoted(&s.code);
        for (i, text) in texts.iter().enumerate() {
            let Some(words) = text.strip_prefix(BEGIN) else { continue };
            // "libgomax: " alone, and the words are the next text.
            let words = if words.is_empty() { texts.get(i + 1).map_or("", String::as_str) } else { words };
            let parts: Vec<&str> = words.split(['{', '}']).collect();
            // Every other part is the name of a value.
            let first = parts.iter().step_by(2).map(|part| part.split("\\n").next().unwrap_or("").trim());
            let first = first.map(|part| part.replace("\\\"", "\"")).find(|part| part.len() > 2);
            found.insert(first.unwrap_or_else(|| panic!("{}: a message without words: {text:?}", s.name)));
        }
    }
    found
}

/// The messages in the page: its lines in blocks of text that begin as messages do.
fn explained() -> Vec<String> {
    let page = fs::read_to_string(source::top().join(PAGE)).unwrap();
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("text\n"));
    blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix(BEGIN)).map(str::to_string).collect()
}

#[test]
fn each_message_is_explained_and_each_explained_message_exists() {
    let (messages, explained) = (messages(), explained());
    assert!(messages.len() > 15, "{messages:#?}");
    for message in &messages {
        assert!(explained.iter().any(|line| line.contains(message)), "{PAGE} has no \"libgomax: {message}\"");
    }
    for line in &explained {
        assert!(messages.iter().any(|message| line.contains(message)), "no message of the library is \"{line}\"");
    }
}

/// Each section says what a message means, and what to do.
#[test]
fn each_section_says_what_to_do() {
    let page = fs::read_to_string(source::top().join(PAGE)).unwrap();
    for section in page.split("\n## ").skip(1).filter(|section| section.contains("```text\nlibgomax: ")) {
        let title = section.lines().next().unwrap();
        for word in ["**Means:**", "**Do:**"] {
            assert!(section.contains(word), "{PAGE}, {title}: no {word}");
        }
    }
}

#[test]
fn texts_in_quotes_are_found() {
    assert_eq!(quoted(r#"a("x\"y", 1) b"z" '"#), ["x\\\"y", "z"]);
}
