//! The public header. The tests generate it and compare include/gomax.h with it, compile it in every promised dialect,
//! and check the exports, the documentation blocks and the layout of the structs against it. The declarations of two
//! bindings are written from the header, and compared as it is.
//!
//! `GMX_BLESS=1 cargo test --test header` (or `make header`) writes these files instead of comparing.
#![cfg(not(any(loom, shuttle)))]

mod common;
mod declarations;

use common::{compiler, have, scratch, shared_library, source};
use declarations::{Header, Item, What};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::mem::{offset_of, size_of};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

use gomax::capi::*;

/// Sections of the header in reading order, one file of src/capi each; the status list comes before them. A file that
/// is not named here comes last.
const SECTIONS: &[&str] = &[
    "status",
    "runtime",
    "g",
    "cleanup",
    "coro",
    "p",
    "syscall",
    "class",
    "world",
    "foreign",
    "wait",
    "sync",
    "sema",
    "address",
    "mutex",
    "rmutex",
    "rwmutex",
    "cond",
    "waitgroup",
    "barrier",
    "once",
    "cancel",
    "scope",
    "parallel",
    "chan",
    "select",
    "token",
    "time",
    "timer",
    "poll",
    "io",
    "message",
    "net",
    "listen",
    "names",
    "process",
    "signal",
    "post",
    "file",
    "stats",
    "metrics",
    "trace",
];

/// Every public struct with its fields; `layout` fails when one is missing here.
macro_rules! layouts {
    ($($name:ident { $($field:ident),* $(,)? })*) => {
        vec![$(Layout {
            name: stringify!($name),
            size: size_of::<$name>(),
            align: align_of::<$name>(),
            fields: vec![$((stringify!($field).trim_start_matches("r#"), offset_of!($name, $field))),*],
        }),*]
    };
}

