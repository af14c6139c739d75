//! What is found becomes text: as Go writes it, or JSON.

use super::{About, Frame, PLACES, place_for};
use crate::ds::escape::Json;
use crate::rt::report::{self, Place, Text, Words};
use crate::sync::now;
use crate::sys::array::Array;
use crate::sys::elf;
use std::fmt::{self, Write};

/// Longer names of functions and files are cut off.
const LONGEST: usize = 4096;

pub struct Writer {
    out: Text,
    places: Places,
    json: bool,
    now: i64,
    entries: u64,
}

impl Writer {
    /// None if there is no memory.
    pub fn new(json: bool) -> Option<Writer> {
        Some(Writer { out: Text::new(), places: Places::new(json)?, json, now: now(), entries: 0 })
    }

    /// One goroutine, or a group of `count`. None if there is no memory.
    pub fn entry(&mut self, about: &About, count: Option<u64>, frames: &[Frame]) -> Option<()> {
        let done = if self.json { self.object(about, count, frames) } else { self.paragraph(about, count, frames) };
        self.entries += 1;
        done.ok()
    }

    pub fn end(mut self) -> Option<Text> {
        if self.json {
            self.out.write_str(if self.entries == 0 { "[]\n" } else { "\n]\n" }).ok()?;
        }
        Some(self.out)
    }

    fn waited(&self, about: &About) -> i64 {
        (self.now - about.since).max(0)
    }

    fn paragraph(&mut self, about: &About, count: Option<u64>, frames: &[Frame]) -> fmt::Result {
        let waits = about.status.waits();
        if let Some(count) = count {
            write!(self.out, "{count} goroutine{}", if count == 1 { "" } else { "s" })?;
        } else {
            self.goroutine(about)?;
        }
        self.out.write_str(" [")?;
        self.out.write_str(about.reason.unwrap_or(about.status.text()))?;
        let minutes = self.waited(about) / 60_000_000_000;
        if waits && minutes > 0 {
            write!(self.out, ", {minutes} minutes")?;
        }
        if let Some(thread) = about.thread.filter(|_| count.is_none()) {
            write!(self.out, ", thread {thread}")?;
        }
        self.out.write_str("]")?;
        if count.is_some() {
            self.out.write_str(if waits { ", the longest is " } else { ", one is " })?;
            self.goroutine(about)?;
        }
        self.out.write_str(":\n")?;
        for &frame in frames {
            self.places.write(&mut self.out, "", frame, "\n")?;
        }
        if let Some(function) = about.began {
            self.places.write(&mut self.out, "began in ", Frame::begin(function), "\n")?;
        }
        self.out.write_str("\n")
    }

    /// `goroutine 7 "name"`.
    fn goroutine(&mut self, about: &About) -> fmt::Result {
        write!(self.out, "goroutine {}", about.goid)?;
        match about.name.bytes() {
            b"" => Ok(()),
            name => write!(self.out, " \"{}\"", Words(name)),
        }
    }

    fn object(&mut self, about: &About, count: Option<u64>, frames: &[Frame]) -> fmt::Result {
        self.out.write_str(if self.entries == 0 { "[\n{" } else { ",\n{" })?;
        if let Some(count) = count {
            write!(self.out, "\"count\":{count},")?;
        }
        write!(self.out, "\"id\":{},\"name\":", about.goid)?;
        match about.name.bytes() {
            b"" => self.out.write_str("null")?,
            name => write!(self.out, "{}", Json(name))?,
        }
        write!(self.out, ",\"state\":\"{}\",\"reason\":", about.status.text())?;
        match about.reason {
            Some(reason) => write!(self.out, "{}", Json(reason.as_bytes()))?,
            None => self.out.write_str("null")?,
        }
        self.out.write_str(",\"waited_ms\":")?;
        match about.status.waits() {
            true => write!(self.out, "{}", self.waited(about) / 1_000_000)?,
            false => self.out.write_str("null")?,
        }
        self.out.write_str(",\"thread\":")?;
        match about.thread.filter(|_| count.is_none()) {
            Some(thread) => write!(self.out, "{thread}")?,
            None => self.out.write_str("null")?,
        }
        self.out.write_str(",\"frames\":[")?;
        let mut before = "";
        for &frame in frames {
            if self.places.write(&mut self.out, before, frame, "")? {
                before = ",";
            }
        }
        self.out.write_str("],\"began_in\":")?;
        match about.began {
            Some(function) => _ = self.places.write(&mut self.out, "", Frame::begin(function), "")?,
            None => self.out.write_str("null")?,
        }
        self.out.write_str("}")
    }
}

/// A place in the code whose text is in [`Places::text`].
#[derive(Clone, Copy, Default)]
struct Known {
    frame: Frame,
    from: usize,
    to: usize,
}

/// The texts of places in the code.
struct Places {
    known: Array<Known>,
    text: Text,
    json: bool,
    /// As the loader's tables have them.
    name: Array<u8>,
    file: Array<u8>,
}

