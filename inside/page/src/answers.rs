//! What is answered: at once by the thread of the server, or later by one of the jobs.

use std::ffi::{c_char, c_void};

use crate::http::{Answer, Request, Rules, TEXT};
use crate::jobs::{Format, Job};
use crate::names::Names;
use crate::show;
use crate::state::State;
use crate::table::{self, Library, Write};

pub enum Reply {
    Now(Answer),
    Later(Job),
}

/// Goroutines of each kind in a list, unless the request says how many.
const GS: u64 = 100;
/// The longest trace, in seconds.
const LONGEST: u64 = 300;

const DOWN: &str = "the runtime is not up";

pub fn answer(request: &Request, rules: &Rules, library: &Library, names: &mut Names) -> Reply {
    route(request, rules, library, names).unwrap_or_else(Reply::Now)
}

/// An error is an answer, too.
fn route(request: &Request, rules: &Rules, library: &Library, names: &mut Names) -> Result<Reply, Answer> {
    let mut look = || -> Result<Option<State>, Answer> {
        let most = request.number("gs", 0, 100_000, GS)?;
        let state = State::of(library, most as usize);
        if let Some(state) = &state {
            names.learn(state.functions());
        }
        Ok(state)
    };
    let down = || Answer::failed(503, DOWN);
    let now = |kind, text: String| Ok(Reply::Now(Answer::new(kind, text)));
    match request.path.as_str() {
        "/" => {
            let state = look()?;
            let nonce = crate::server::random().map_err(|_| Answer::failed(503, "no random bits"))?;
            let shown = state.as_ref().map(|state| (state, &*names));
            let mut answer = Answer::new("text/html; charset=utf-8", show::page(shown, rules.token.as_deref(), &nonce));
            answer.head = format!(
                "Content-Security-Policy: default-src 'self'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
                 img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
            );
            Ok(Reply::Now(answer))
        }
        "/debug/state.json" => now("application/json", show::json(&look()?.ok_or_else(down)?, names)),
        "/debug/state.txt" => now(TEXT, show::text(&look()?.ok_or_else(down)?, names)),
        "/metrics" => now(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text_of(|write, arg| (library.metrics)(write, arg)).map_err(|_| down())?,
        ),
        "/debug/pprof/goroutine" => match request.value("debug") {
            Some("1") => Ok(Reply::Later(Job::Stacks(table::GROUPS))),
            Some("2") => Ok(Reply::Later(Job::Stacks(0))),
            _ if request.value("format") == Some("json") => Ok(Reply::Later(Job::Stacks(table::JSON))),
            _ => Err(Answer::failed(501, "as text, ?debug=1 or ?debug=2, or as ?format=json")),
        },
        "/debug/pprof/trace" => Ok(Reply::Later(Job::Trace {
            seconds: request.number("seconds", 1, LONGEST, 1)?,
            ring_bytes: request.number("kb", 4, 1 << 20, 0)? as usize * 1024,
            format: format(request, Format::Go)?,
        })),
        "/debug/flight" => Ok(Reply::Later(Job::Flight { format: format(request, Format::Gomax)? })),
        _ => Err(Answer::failed(404, "there is no such page")),
    }
}

fn format(request: &Request, otherwise: Format) -> Result<Format, Answer> {
    let Some(name) = request.value("format") else { return Ok(otherwise) };
    Format::of(name).ok_or_else(|| Answer::failed(400, "the formats are go, go1.26, perfetto, json and gomax"))
}

extern "C" fn add(to: *mut c_void, text: *const c_char, n: usize) -> i32 {
    // SAFETY: `text_of` passes a list.
    let to = unsafe { &mut *to.cast::<Vec<u8>>() };
    // SAFETY: libgomax passes a text of this length.
    let text = unsafe { std::slice::from_raw_parts(text.cast(), n) };
    to.extend_from_slice(text);
    0
}

/// The text that a function of libgomax writes; an error is its status.
pub fn text_of(f: impl FnOnce(Write, *mut c_void) -> i32) -> Result<String, i32> {
    let mut text: Vec<u8> = Vec::new();
    match f(add, (&raw mut text).cast()) {
        0 => Ok(String::from_utf8_lossy(&text).into_owned()),
        status => Err(status),
    }
}