struct Layout {
    name: &'static str,
    size: usize,
    align: usize,
    fields: Vec<(&'static str, usize)>,
}

#[rustfmt::skip]
fn layouts() -> Vec<Layout> {
    layouts! {
        gmx_config {
            struct_size, maxprocs, flags, stack_size, g0_stack_size, slice_ns, max_threads, report, report_arg,
            max_goroutines, on_preempt, on_thread_start, on_thread_end, on_arg, preempt_signal,
            reserved,
        }
        gmx_spawn_opts { struct_size, flags, reserved, stack_size, name }
        gmx_g_info {
            struct_size, g, goid, name, status, wait_reason, since_ns, stack_lo, stack_hi, sp, r#fn, arg, thread,
            reserved, regs_lo, regs_hi,
        }
        gmx_stop_opts { struct_size, flags, reserved, reason, timeout }
        gmx_cleanup { r#fn, arg, below }
        gmx_trace_opts { struct_size, ring_bytes, flags, reserved }
        gmx_debug_opts { struct_size, flags, reserved, url, url_size }
        gmx_mutex { state, reserved }
        gmx_rmutex { mutex, again }
        gmx_rwmutex { writers, state, reserved }
        gmx_cond { mutex, home }
        gmx_once { state, reserved, owner }
        gmx_waitgroup { state, sema, reserved }
        gmx_barrier { n, arrived, reserved }
        gmx_listen_opts { struct_size, flags, backlog, timeout }
        gmx_dial_opts { struct_size, delay }
        gmx_io_op { op, status, p, buf, n, offset, done }
        gmx_scope_end { struct_size, by, status, g }
        gmx_select_case { chan, elem, op, reserved0, reserved }
        gmx_siginfo { signo, code, pid, count }
        gmx_process_stdio { kind, fd, pipe }
        gmx_process_opts { struct_size, flags, reserved, path, argv, envp, cwd, stdio }
        gmx_mem_stats {
            struct_size, stacks_reserved_bytes, stacks_inuse_bytes, stacks_cached_bytes, stacks_inuse, stacks_cached,
            g_descriptors, g_live, m_total, p_total, descriptor_bytes, guard_kind, reserved, stacks_warm,
            stacks_released, stacks_unguarded,
        }
        gmx_metric_desc { name, help, unit, kind, reserved }
        gmx_metric { name, buckets, kind, reserved, value, sum }
        gmx_sched_stats {
            struct_size, uptime_ns, gomaxprocs, idleprocs, threads, idlethreads, spinning, extra_threads, g_live,
            g_running, g_runnable, g_waiting, g_syscall, spawned, ended, switches, steals, parks, wakes, handoffs,
            retakes, preempts, stops, stop_ns_total, stop_ns_max, barriers, runqueue, taken,
            seized, nudges, bailed, held, io_waiting, io_readied, polls, poll_breaks, fds_open,
        }
    }
}

const DOC_LINES: &[&str] =
    &["Blocks:", "Call from:", "Safepoint:", "Migrates:", "Cancellable:", "Owns:", "Returns:", "Since:"];

/// Lines that the head of the header says once for all functions: they are not printed again for each.
const DEFAULTS: [&str; 7] = [
    "Blocks: never.",
    "Call from: every context.",
    "Safepoint: no.",
    "Migrates: no.",
    "Cancellable: no.",
    "Owns: nothing.",
    "Since: 0.1",
];

/// The functions whose status may be ignored, and why. Each other function that returns a status is `#[must_use]`, by
/// the rule in HACKING.md.
const MAY_BE_IGNORED: &[(&str, &str)] = &[
    (
        "releases, frees, ends, wakes or undoes",
        "gmx_detach gmx_goexit gmx_ready gmx_unlock_os_thread gmx_key_delete gmx_cleanup_pop gmx_coro_free gmx_unpin
         gmx_p_key_delete gmx_exit_syscall gmx_class_free gmx_start_the_world gmx_detach_thread gmx_sema_release
         gmx_sema_release_handoff gmx_wake_address gmx_mutex_unlock gmx_rmutex_unlock gmx_rwmutex_unlock
         gmx_rwmutex_runlock gmx_cond_signal gmx_cond_broadcast gmx_waitgroup_done gmx_cancel_now gmx_cancel_now_because
         gmx_cancel_g gmx_cancel_unshield gmx_cancel_free gmx_scope_cancel gmx_chan_free gmx_chan_close gmx_chan_close_drop
         gmx_signal_stop gmx_debug_stop gmx_process_kill gmx_process_release gmx_cancel_hook_stop gmx_timer_stop gmx_timer_free gmx_close gmx_poll_shutdown gmx_release_memory",
    ),
    ("lets time pass", "gmx_yield gmx_sleep gmx_safepoint_slow"),
    (
        "fails by a wrong call only",
        "gmx_lock_os_thread gmx_cleanup_push gmx_p_set gmx_enter_syscall
         gmx_enter_syscall_blocking gmx_blocking gmx_for_each_g gmx_mutex_lock gmx_rwmutex_lock gmx_rwmutex_rlock
         gmx_waitgroup_add gmx_waitgroup_wait gmx_once_do gmx_cancel_use gmx_cancel_shield gmx_chan_ref
         gmx_chan_waiters",
    ),
    (
        "the program works without",
        "gmx_set_default_gomaxprocs gmx_write_heap_dump gmx_trace_start gmx_trace_snapshot gmx_trace_stop
         gmx_trace_task_begin gmx_trace_task_end gmx_trace_region_begin gmx_trace_region_end gmx_trace_log",
    ),
];

// ---- the generator ----

fn generate() -> String {
    let mut config = cbindgen::Config::from_file(source("cbindgen.toml")).expect("cbindgen.toml");
    let banner = config.header.take().unwrap_or_default();
    let guard = config.include_guard.take().expect("include_guard");
    let preamble = config.after_includes.take().unwrap_or_default();
    let trailer = config.trailer.take().unwrap_or_default();
    let includes = std::mem::take(&mut config.sys_includes);
    config.cpp_compat = false; // one extern "C" around everything

    let mut out = format!("{}\n\n#ifndef {guard}\n#define {guard}\n\n", banner.trim());
    for include in includes {
        writeln!(out, "#include <{include}>").unwrap();
    }
    writeln!(out, "\n{}\n", preamble.trim()).unwrap();
    out += "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    for file in sections() {
        let text = fs::read_to_string(&file).unwrap();
        let title = text.lines().next().and_then(|l| l.strip_prefix("//! ")).unwrap_or("").trim_end_matches('.');
        assert!(!title.is_empty(), "{}: the first line must be `//! Title.`", file.display());
        writeln!(out, "/* ---- {title} {} */\n", "-".repeat(107usize.saturating_sub(title.chars().count()))).unwrap();
        let intro: Vec<&str> = text.lines().map_while(|l| l.strip_prefix("//!")).skip(2).collect();
        assert!(!intro.is_empty(), "{}: say below the title what the section is for", file.display());
        writeln!(out, "/*\n *{}\n */\n", intro.join("\n *")).unwrap();
        // cbindgen leaves out a type that no function of its file uses; the next file may
        let mut config = config.clone();
        config.export.include.extend(public_types(&text));
        let bindings = cbindgen::Builder::new().with_config(config).with_src(&file).generate();
        let mut body = Vec::new();
        bindings.unwrap_or_else(|e| panic!("{}: {e}", file.display())).write(&mut body);
        let mut body = String::from_utf8(body).unwrap();
        if file.ends_with("status.rs") {
            let declared = "typedef int32_t gmx_status;\n";
            assert!(body.contains(declared));
            body = body.replace(declared, &format!("{declared}\n{}", statuses()));
        }
        if !body.trim().is_empty() {
            writeln!(out, "{}\n", body.trim()).unwrap();
        }
    }
    writeln!(out, "{}\n", trailer.trim()).unwrap();
    writeln!(out, "#ifdef __cplusplus\n}}  /* extern \"C\" */\n#endif\n\n#endif /* {guard} */").unwrap();

    // rustdoc's links mean nothing to a C reader; [[nodiscard]] has to come first
    let out = out.replace("[`", "`").replace("`]", "`");
    let out = out.replace("\nGMX_API\n", "\nGMX_API ").replace("\nGMX_API GMX_MUST_USE\n", "\nGMX_API GMX_MUST_USE ");
    let out = out.replace("\nGMX_API GMX_MUST_USE ", "\nGMX_MUST_USE GMX_API ");
    let out = with_indented_examples(&without_safety_sections(&out));
    let out = out
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@VERSION_MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@VERSION_MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@VERSION_PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
        .replace("@ONCE_DONE@", &ONCE_DONE.to_string())
        .replace("GMX_UNBOUNDED UINT64_MAX", "GMX_UNBOUNDED SIZE_MAX");
    out.lines().map(|line| line.trim_end().to_string() + "\n").collect()
}

/// An example is fenced for rustdoc, and indented for a C reader.
fn with_indented_examples(header: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in header.lines() {
        match line.trim() {
            "* ```c" | "* ```" => inside = !inside,
            _ if inside => writeln!(out, "{}", line.replacen("* ", "*     ", 1)).unwrap(),
            _ => writeln!(out, "{line}").unwrap(),
        }
    }
    out
}

/// Takes out the section that rustdoc wants of an unsafe function: to a C reader every function is unsafe.
fn without_safety_sections(header: &str) -> String {
    let mut out = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once(" *\n * # Safety\n") {
        out += before;
        rest = &after[after.find(" */").expect("an end of the comment")..];
    }
    out + rest
}

fn sections() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(source("src/capi"))
        .expect("src/capi")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs") && !path.ends_with("mod.rs"))
        .collect();
    let rank = |path: &PathBuf| {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        SECTIONS.iter().position(|&s| s == stem).unwrap_or(SECTIONS.len())
    };
    files.sort_by(|a, b| rank(a).cmp(&rank(b)).then(a.cmp(b)));
    files
}

