//! Lines of text that a signal handler may build.

use crate::ds::escape::Escaped;
use core::fmt::{self, Write};

/// A line of text that may be built in a signal handler. Text that does not fit is cut off.
pub struct Line {
    len: usize,
    buf: [u8; 512],
}

impl Line {
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Line {
        Line { len: 0, buf: [0; 512] }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    pub fn text(&mut self, s: &str) -> &mut Self {
        for &b in s.as_bytes() {
            self.byte(b);
        }
        self
    }

    /// Text of the host, such as a name.
    pub fn name(&mut self, s: &[u8]) -> &mut Self {
        let _ = write!(self, "{}", Escaped(s));
        self
    }

    pub fn dec(&mut self, n: u64) -> &mut Self {
        self.number(n, 10)
    }

    /// With `0x` in front.
    pub fn hex(&mut self, n: u64) -> &mut Self {
        self.text("0x").number(n, 16)
    }

    fn number(&mut self, mut n: u64, base: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[(n % base) as usize];
            n /= base;
            if n == 0 {
                break;
            }
        }
        for &d in &digits[at..] {
            self.byte(d);
        }
        self
    }

    fn byte(&mut self, b: u8) {
        if let Some(at) = self.buf.get_mut(self.len) {
            *at = b;
            self.len += 1;
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.text(s);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_off() {
        let mut l = Line::new();
        l.text("a").dec(0).text(" ").dec(u64::MAX).text(" ").hex(0xbeef);
        assert_eq!(l.as_bytes(), b"a0 18446744073709551615 0xbeef");
        for _ in 0..100 {
            l.text("0123456789");
        }
        assert_eq!(l.as_bytes().len(), 512);
    }
}
