//! Text that the host gave (names, reasons, variables of the environment) on its way into a report.
//!
//! A peer of the host may have chosen the text, and programs and people act on the lines of a report. So the text must
//! not end a line, close the quotes around it, steer a terminal or change the direction of writing.
//! `packaging/gomax-gdb.py` escapes in the same way.

use std::fmt::{self, Write};

/// Shows the bytes as UTF-8. Quotes, backslashes and characters that do not print become escapes as in Rust (`\n`,
/// `\u{1b}`), bytes that are not UTF-8 `\xff`. Neither allocates nor locks: the handler of an overflow uses it.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\'' => f.write_char(c)?,
                    _ => write!(f, "{}", c.escape_debug())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Shows the bytes as a string of JSON, with its quotes. Bytes that are not UTF-8 become U+FFFD.
pub struct Json<'a>(pub &'a [u8]);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    _ if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                    _ => f.write_char(c)?,
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char('\u{fffd}')?;
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_valid_whatever_the_bytes() {
        let shown = |bytes: &[u8]| format!("{}", Json(bytes));
        assert_eq!(shown(b""), r#""""#);
        assert_eq!(shown("Übergröße 7".as_bytes()), "\"Übergröße 7\"");
        assert_eq!(shown(b"a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(shown(b"a\nb\0\x1b\x7f"), r#""a\u000ab\u0000\u001b\u007f""#);
        assert_eq!(shown(b"a\xffb\xc3"), "\"a\u{fffd}b\u{fffd}\"");
    }

    #[test]
    fn what_prints_is_kept_and_the_rest_escaped() {
        let shown = |bytes: &[u8]| format!("{}", Escaped(bytes));
        for kept in ["", "fetch 7", "don't", "Übergröße", "日本", "a😀b", "[x] {y} %s"] {
            assert_eq!(shown(kept.as_bytes()), kept);
        }
        assert_eq!(shown(b"a\nb\r\tc\0"), "a\\nb\\r\\tc\\0");
        assert_eq!(shown(b"\x1b[2J\x7f\x08"), "\\u{1b}[2J\\u{7f}\\u{8}");
        assert_eq!(shown(b"x\" [running]\\"), "x\\\" [running]\\\\");
        assert_eq!(
            shown("\u{85}\u{9b}\u{202e}\u{2028}\u{2066}".as_bytes()),
            "\\u{85}\\u{9b}\\u{202e}\\u{2028}\\u{2066}"
        );
        assert_eq!(shown(b"a\xffb\xc3"), "a\\xffb\\xc3");
    }
}