fn public_types(text: &str) -> impl Iterator<Item = String> + '_ {
    let kinds = ["pub type ", "pub struct ", "pub enum ", "pub union "];
    text.lines().filter_map(move |line| {
        let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
        let name = rest.split(|c: char| !is_word(c)).next()?;
        name.starts_with("gmx_").then(|| name.to_string())
    })
}

/// For compilers the statuses are macros: macros work in `#if`, and C++ does not warn when `?:` mixes them with a
/// gmx_status. Other readers get an enum, which has a type: Rust's bindgen makes a u32 of a macro that is 0, and a
/// preprocessed text has no macros at all.
fn statuses() -> String {
    let name_width = STATUS_LIST.iter().map(|row| row.name.len()).max().unwrap();
    let mut out = String::from("#if defined(GMX_NO_INLINE)\nenum {\n");
    for row in STATUS_LIST {
        writeln!(out, "  {} = {},", row.name, row.value).unwrap();
    }
    out += "};\n#else\n";
    for row in STATUS_LIST {
        let value = if row.value < 0 { format!("({})", row.value) } else { row.value.to_string() };
        writeln!(out, "#define {:name_width$} {value:<7} /**< {} */", row.name, row.text).unwrap();
    }
    out + "#endif\n"
}

/// The header with every line of every function.
fn full_header() -> &'static str {
    static HEADER: OnceLock<String> = OnceLock::new();
    HEADER.get_or_init(generate)
}

