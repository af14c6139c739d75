//! The architecture of HACKING.md: the parts of the library that each part may use, read from the sources as text.

#![cfg(not(any(loom, shuttle)))]

mod source;

use source::{Source, places, sources};
use std::collections::BTreeSet;

/// The modules of `src`, lowest first: each uses those before it.
const LAYERS: [&str; 11] = ["sys", "sync", "ds", "fiber", "trace", "gmp", "protocol", "block", "sched", "rt", "capi"];

/// Imports within `protocol` go to files above in the list of its `mod.rs`.
fn protocols() -> Vec<String> {
    let text = std::fs::read_to_string(source::src().join("protocol/mod.rs")).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("//! ")?.split_once(". [`")?.1.split_once("`]"));
    names.map(|(name, _)| name.to_string()).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|&name| name == module)
}

/// The path of a file's module: `block`, `chan` and `ring` for block/chan/ring.rs.
fn module_path(name: &str) -> Vec<String> {
    let name = name.strip_suffix(".rs").unwrap_or(name);
    let name = name.strip_suffix("/mod").unwrap_or(name);
    name.split('/').map(str::to_string).collect()
}

/// Each path that begins with `crate::` or `super::`, also of paths in braces, and its line.
fn paths(s: &Source) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let module = module_path(&s.name);
    for word in ["crate::", "super::"] {
        for (at, _) in s.code.match_indices(word) {
            // Read as part of its path, or a visibility.
            if s.code[..at].ends_with("super::") || s.code[..at].ends_with("pub(in ") {
                continue;
            }
            let line = s.code[..at].lines().count();
            let mut text = &s.code[at + word.len()..];
            let mut before = if word == "crate::" { Vec::new() } else { module[..module.len() - 1].to_vec() };
            while let Some(rest) = text.strip_prefix("super::") {
                before.pop();
                text = rest;
            }
            let mut paths = Vec::new();
            expand(text, &mut before, &mut paths);
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// The first two names of each path of [`paths`].
fn uses(s: &Source) -> Vec<(usize, String, String)> {
    let name = |path: &[String], i: usize| path.get(i).cloned().unwrap_or_default();
    paths(s).iter().map(|(line, path)| (*line, name(path, 0), name(path, 1))).collect()
}

/// The imports between the parts of a module (its files; a folder counts as one) by which these use each other in a
/// circle, and the number of all such imports. The file of the module itself uses each part.
fn circle(sources: &[Source], module: &str) -> (Vec<String>, usize) {
    const TOP: &str = "mod";
    let above: Vec<&str> = module.split('/').collect();
    let part = |path: &[String]| {
        let inside = path.len() >= above.len() && path.iter().zip(&above).all(|(name, above)| name == above);
        inside.then(|| path.get(above.len()).map_or(TOP, |name| name).to_string())
    };
    let parts: BTreeSet<String> = sources.iter().filter_map(|s| part(&module_path(&s.name))).collect();
    let mut edges: Vec<(String, String, String)> = Vec::new();
    for s in sources {
        let Some(from) = part(&module_path(&s.name)) else { continue };
        for (line, path) in paths(s) {
            let to = part(&path).map(|to| if parts.contains(&to) { to } else { TOP.into() });
            edges.extend(to.filter(|to| *to != from).map(|to| (from.clone(), to, format!("{}:{line}", s.name))));
        }
        if from == TOP {
            edges.extend(parts.iter().filter(|p| *p != TOP).map(|p| (from.clone(), p.clone(), s.name.clone())));
        }
    }
    let all = edges.len();
    // What uses no other part, or is used by none, is in no circle.
    loop {
        let users: BTreeSet<String> = edges.iter().map(|(from, ..)| from.clone()).collect();
        let used: BTreeSet<String> = edges.iter().map(|(_, to, _)| to.clone()).collect();
        let before = edges.len();
        edges.retain(|(from, to, _)| used.contains(from) && users.contains(to));
        if edges.len() == before {
            return (edges.into_iter().map(|(_, to, place)| format!("{place}: uses {to}")).collect(), all);
        }
    }
}

/// Reads a path, or the paths of a group in braces. Returns the text that follows.
fn expand<'a>(text: &'a str, before: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(rest, before, paths).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            match rest.strip_prefix('}') {
                Some(behind) => return behind,
                None if rest.is_empty() => return rest,
                None => {}
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    before.push(name.to_string());
    let rest = match rest.strip_prefix("::") {
        Some(rest) => expand(rest, before, paths),
        None => {
            paths.push(before.clone());
            // `as other`, `*`, or a sign that is no part of a path
            let end = rest.find([',', '}', ';', '(', ')', '{', '\n']).unwrap_or(rest.len());
            if name.is_empty() || rest.trim_start().starts_with("as ") { &rest[end..] } else { rest }
        }
    };
    before.pop();
    rest
}

/// The fault, if there is one, when `module::file` (its layer, its place in `protocol`) uses `(to, to_file)`.
fn wrong(from: &str, to: &str, to_file: &str, protocols: &[String]) -> Option<String> {
    let (module, file) = from.split_once('/').unwrap_or((from, ""));
    let file = file.trim_end_matches(".rs").split('/').next().unwrap();
    let (Some(here), Some(there)) = (layer(module), layer(to)) else { return None };
    if there > here {
        return Some(format!("{module} uses {to}, which is not below it"));
    }
    let place = |name: &str| protocols.iter().position(|p| p == name);
    if module == "protocol" && to == "protocol" && file != "mod" {
        let (Some(here), Some(there)) = (place(file), place(to_file)) else {
            return Some(format!("{file} or {to_file} is not in the list of protocol/mod.rs"));
        };
        if there > here {
            return Some(format!("protocol/{file} uses {to_file}, which is below it in the list"));
        }
    }
    None
}

#[test]
fn imports_go_down_only() {
    let protocols = protocols();
    assert!(protocols.len() > 10);
    let mut seen = 0;
    let mut found = Vec::new();
    for s in &sources() {
        for (line, to, to_file) in uses(s) {
            seen += 1;
            found.extend(wrong(&s.name, &to, &to_file, &protocols).map(|why| format!("{}:{line}: {why}", s.name)));
        }
    }
    assert!(seen > 500, "{seen}");
    assert!(found.is_empty(), "{found:#?}");
}

/// Only nouns (`gmp`) may use each other in a circle. (`block/cancel` has one: a token, and the list of its hooks.)
#[test]
fn imports_within_block_form_no_circle() {
    let sources = sources();
    for (module, least) in [("block", 40), ("block/chan", 10)] {
        let (found, all) = circle(&sources, module);
        assert!(all > least, "{module}: {all}");
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn every_module_has_its_layer() {
    for s in &sources() {
        let module = s.name.split('/').next().unwrap();
        assert!(module == "lib.rs" || layer(module).is_some(), "{}", s.name);
    }
}

/// The tables of HACKING.md (highest first) and of lib.rs (lowest first).
#[test]
fn the_documents_have_these_layers() {
    let hacking = std::fs::read_to_string(source::top().join("HACKING.md")).unwrap();
    let rows = hacking.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | `src/")?.1.split_once("/` |"));
    let mut rows: Vec<&str> = rows.map(|(name, _)| name).collect();
    rows.reverse();
    assert_eq!(rows, LAYERS);
    let lib = std::fs::read_to_string(source::src().join("lib.rs")).unwrap();
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | ")?.split_once(" | [`")?.1.split_once("`] |"));
    assert_eq!(rows.map(|(name, _)| name).collect::<Vec<_>>(), LAYERS);
}

/// loom and shuttle check only atomics and locks of `sync`: no model sees an atomic of std.
#[test]
fn atomics_and_system_calls_come_through_their_layers() {
    const PLAIN: [(&str, &str); 13] = [
        ("ds/slab.rs", "a table that only grows"),
        ("gmp/allg.rs", "a table that only grows"),
        ("gmp/sched.rs", "tables that only grow, numbers that report"),
        ("gmp/m.rs", "where it writes records: no model has any"),
        ("gmp/p.rs", "the word that C code polls"),
        ("gmp/hogs.rs", "numbers that report"),
        ("gmp/netpoll.rs", "numbers that report"),
        ("rt/", "the one runtime of the process: no model has it"),
        ("capi/address.rs", "words of the host's"),
        ("capi/stats.rs", "numbers that report"),
        ("capi/world.rs", "the word that C code polls"),
        ("fiber/", "signals and caches"),
        ("block/cancel.rs", "numbers of errors"),
    ];
    let sources = sources();
    let below = |s: &Source| ["sys/", "sync/"].iter().any(|low| s.name.starts_with(low));
    let listed = |s: &Source| PLAIN.iter().any(|(name, _)| s.name.starts_with(name));
    let mut used = Vec::new();
    let mut found = Vec::new();
    for word in ["std::sync", "core::sync", "libc::"] {
        for (s, place) in places(&sources, word).filter(|(s, _)| !below(s)) {
            let number = ["libc::E", "libc::$name", "libc::SIG", "libc::strnlen"].iter().any(|harmless| {
                let line = place.rsplit(':').next().unwrap().parse::<usize>().unwrap();
                s.code.lines().nth(line.saturating_sub(1)).is_some_and(|text| text.contains(harmless))
            });
            if listed(s) {
                used.push(s.name.clone());
            } else if !number {
                found.push(format!("{place}: {word}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    for (name, why) in PLAIN {
        assert!(used.iter().any(|s| s.starts_with(name)), "{name} ({why}) uses none: take it off the list");
    }
}

/// A `Sched` is an argument, so that a model may have several. A static below `rt` belongs to signals, to caches of
/// facts about the system, or to the checks of debug builds.
#[test]
fn statics_are_where_the_list_says() {
    const LIST: [(&str, &[&str]); 20] = [
        ("capi/world.rs", &["NEVER"]),
        ("ds/leak.rs", &["LEAKED"]), // models only
        ("fiber/host.rs", &["NOWHERE", "WEAK", "FOUND", "LOOKED", "VECTOR_AT", "IN_PLACE"]),
        ("fiber/overflow.rs", &["DESCRIBE", "EMIT", "TOLD"]),
        ("fiber/sanitize.rs", &["SANITIZER"]),
        ("fiber/signals.rs", &["HOSTS", "PASSED_ON"]),
        ("sync/rank.rs", &["HELD", "COUNT", "CHANS", "STEPS", "RECORD", "LONGEST", "MAY", "WANTED"]), // debug builds only
        ("sync/widen.rs", &["TURN"]),
        ("sys/arch/mod.rs", &["M"]),
        ("sys/arch/x86_64/keep.rs", &["KEPT"]),
        ("sys/checker.rs", &["CHECKERS"]),
        ("sys/cpu_timer.rs", &["SIGNAL", "HERE"]),
        ("sys/heap.rs", &["HEAP", "CHOICE"]),
        ("sys/held.rs", &["HELD", "EXCEPTED"]),
        ("sys/linux.rs", &["HEAVY", "LOST", "TOLD", "SIZE"]),
        ("sys/linux_io.rs", &["NO_QUIET"]),
        ("sys/linux_proc.rs", &["environ"]), // the C library's
        ("sys/linux_thread.rs", &["USED", "STATIC_TLS"]),
        ("sys/stderr.rs", &["DROPPED", "DEVICE", "INODE"]),
        ("sys/without.rs", &["NO_FILES", "NO_MAPPINGS", "SEALED"]),
    ];
    let sources = sources();
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for s in &sources {
        if s.name.starts_with("rt/") {
            continue;
        }
        let names = s.code.lines().map(str::trim).filter_map(|line| {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let rest = line.strip_prefix("static ")?;
            Some(rest.trim_start_matches("mut ").split(':').next()?.to_string())
        });
        let names: Vec<String> = names.collect();
        if !names.is_empty() {
            found.push((s.name.clone(), names));
        }
    }
    let list: Vec<(String, Vec<String>)> =
        LIST.iter().map(|(file, names)| (file.to_string(), names.iter().map(|n| n.to_string()).collect())).collect();
    assert_eq!(found, list);
}

/// Code that depends on the system is in `sys`: a port writes `sys`, and touches no other module.
#[test]
fn systems_are_told_apart_in_the_lowest_layers_only() {
    let sources = sources();
    let mut found = Vec::new();
    for word in ["target_os", "target_arch", "target_env", "target_pointer_width", "cfg(unix", "cfg(windows"] {
        let low = |s: &Source| ["sys/", "sync/", "fiber/"].iter().any(|low| s.name.starts_with(low));
        found.extend(places(&sources, word).filter(|(s, _)| !low(s)).map(|(_, place)| format!("{place}: {word}")));
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Each rule on a planted fault.
#[test]
fn the_rules_find_what_breaks_them() {
    let planted = |name: &str, code: &str| Source { name: name.into(), code: code.into() };
    let list = ["wake".to_string(), "park".to_string()];
    let found = |name: &str, code: &str| {
        let s = planted(name, code);
        uses(&s).iter().filter_map(|(_, to, file)| wrong(name, to, file, &list)).count()
    };
    assert_eq!(found("gmp/p.rs", "use crate::sync::{Lock, rank};"), 0);
    assert_eq!(found("gmp/p.rs", "use crate::protocol::wake;"), 1);
    assert_eq!(found("gmp/p.rs", "fn f() { crate::rt::sched() }"), 1);
    assert_eq!(found("ds/mask.rs", "use crate::fiber::Fiber;"), 1);
    assert_eq!(found("protocol/wake.rs", "use super::park::{free, recycle};"), 2);
    assert_eq!(found("block/chan.rs", "use crate::{gmp::{G, P}, sched::{run, world}, rt};"), 3);
    assert_eq!(found("protocol/wake.rs", "use crate::protocol::park;"), 1);
    assert_eq!(found("protocol/wake.rs", "use crate::protocol::{park::{self as other, free}, wake};"), 2);
    assert_eq!(found("protocol/park.rs", "use crate::protocol::wake::{self, *};"), 0);
    assert_eq!(found("protocol/park.rs", "use crate::protocol::netpoll;"), 1, "not in the list");

    let circles = |module: &str, files: &[(&str, &str)]| {
        let mut all = sources();
        all.extend(files.iter().map(|(name, code)| planted(name, code)));
        circle(&all, module).0
    };
    assert_eq!(circles("block", &[("block/cancel.rs", "use super::segments;")]).len(), 0);
    let found = circles("block", &[("block/cancel.rs", "use super::waitq::Kind;")]);
    assert!(found.contains(&"block/cancel.rs:1: uses waitq".into()), "{found:?}");
    assert!(!found.iter().any(|place| place.starts_with("block/select.rs")), "{found:?}");
    assert_ne!(circles("block", &[("block/chan/ring.rs", "use super::super::{claim, timer};")]).len(), 0);
    assert_ne!(circles("block", &[("block/chan/ring.rs", "use crate::block::timer;")]).len(), 0);
    assert_eq!(circles("block/chan", &[("block/chan/ring.rs", "use super::record::Case;")]).len(), 0);
    assert_ne!(circles("block/chan", &[("block/chan/words.rs", "use super::record::Case;")]).len(), 0);
    assert_ne!(circles("block/chan", &[("block/chan/ring.rs", "use super::wait_for_nothing;")]).len(), 0);
}
