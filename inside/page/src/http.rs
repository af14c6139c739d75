//! Which requests are answered: GET, and on a socket of the network only with the token, for this host, and not in the
//! name of a page of another one. A request has a head of at most 64 KiB, and no body. Each connection has one request.

use std::fmt::Write as _;

/// The most bytes of a request.
pub const MOST: usize = 64 << 10;
/// The most headers. A browser sends about 15.
const HEADERS: usize = 100;

pub struct Answer {
    pub status: u16,
    pub kind: &'static str,
    /// More lines of the head, each with its end.
    pub head: String,
    pub body: Vec<u8>,
}

pub const TEXT: &str = "text/plain; charset=utf-8";

impl Answer {
    pub fn new(kind: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status: 200, kind, head: String::new(), body: body.into() }
    }

    /// An answer that says why there is no other.
    pub fn failed(status: u16, why: &str) -> Answer {
        let head = if status == 405 { "Allow: GET\r\n".into() } else { String::new() };
        Answer { status, kind: TEXT, head, body: format!("{why}\n").into() }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let _ = write!(head, "Content-Type: {}\r\nContent-Length: {}\r\n", self.kind, self.body.len());
        head += "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
        head += "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n";
        head += &self.head;
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend(self.body);
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        _ => "Service Unavailable",
    }
}

/// Whom the page is for.
pub struct Rules {
    /// Needed with each request. None: the socket has a file, which is for its user alone.
    pub token: Option<String>,
    /// `Host` may be anything: other machines have other names for this one.
    pub anywhere: bool,
}

/// A request that may be answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    query: String,
}

impl Request {
    /// The value of a parameter. Values here need no escapes.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    }

    /// A number, `otherwise` if it is not there.
    ///
    /// # Errors
    /// The answer to a value that is not one from `least` to `most`.
    pub fn number(&self, name: &str, least: u64, most: u64, otherwise: u64) -> Result<u64, Answer> {
        match self.value(name).map(str::parse) {
            None => Ok(otherwise),
            Some(Ok(n)) if (least..=most).contains(&n) => Ok(n),
            Some(_) => Err(Answer::failed(400, &format!("{name} is a number from {least} to {most}"))),
        }
    }
}

/// None: there is more to come.
///
/// # Errors
/// The answer to a request that is refused.
pub fn read(bytes: &[u8], rules: &Rules) -> Option<Result<Request, Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => Some(checked(&request, rules)),
        Ok(httparse::Status::Partial) if bytes.len() < MOST => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            Some(Err(Answer::failed(431, "the head of a request has at most 64 KiB and 100 lines")))
        }
        Err(_) => Some(Err(Answer::failed(400, "this is no request of HTTP/1.1"))),
    }
}

fn checked(request: &httparse::Request<'_, '_>, rules: &Rules) -> Result<Request, Answer> {
    let header = |name: &str| {
        let found = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
        found.map(|h| std::str::from_utf8(h.value).unwrap_or("?").trim())
    };
    if request.method != Some("GET") {
        return Err(Answer::failed(405, "only GET"));
    }
    let target = request.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request { path: path.into(), query: query.into() };
    if header("origin").is_some() {
        return Err(Answer::failed(403, "not for the pages of others"));
    }
    let Some(token) = &rules.token else { return Ok(request) };
    // A page of another host, whose name leads here by now, has that name in its requests.
    if !rules.anywhere && !header("host").is_some_and(is_this_host) {
        return Err(Answer::failed(403, "not for this host"));
    }
    let bearer = header("authorization").and_then(|v| v.strip_prefix("Bearer "));
    let given = request.value("token").or(bearer).unwrap_or_default();
    if !same(given.as_bytes(), token.as_bytes()) {
        let mut answer = Answer::failed(401, "the token is missing: ?token=... or Authorization: Bearer ...");
        answer.head += "WWW-Authenticate: Bearer\r\n";
        return Err(answer);
    }
    Ok(request)
}

fn is_this_host(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| match host.strip_prefix(name) {
        Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(is_port),
        None => false,
    })
}

/// Takes as long for a wrong text as for the right one.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> u16 {
        let rules = Rules { token: Some("0123456789abcdef".into()), anywhere: false };
        match read(text.as_bytes(), &rules) {
            None => 0,
            Some(Ok(_)) => 200,
            Some(Err(answer)) => answer.status,
        }
    }

    #[test]
    fn each_rule_refuses_what_it_is_for() {
        let good = "GET /?token=0123456789abcdef HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n";
        assert_eq!(status(good), 200);
        let by_header = "GET / HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer 0123456789abcdef\r\n\r\n";
        assert_eq!(status(by_header), 200);
        for n in 0..good.len() {
            assert_eq!(status(&good[..n]), 0, "{n}");
        }
        for (from, to, wanted) in [
            ("GET", "POST", 405),
            ("GET", "HEAD", 405),
            ("GET", "get", 405),
            ("?token=0123456789abcdef", "", 401),
            ("?token=0123456789abcdef", "?token=", 401),
            ("?token=0123456789abcdef", "?token=0123456789abcdee", 401),
            ("?token=0123456789abcdef", "?token=0123456789abcdeff", 401),
            ("?token", "?tokenn", 401),
            ("127.0.0.1:80", "example.com", 403),
            ("127.0.0.1:80", "127.0.0.1.example.com", 403),
            ("127.0.0.1:80", "localhost:80.example.com", 403),
            ("127.0.0.1:80", "127.0.0.1:", 403),
            ("Host", "Hosts", 403),
            ("\r\n\r\n", "\r\nOrigin: http://127.0.0.1:80\r\n\r\n", 403),
            ("\r\n\r\n", "\r\nOrigin: null\r\n\r\n", 403),
            ("HTTP/1.1", "HTTP/3", 400),
            ("GET ", "G\u{1}T ", 400),
        ] {
            assert!(good.contains(from));
            assert_eq!(status(&good.replacen(from, to, 1)), wanted, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn a_head_that_is_too_long_is_refused() {
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MOST));
        assert_eq!(status(&long[..MOST - 1]), 0);
        assert_eq!(status(&long[..MOST]), 431);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(HEADERS + 1));
        assert_eq!(status(&many), 431);
    }

    #[test]
    fn parameters_are_read_by_their_whole_names() {
        let rules = Rules { token: None, anywhere: false };
        let Some(Ok(r)) = read(b"GET /x?seconds=5&format=go&s=1 HTTP/1.0\r\n\r\n", &rules) else { panic!() };
        assert_eq!(
            (r.path.as_str(), r.value("format"), r.value("s"), r.value("for")),
            ("/x", Some("go"), Some("1"), None)
        );
        assert_eq!(r.number("seconds", 1, 9, 3).ok(), Some(5));
        assert_eq!(r.number("second", 1, 9, 3).ok(), Some(3));
        assert_eq!(r.number("seconds", 6, 9, 3).map_err(|a| a.status), Err(400));
        assert_eq!(r.number("format", 6, 9, 3).map_err(|a| a.status), Err(400));
    }
}