/// The header as it is published.
fn header() -> &'static str {
    static HEADER: OnceLock<String> = OnceLock::new();
    HEADER.get_or_init(|| {
        let is_default = |line: &str| line.strip_prefix(" * ").is_some_and(|line| DEFAULTS.contains(&line));
        let kept: String = full_header().lines().filter(|line| !is_default(line)).map(|l| format!("{l}\n")).collect();
        // Where nothing is left of a block there is no blank line before it.
        kept.replace(" *\n */", " */")
    })
}

// ---- reading the header back, as text: the checks see what a user sees ----

/// Text without comments, blank where they stood.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        out += &rest[..start];
        let end = rest[start..].find("*/").expect("comment without an end") + start + 2;
        out.extend(rest[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[end..];
    }
    out + rest
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The declarations of [`header`].
fn declared() -> &'static Header {
    static DECLARED: OnceLock<Header> = OnceLock::new();
    DECLARED.get_or_init(|| Header::parse(header()))
}

fn function_names() -> impl Iterator<Item = &'static str> {
    declared().functions().map(|function| function.name.as_str())
}

/// The types of the constants: the header shows macros.
fn constant_types() -> BTreeMap<String, String> {
    let texts = sections().into_iter().map(|file| fs::read_to_string(file).unwrap());
    let constants = texts.flat_map(|text| {
        let constants = text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(" = "));
        constants
            .filter_map(|(declared, _)| declared.split_once(": "))
            .map(|(n, t)| (n.to_string(), t.to_string()))
            .collect::<Vec<_>>()
    });
    constants.collect()
}