impl Places {
    fn new(json: bool) -> Option<Places> {
        let known = Array::of(PLACES, |_| Known::default())?;
        let (mut name, mut file) = (Array::new(), Array::new());
        name.reserve_exact(LONGEST).ok()?;
        file.reserve_exact(LONGEST).ok()?;
        Some(Places { known, text: Text::new(), json, name, file })
    }

    /// A place in a function, between other text. One that is the function's begin is shown without an offset. False if
    /// there is nothing to show.
    fn write(&mut self, out: &mut Text, before: &str, frame: Frame, after: &str) -> Result<bool, fmt::Error> {
        let at = place_for(frame.pc);
        if self.known[at].frame != frame {
            let from = self.text.as_bytes().len();
            self.make(frame)?;
            self.known[at] = Known { frame, from, to: self.text.as_bytes().len() };
        }
        let known = self.known[at];
        if known.from == known.to {
            return Ok(false);
        }
        out.write_str(before)?;
        // SAFETY: a text that `make` wrote as a whole.
        out.write_str(unsafe { std::str::from_utf8_unchecked(&self.text.as_bytes()[known.from..known.to]) })?;
        out.write_str(after)?;
        Ok(true)
    }

    /// Adds the text of a place. The objects may have changed since it was found: then its function is not known, and
    /// is shown as an address is.
    fn make(&mut self, Frame { function, pc, is_own }: Frame) -> fmt::Result {
        let mut found = None;
        let (name, file) = (&mut self.name, &mut self.file);
        let keep = |to: &mut Array<u8>, bytes: &[u8]| {
            to.truncate(0);
            // (There is room for them.)
            let _ = to.extend(&bytes[..bytes.len().min(LONGEST)]);
        };
        // Nothing is allocated here.
        elf::with_place(function, &mut |place| {
            keep(name, place.name.map_or(b"", |name| name.to_bytes()));
            keep(file, place.file.to_bytes());
            found = Some(place.offset);
        });
        let offset = pc.wrapping_sub(function);
        let name = Some(&self.name[..]).filter(|name| found.is_some() && !name.is_empty());
        if is_own && name.is_none() {
            return Ok(());
        }
        if !self.json {
            match found {
                Some(at) => report::write_place(&mut self.text, name, &self.file, at)?,
                None => write!(self.text, "{}", Place(function as u64))?,
            }
            return if offset == 0 { Ok(()) } else { write!(self.text, " +{offset:#x}") };
        }
        self.text.write_str("{\"function\":")?;
        match name {
            Some(name) => write!(self.text, "{}", Json(name))?,
            None => self.text.write_str("null")?,
        }
        write!(self.text, ",\"offset\":{offset},")?;
        match found {
            Some(at) => {
                let file = Json(&self.file);
                write!(self.text, "\"file\":{file},\"file_offset\":{}}}", at.wrapping_add(offset))
            }
            None => self.text.write_str("\"file\":null,\"file_offset\":null}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gmp::g::{GName, GStatus};

    fn about(name: &[u8], status: GStatus) -> About {
        About { goid: 7, name: GName::new(name), status, reason: None, since: 0, thread: None, began: None }
    }

    fn written(json: bool, entries: &[(About, Option<u64>)]) -> String {
        let mut w = Writer::new(json).unwrap();
        w.now = 125_000_000_000;
        for (about, count) in entries {
            w.entry(about, *count, &[]).unwrap();
        }
        String::from_utf8(w.end().unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn paragraphs_are_as_go_writes_them() {
        let waits = About { reason: Some("chan receive"), ..about(b"", GStatus::Waiting) };
        assert_eq!(written(false, &[(waits, None)]), "goroutine 7 [chan receive, 2 minutes]:\n\n");
        let runs = About { thread: Some(12), ..about(b"a\"\n", GStatus::Running) };
        assert_eq!(written(false, &[(runs, None)]), "goroutine 7 \"a\\\"\\n\" [running, thread 12]:\n\n");
        assert_eq!(
            written(false, &[(waits, Some(9)), (runs, Some(1))]),
            "9 goroutines [chan receive, 2 minutes], the longest is goroutine 7:\n\n\
             1 goroutine [running], one is goroutine 7 \"a\\\"\\n\":\n\n"
        );
        assert_eq!(written(false, &[]), "");
    }

    #[test]
    fn objects_are_json() {
        assert_eq!(written(true, &[]), "[]\n");
        let waits = About { reason: Some("sleep"), ..about(b"a\"\x01\xff", GStatus::Waiting) };
        let rest = r#""thread":null,"frames":[],"began_in":null}"#;
        assert_eq!(
            written(true, &[(waits, None), (about(b"", GStatus::Runnable), Some(3))]),
            format!(
                "[\n{{\"id\":7,\"name\":\"a\\\"\\u0001\u{fffd}\",\"state\":\"waiting\",\"reason\":\"sleep\",\
                 \"waited_ms\":125000,{rest},\n{{\"count\":3,\"id\":7,\"name\":null,\"state\":\"runnable\",\
                 \"reason\":null,\"waited_ms\":null,{rest}\n]\n"
            )
        );
    }
}
