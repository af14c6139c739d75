//! A good trace with one edit. Each rule of src/order.rs refuses one of these traces, or `SILENT` has the reason.

use crate::accepts::whole;
use crate::common::File;
use gomax_inside::raw::{Record, kind};

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Dropped,
    Doubled,
    /// With the next record of its thread or of any thread. Each gets the time of its new place.
    Swapped,
}

/// What was done to record `at` of M `m`.
struct Edit {
    m: usize,
    at: usize,
    how: How,
    file: File,
}

fn edits(good: &File) -> Vec<Edit> {
    let mut edits = Vec::new();
    let is_text = |record: &Record| record.kind() == kind::TEXT;
    for m in 0..good.ms.len() {
        for (at, record) in good.ms[m].1.iter().enumerate().filter(|(_, record)| !is_text(record)) {
            let mut edit = |how, change: &dyn Fn(&mut File)| {
                let mut file = good.clone();
                change(&mut file);
                edits.push(Edit { m, at, how, file });
            };
            edit(How::Dropped, &|f| _ = f.ms[m].1.remove(at));
            edit(How::Doubled, &|f| f.ms[m].1.insert(at, *record));
            let next_of = |other: usize| {
                let records = good.ms[other].1.iter().enumerate();
                let later = records.filter(|(_, r)| !is_text(r) && r.time > record.time);
                later.map(|(at, r)| (r.time, other, at)).min()
            };
            let next_of_any = (0..good.ms.len()).filter_map(next_of).min();
            for (_, other, next) in [next_of(m), next_of_any].into_iter().flatten() {
                edit(How::Swapped, &|f| {
                    let (mut a, mut b) = (f.ms[m].1[at], f.ms[other].1[next]);
                    std::mem::swap(&mut a.time, &mut b.time);
                    (f.ms[m].1[at], f.ms[other].1[next]) = (b, a);
                });
            }
        }
    }
    edits
}

/// The rules that refuse no edit, each with the test of refuses.rs that shows it, or with the reason why no record of
/// the library sets it off.
const SILENT: &[(&str, &str)] = &[
    ("it creates G*, and its thread has no P", "a_record_that_names_no_p"),
    ("it starts G*, and its thread has no P", "a_record_that_names_no_p"),
    ("its thread has G*, and no P", "a_record_that_names_no_p"),
    ("G* returns from its syscall with the P, and its thread has none", "a_record_that_names_no_p"),
    ("it creates G*, and G* of its thread is in a syscall", "a_g_in_a_syscall_that_spawns"),
    ("G* returns from its syscall with P*, which is *", "a_syscall_that_ends_with_another_p"),
    ("G* comes in, and there is a G* already", "a_g_that_is_created_twice"),
    ("P* had the number *, and the record has *", "a_syscall_with_a_number_too_many"),
    ("it takes P* from *, and * has it", "a_thief_that_names_another_victim"),
    ("it takes P* out of a syscall; *", "a_p_that_is_taken_although_it_is_idle"),
    ("it starts P*, which no record has taken; *", "a_p_that_is_started_although_it_is_in_a_syscall"),
    ("*, and has no further record", "a_p_that_is_seized_from_another_g"),
    ("*, and takes it from itself", "a_p_that_is_seized_from_another_g"),
    ("it readies G* a second time; *", "a_doubled_wake_up"),
    ("there is no kind *", "a_kind_that_there_is_not"),
    ("there is no P*: no record says its state", "(begin.rs finds a state for each P that a record names)"),
    ("it waits for nothing", "(such an event is never stuck)"),
    ("G* ends a region that is not its innermost one", "(only in Go's format does the end of a region have a name)"),
    ("it says that P* is *, and it is *", "(only Go's format has a status)"),
    ("it gives P* to a thread that has *", "(only Go's format has a status)"),
    ("it says that G* is *, and it is *", "(only Go's format has a status)"),
    ("it says that G* is in a syscall, on no thread", "(only Go's format has a status)"),
    ("it gives G* to a thread that has *", "(only Go's format has a status)"),
];

/// The sentences of src/order.rs, with a * for each value.
fn rules() -> Vec<String> {
    let source = include_str!("../../src/order.rs");
    let mut rules = Vec::new();
    for word in ["Err(", "Root("] {
        for (at, _) in source.match_indices(word) {
            let rest = source[at + word.len()..].trim_start();
            let rest = rest.strip_prefix("format!(").unwrap_or(rest).trim_start();
            let Some((text, _)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) else { continue };
            let mut pieces = text.split(['{', '}']);
            let mut rule = pieces.next().unwrap_or_default().to_string();
            while let (Some(_value), Some(piece)) = (pieces.next(), pieces.next()) {
                rule += "*";
                rule += piece;
            }
            rules.push(rule);
        }
    }
    rules.sort();
    rules.dedup();
    rules
}

fn is_by(rule: &str, mut said: &str) -> bool {
    let pieces: Vec<&str> = rule.split('*').collect();
    for piece in &pieces {
        let Some((_, rest)) = said.split_once(piece) else { return false };
        said = rest;
    }
    said.is_empty() || pieces.last() == Some(&"")
}

#[test]
fn each_rule_refuses_an_edit() {
    let said: Vec<String> = edits(&whole()).iter().flat_map(|edit| edit.file.refusals()).collect();
    let rules = rules();
    assert!(rules.len() > 40, "{rules:#?}");
    let is_silent = |rule: &&String| !said.iter().any(|said| is_by(rule, said));
    let mut silent: Vec<&str> = rules.iter().filter(is_silent).map(String::as_str).collect();
    let mut expected: Vec<&str> = SILENT.iter().map(|(rule, _)| *rule).collect();
    silent.sort_unstable();
    expected.sort_unstable();
    assert_eq!(silent, expected);
    for (rule, shown) in SILENT.iter().filter(|(_, shown)| !shown.starts_with('(')) {
        assert!(include_str!("refuses.rs").contains(&format!("fn {shown}()")), "no test {shown} for '{rule}'");
    }
}

#[test]
fn what_comes_twice_is_refused() {
    // Nothing rests on these.
    let harmless = [kind::PROCS, kind::LOG, kind::TASK_END, kind::REGION_BEGIN, kind::REGION_END];
    for edit in edits(&whole()).iter().filter(|edit| edit.how == How::Doubled) {
        let record = edit.file.ms[edit.m].1[edit.at];
        // The G on M2 has lost its P to a SEIZE, so it may be held, continue without a P, and be back once more.
        let may_come_again = record.kind() == kind::SYS_BLOCKED && edit.m == 2;
        let refusals = edit.file.refusals();
        let passes = may_come_again || harmless.contains(&record.kind());
        assert_eq!(refusals.is_empty(), passes, "M{} {}: {refusals:?}", edit.m, edit.at);
    }
}