/// Every file that is written from the source, with what it should hold.
fn written() -> [(&'static str, String); 3] {
    let layouts: Vec<_> =
        layouts().into_iter().map(|l| (l.name, l.size, l.fields.into_iter().map(|(_, at)| at).collect())).collect();
    [
        ("include/gomax.h", header().to_string()),
        ("bindings/zig/src/c.zig", declarations::zig::write(declared(), &layouts)),
        ("bindings/nim/src/gomax/abi.nim", declarations::nim::write(declared(), &constant_types())),
    ]
}

// ---- the tests ----

#[test]
fn header_is_up_to_date() {
    let bless = env::var_os("GMX_BLESS").is_some_and(|v| v != "0");
    let mut stale = String::new();
    for (name, text) in written() {
        let path = source(name);
        if bless {
            fs::write(&path, text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            let fresh = scratch("header").join(path.file_name().unwrap());
            fs::write(&fresh, text).unwrap();
            let diff = Command::new("diff").arg("-u").arg(&path).arg(&fresh).output();
            let diff = diff.map(|d| String::from_utf8_lossy(&d.stdout).into_owned()).unwrap_or_default();
            writeln!(stale, "{name} is not what src/capi says; `make header` writes it\n{diff}").unwrap();
        }
    }
    assert!(stale.is_empty(), "\n{stale}");
}

/// What the generators make of each kind of declaration, by a header that has them all.
#[test]
fn declarations_in_other_languages() {
    let c = "#define GMX_VERSION_MAJOR 0\n/* ---- Things --- */\n#define GMX_LOW (-1) /**< low */\n#define GMX_MOST SIZE_MAX\n\
             typedef uint64_t gmx_thing;\ntypedef struct gmx_chan gmx_chan;\ntypedef struct gmx_two {\n  \
             size_t struct_size;\n  /**\n   * Never NULL.\n   */\n  const char *fn;\n  uint64_t end[3];\n  \
             void (*report)(void *arg, const char *text, size_t len);\n} gmx_two;\n\
             GMX_MUST_USE GMX_API gmx_status gmx_a(const struct gmx_two *two,\n    void (*fn)(void*), gmx_thing *out);\n\
             /**\n * Says it.\n *\n * Returns: never NULL.\n */\nGMX_API const char *gmx_b(void);\n\
             GMX_API void *gmx_c(gmx_chan **chan, bool (*f)(void*, const struct gmx_two*));\n\
             extern __inline void gmx_b(void) {\n  if (1) { return; }\n}\nextern GMX_API volatile uint32_t gmx_word;\n";
    let header = Header::parse(c);
    let zig = declarations::zig::write(&header, &[("gmx_two", 48, vec![0, 8, 16, 40])]);
    let nim = declarations::nim::write(&header, &BTreeMap::from([("GMX_LOW".to_string(), "i32".to_string())]));
    for line in [
        "// ---- Things",
        "pub const GMX_LOW = -1;",
        "pub const GMX_MOST = std.math.maxInt(usize);",
        "pub const Thing = u64;",
        "pub const Chan = opaque {};",
        "pub const gmx_two = extern struct {",
        "    struct_size: usize = @sizeOf(gmx_two),",
        "    @\"fn\": [*:0]const u8,",
        "    end: [3]u64 = @splat(0),",
        "    report: ?*const fn (?*anyopaque, [*]const u8, usize) callconv(.c) void = null,",
        "pub extern fn gmx_a(two: ?*const gmx_two, @\"fn\": ?Fn, out: ?*Thing) Status;",
        "pub extern fn gmx_b() [*:0]const u8;",
        "pub extern fn gmx_c(chan: ?*?*Chan, f: ?*const fn (?*anyopaque, *const gmx_two) callconv(.c) bool) ?*anyopaque;",
        "pub extern var gmx_word: u32;",
        "    laidOut(gmx_two, 48, &.{ 0, 8, 16, 40 });",
    ] {
        assert!(zig.lines().any(|l| l == line), "not in c.zig: {line}\n{zig}");
    }
    for line in [
        "# ---- Things",
        "  LOW* = -1'i32",
        "  MOST* = high(csize_t)",
        "  ChanObj* {.importc: \"gmx_chan\", header: \"<gomax.h>\", incompleteStruct.} = object",
        "  RawChan* = ptr ChanObj",
        "  Two* {.importc: \"gmx_two\", header: \"<gomax.h>\".} = object",
        "    struct_size*: csize_t",
        "    fn*: cstring",
        "    `end`*: array[3, uint64]",
        "_Static_assert(GMX_LOW == -1, \"gomax.h is not the one of this module\");",
        "proc gmx_a*(two: ptr Two, fn: Fn, `out`: ptr Handle): Status",
        "proc gmx_b*(): cstring",
        "proc gmx_c*(chan: ptr RawChan, f: proc (p0: pointer, p1: ptr Two): bool {.cdecl.}): pointer",
    ] {
        assert!(nim.lines().any(|l| l == line), "not in abi.nim: {line}\n{nim}");
    }
    assert!(!zig.contains("VERSION") && !nim.contains("VERSION"), "what stands before the first section");
}

#[test]
fn names_are_ours() {
    for line in without_comments(header()).lines() {
        if let Some(macro_) = line.strip_prefix("#define ") {
            let name = macro_.split(|c: char| !is_word(c)).next().unwrap();
            assert!(name.starts_with("GMX_") || name == "GOMAX_H", "{name} would land in every user's program");
        }
    }
    for Item { name, what, .. } in &declared().items {
        if matches!(what, What::Constant(_)) {
            continue;
        }
        assert!(name.starts_with("gmx_"), "{name} would land in every user's program");
    }
    assert!(!header().contains('@'), "a placeholder was left in the header");
}

#[test]
fn every_function_is_documented() {
    let mut wrong = String::new();
    let head = header().split_once("*/").unwrap().0;
    for line in DEFAULTS {
        if !head.contains(line.trim_end_matches('.')) {
            writeln!(wrong, "the head of the header does not say {line:?}").unwrap();
        }
    }
    for Item { name, doc, .. } in Header::parse(full_header()).functions() {
        let missing: Vec<_> = DOC_LINES.iter().filter(|want| !doc.lines().any(|l| l.starts_with(**want))).collect();
        if !missing.is_empty() {
            writeln!(wrong, "{name} has no line {missing:?}").unwrap();
        }
        if doc.lines().next().is_none_or(|first| first.is_empty() || DOC_LINES.iter().any(|l| first.starts_with(l))) {
            writeln!(wrong, "{name} does not say what it does").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Each function that returns a status is `#[must_use]`, or it stands in [`MAY_BE_IGNORED`]. ctests/contexts.c calls
/// each of them in every context, some through the helpers of the C tests.
#[test]
fn every_function_is_called_in_every_context() {
    let programs = ["contexts.c", "gs.h", "objects.h"].map(|f| fs::read_to_string(source("ctests").join(f)).unwrap());
    let called: HashSet<&str> = programs.iter().flat_map(|p| p.split(|c: char| !is_word(c))).collect();
    let missing: Vec<&str> = function_names().filter(|name| !called.contains(name)).collect();
    assert!(missing.is_empty(), "not in ctests/contexts.c: {missing:?}");
}

/// ctests/fuzz.c calls each function with right and with wrong arguments.
#[test]
fn every_function_is_fuzzed() {
    let subjects = fs::read_dir(source("ctests/fuzz")).unwrap().map(|f| f.unwrap().path());
    let subjects = subjects.filter(|f| f.extension().is_some_and(|ending| ending == "h"));
    let helpers = ["fuzz.c", "gs.h", "objects.h", "stats.h"].map(|f| source("ctests").join(f));
    let programs: Vec<String> = subjects.chain(helpers).map(|f| fs::read_to_string(f).unwrap()).collect();
    let called: HashSet<&str> = programs.iter().flat_map(|p| p.split(|c: char| !is_word(c))).collect();
    let missing: Vec<&str> = function_names().filter(|name| !called.contains(name)).collect();
    assert!(missing.is_empty(), "not in ctests/fuzz: {missing:?}");
}

#[test]
fn every_status_is_must_use_or_may_be_ignored() {
    let mut wrong = String::new();
    let ignored: Vec<&str> = MAY_BE_IGNORED.iter().flat_map(|(_, names)| names.split_whitespace()).collect();
    for Item { name, what, .. } in declared().functions() {
        let What::Function { must_use, returns, .. } = what else { unreachable!() };
        let listed = ignored.iter().filter(|i| *i == name).count();
        match (returns.is("gmx_status"), must_use, listed) {
            (false, false, 0) | (true, true, 0) | (true, false, 1) => {}
            (false, ..) => writeln!(wrong, "{name} returns no status: nothing is decided about it").unwrap(),
            (_, true, _) => writeln!(wrong, "{name} is #[must_use], and listed as what may be ignored").unwrap(),
            (_, _, 0) => writeln!(wrong, "{name} is neither #[must_use] nor listed as what may be ignored").unwrap(),
            _ => writeln!(wrong, "{name} is listed twice").unwrap(),
        }
    }
    for name in ignored.iter().filter(|ignored| !function_names().any(|name| name == **ignored)) {
        writeln!(wrong, "{name} is listed as what may be ignored, and is no function").unwrap();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// With the mark a compiler warns of an ignored status if it can. It does not warn of a status that is used, or that
/// may be ignored.
#[test]
fn an_ignored_status_warns() {
    let dir = scratch("must_use");
    fs::write(dir.join("gomax.h"), header()).unwrap();
    let good = "#include <gomax.h>\nint good(gmx_mutex *m);\nint good(gmx_mutex *m) {\n  gmx_mutex_lock(m);\n  \
                gmx_mutex_unlock(m);\n  gmx_yield();\n  return gmx_mutex_try_lock(m) == GMX_OK;\n}\n";
    let bad = good.replace("return gmx_mutex_try_lock(m) == GMX_OK", "gmx_mutex_try_lock(m);\n  return 0");
    for (ending, compilers, dialects) in [
        ("c", ["gcc", "clang"], &["c99", "c11", "c17", "c2x"][..]),
        ("cpp", ["g++", "clang++"], &["c++11", "c++14", "c++17", "c++20", "c++2b"][..]),
    ] {
        for cc in compilers.into_iter().filter(|cc| have(cc)) {
            for (text, warns) in [(good, false), (&bad, true)] {
                let file = dir.join(format!("{cc}-{warns}.{ending}"));
                fs::write(&file, text).unwrap();
                for dialect in dialects {
                    let mut run = Command::new(cc);
                    // (GCC's C compiler warns of results only when it generates code)
                    run.arg(format!("-std={dialect}")).args(["-S", "-o", "/dev/null", "-I"]).arg(&dir).arg(&file);
                    let said = String::from_utf8(run.stdin(Stdio::null()).output().unwrap().stderr).unwrap();
                    let warned = said.contains("gmx_mutex_try_lock") && said.contains("-Wunused-result");
                    assert_eq!(warned, warns, "{cc} -std={dialect} {}:\n{said}", file.display());
                    assert!(warns || said.is_empty(), "{cc} -std={dialect} {}:\n{said}", file.display());
                }
            }
        }
    }
}

#[test]
fn compiles_in_every_dialect() {
    let dir = scratch("header");
    let copy = dir.join("lone");
    fs::create_dir_all(&copy).unwrap();
    fs::write(copy.join("gomax.h"), header()).unwrap();
    // the header alone, twice (the guard), and the inline part once in use; the last line keeps C++ from seeing nothing
    // gomax_errno.h comes with it, and has to last when another file includes errno.h again
    fs::copy(source("include/gomax_errno.h"), copy.join("gomax_errno.h")).unwrap();
    let text = "#include <gomax.h>\n#include <gomax.h>\n#include <gomax_errno.h>\n#include <errno.h>\n\
                int poll_once(void);\nint poll_once(void) { gmx_safepoint(); return errno; }\n\
                static gmx_once once;\ngmx_status (*address(void))(gmx_once *, void (*)(void *), void *);\n\
                gmx_status (*address(void))(gmx_once *, void (*)(void *), void *) { return gmx_once_do; }\n\
                gmx_status do_it(void (*fn)(void *));\n\
                gmx_status do_it(void (*fn)(void *)) { return gmx_once_do(&once, fn, &once); }\n\
                void (*poll_by(void))(void);\nvoid (*poll_by(void))(void) { return gmx_safepoint; }\n\
                #if !defined(GMX_NO_INLINE) && (GMX_OK != 0 || GMX_EINVAL >= 0 || GMX_ENOTG > -1000)\n#error statuses do not work in #if\n#endif\n\
                static const gmx_status some[] = {GMX_OK, GMX_EINVAL};\nint kind(gmx_status s);\n\
                int kind(gmx_status s) {\n  switch (s) {\n    case GMX_OK: return 0;\n    case GMX_ESTALE: return 1;\n\
                default: return s < 0 ? GMX_EAGAIN : some[0];\n  }\n}\n";
    fs::write(copy.join("lone.c"), text).unwrap();
    fs::write(copy.join("lone.cpp"), text).unwrap();

    let warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wundef", "-Werror", "-O1"];
    let mut tried = 0;
    for (file, compilers, more, dialects) in [
        (
            "lone.c",
            ["cc", "gcc", "clang"],
            &["-Wstrict-prototypes", "-Wc++-compat"][..],
            &["c99", "c11", "c17", "c2x", "gnu99", "gnu17"][..],
        ),
        (
            "lone.cpp",
            ["c++", "g++", "clang++"],
            &["-Wold-style-cast"][..],
            &["c++11", "c++14", "c++17", "c++20", "c++2b", "gnu++17"][..],
        ),
    ] {
        for cc in compilers.into_iter().filter(|cc| have(cc)) {
            // (the first and the last without bodies too)
            let without = [dialects[0], dialects[dialects.len() - 2]].map(|d| (d, "-DGMX_NO_INLINE"));
            for (dialect, body) in dialects.iter().map(|&d| (d, "-DGMX_WITH_BODIES")).chain(without) {
                let mut run = Command::new(cc);
                run.arg(body).arg(format!("-std={dialect}")).args(warnings).args(more).arg("-I").arg(&copy);
                run.args(["-c", "-o"]).arg(copy.join(format!("{cc}-{dialect}.o"))).arg(copy.join(file));
                let result = run.stdin(Stdio::null()).output().unwrap();
                assert!(
                    result.status.success() && result.stderr.is_empty(),
                    "{cc} -std={dialect} {body}:\n{}",
                    String::from_utf8_lossy(&result.stderr)
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 0, "there is neither a C nor a C++ compiler");
}

/// Readers of the header that are not compilers (pycparser, translators to other languages) see declarations only: no
/// body, no attribute, no builtin.
#[test]
fn without_bodies_it_is_declarations() {
    let dir = scratch("plain");
    let text: String =
        header().lines().filter(|line| !line.starts_with("#include")).map(|l| format!("{l}\n")).collect();
    fs::write(dir.join("plain.h"), text).unwrap();
    let mut run = compiler(false).unwrap();
    run.args(["-E", "-P", "-x", "c", "-DGMX_NO_INLINE"]);
    run.args(["GMX_API", "GMX_MUST_USE", "GMX_NORETURN", "GMX_DEPRECATED"].map(|name| format!("-D{name}=")));
    let result = run.arg(dir.join("plain.h")).output().unwrap();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    let plain = String::from_utf8(result.stdout).unwrap();
    assert!(plain.contains("GMX_EINVAL = -22,"), "{plain}");
    assert!(plain.contains("void gmx_safepoint(void);") && plain.contains("gmx_status gmx_once_do("), "{plain}");
    for not in ["__", "inline", "static", "return", "[["] {
        assert!(!plain.contains(not), "{not} in {plain}");
    }
    let joined = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!joined.contains(") {"), "a body in {plain}");
}

#[test]
fn exports_are_the_header() {
    let lib = shared_library();
    let nm = Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(lib).output().expect("nm");
    assert!(nm.status.success(), "{}", String::from_utf8_lossy(&nm.stderr));
    let exported: Vec<String> =
        String::from_utf8(nm.stdout).unwrap().lines().map(|l| l.split(' ').next().unwrap().to_string()).collect();

    let mut wrong = String::new();
    let variables = declared().items.iter().filter(|item| matches!(item.what, What::Variable(_)));
    let names: Vec<&str> = function_names().chain(variables.map(|item| item.name.as_str())).collect();
    for name in exported.iter().filter(|name| !names.contains(&name.as_str())) {
        writeln!(wrong, "{name} is exported and not in the header").unwrap();
    }
    for name in names.iter().filter(|name| !exported.iter().any(|exported| exported == *name)) {
        writeln!(wrong, "{name} is in the header and not exported").unwrap();
    }
    assert!(names.contains(&"gmx_poll_word"));
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn soname_and_nodelete() {
    let readelf =
        Command::new("readelf").env("LC_ALL", "C").arg("-dW").arg(shared_library()).output().expect("readelf");
    let text = String::from_utf8_lossy(&readelf.stdout);
    assert!(text.contains("Library soname: [libgomax.so.0]"), "{text}");
    assert!(text.contains("NODELETE"), "{text}");
    assert!(!text.contains("TEXTREL"), "{text}");
}

/// The same struct to Rust and to C, field by field.
#[test]
fn layout() {
    let layouts = layouts();
    let in_rust: BTreeMap<String, Vec<String>> =
        layouts.iter().map(|l| (l.name.to_string(), l.fields.iter().map(|f| f.0.to_string()).collect())).collect();
    let in_c = declared().structs();
    let in_c = in_c.map(|(item, fields)| (item.name.clone(), fields.iter().map(|field| field.name.clone()).collect()));
    assert_eq!(
        in_c.collect::<BTreeMap<_, Vec<String>>>(),
        in_rust,
        "the header's structs and the list at the top of tests/header.rs differ"
    );

    let dir = scratch("layout");
    fs::write(dir.join("gomax.h"), header()).unwrap();
    let mut text = String::from("#include <gomax.h>\n");
    for Layout { name, size, align, fields } in &layouts {
        writeln!(text, "_Static_assert(sizeof({name}) == {size}, \"size of {name}\");").unwrap();
        writeln!(text, "_Static_assert(_Alignof({name}) == {align}, \"alignment of {name}\");").unwrap();
        for (field, at) in fields {
            writeln!(text, "_Static_assert(offsetof({name}, {field}) == {at}, \"{name}.{field}\");").unwrap();
        }
    }
    for row in STATUS_LIST {
        writeln!(text, "_Static_assert({} == {}, \"{}\");", row.name, row.value, row.name).unwrap();
    }
    let file = dir.join("layout.c");
    fs::write(&file, text).unwrap();
    let mut run = compiler(false).unwrap();
    run.args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only", "-I"]).arg(&dir).arg(&file);
    let result = run.output().unwrap();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
}
