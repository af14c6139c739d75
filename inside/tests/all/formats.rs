//! What is written for other tools, read again.

use std::collections::HashMap;

use crate::accepts::whole;
use gomax_inside::begin::begin;
use gomax_inside::symbols::Symbols;
use gomax_inside::{chrome, perfetto};

/// The fields of a message: number, and a number or bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn number(bytes: &mut &[u8]) -> u64 {
        let mut n = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        n
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let (value, part) = match key & 7 {
            0 => (number(&mut bytes), &bytes[..0]),
            1 => (u64::from_le_bytes(bytes[..8].try_into().unwrap()), &bytes[..8]),
            2 => {
                let length = number(&mut bytes) as usize;
                (0, &bytes[..length])
            }
            other => panic!("a field of the kind {other}"),
        };
        bytes = &bytes[part.len()..];
        all.push((key >> 3, value, part));
    }
    all
}

fn get(message: &[u8], field: u64) -> Option<u64> {
    fields(message).iter().find(|(number, ..)| *number == field).map(|(_, value, _)| *value)
}

fn part(message: &[u8], field: u64) -> Option<&[u8]> {
    fields(message).iter().find(|(number, ..)| *number == field).map(|(.., part)| *part)
}

/// Tracks are described before they are used, slices of a track nest, times rise, and arrows have two ends.
#[test]
fn perfetto_is_sound() {
    let trace = whole().trace();
    let mut out = Vec::new();
    perfetto::write(&trace, begin(&trace, None), &mut Symbols::new(""), &mut out).unwrap();
    let mut tracks: HashMap<u64, i64> = HashMap::new();
    let mut flows: HashMap<u64, i32> = HashMap::new();
    let (mut last, mut names) = (0, Vec::new());
    for (field, _, packet) in fields(&out) {
        assert_eq!(field, 1);
        if let Some(descriptor) = part(packet, 60) {
            assert!(tracks.insert(get(descriptor, 1).unwrap(), 0).is_none());
        }
        if let Some(interned) = part(packet, 12) {
            let entry = part(interned, 2).unwrap();
            names.push(String::from_utf8(part(entry, 2).unwrap().to_vec()).unwrap());
            assert_eq!(get(entry, 1), Some(names.len() as u64));
        }
        let Some(event) = part(packet, 11) else { continue };
        let ts = get(packet, 8).unwrap();
        assert!(last <= ts);
        last = ts;
        let depth = tracks.get_mut(&get(event, 11).unwrap()).expect("the track is described");
        match get(event, 9).unwrap() {
            1 => *depth += 1,
            2 => *depth -= 1,
            _ => {}
        }
        assert!(*depth >= 0, "an end without a beginning");
        if let Some(id) = get(event, 47) {
            assert_eq!(flows.insert(id, 1), None);
        }
        if let Some(id) = get(event, 48) {
            assert_eq!(flows.insert(id, 2), Some(1));
        }
    }
    assert!(tracks.values().all(|depth| *depth == 0), "a slice does not end");
    for name in ["G1", "G2", "syscall", "stop the world: resize", "parse"] {
        assert!(names.iter().any(|n| n == name), "no {name} in {names:?}");
    }
    assert!(flows.values().filter(|ends| **ends == 2).count() > 5);
}

#[test]
fn json_is_sound() {
    let trace = whole().trace();
    let mut out = Vec::new();
    chrome::write(&trace, begin(&trace, None), &mut Symbols::new(""), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let count = |what: &str| text.matches(what).count();
    assert_eq!(count("\"ph\":\"B\""), count("\"ph\":\"E\""));
    assert!(count("\"ph\":\"f\"") > 5 && count("\"ph\":\"s\"") >= count("\"ph\":\"f\""));
    assert_eq!(count("{"), count("}"));
    assert!(
        text.contains("\"name\":\"stop the world: resize\"")
            && text.contains("\"name\":\"taken from a syscall on M0\"")
    );
}

/// The sum of what each P runs is the same in the report and in the picture.
#[test]
fn busy_times_agree() {
    use gomax_inside::picture::{Item, Row, What, draw};
    let trace = whole().trace();
    let sums = gomax_inside::report::sums(&trace, begin(&trace, None)).unwrap();
    let mut open: HashMap<Row, Vec<(What, u64)>> = HashMap::new();
    let (mut runs, mut calls) = (HashMap::<u32, u64>::new(), HashMap::<u32, u64>::new());
    draw(&trace, begin(&trace, None), |item| match item {
        Item::Begin { row, ts, what } => open.entry(row).or_default().push((what, ts)),
        Item::End { row, ts, .. } => {
            let (what, since) = open.get_mut(&row).unwrap().pop().unwrap();
            match (row, what) {
                (Row::P(p), What::Runs(_)) => *runs.entry(p).or_default() += ts - since,
                (Row::P(p), What::Syscall) => *calls.entry(p).or_default() += ts - since,
                _ => {}
            }
        }
        _ => {}
    })
    .unwrap();
    for (p, nanos) in &sums.busy {
        assert_eq!(*nanos, runs[p] - calls.get(p).copied().unwrap_or(0), "P{p}");
    }
}
