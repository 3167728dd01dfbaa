//! One HTTP/1.1 request to the program, and what it answers. A writer of our own: no client library for one request.

use std::net::SocketAddr;

use burrow_protocol::debug::HttpResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::TrialError;

/// How much of an answer is read.
const MAX_ANSWER: u64 = 64 * 1024;
/// How much of its body is shown.
const SHOWN_BODY: usize = 512;

/// A request, such as `GET /greet?name=x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    method: String,
    path: String,
}

impl std::str::FromStr for HttpRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || format!("`{text}` is no request such as `GET /path?name=x`");
        let (method, path) = text.trim().split_once(' ').ok_or_else(form)?;
        let path = path.trim();
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
        if is_method && is_path { Ok(Self { method: method.to_owned(), path: path.to_owned() }) } else { Err(form()) }
    }
}

impl HttpRequest {
    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// [`TrialError::Request`].
    pub(super) async fn send(&self, to: SocketAddr) -> Result<HttpResponse, TrialError> {
        let failed = |error: std::io::Error| TrialError::Request { why: format!("{to}: {error}") };
        #[expect(clippy::disallowed_methods, reason = "this is the program's own port, not dlv's")]
        let mut stream = TcpStream::connect(to).await.map_err(failed)?;
        stream.write_all(self.bytes(to).as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await.map_err(failed)?;
        parse(&answer).ok_or_else(|| TrialError::Request { why: format!("{to} does not speak HTTP") })
    }

    fn bytes(&self, to: SocketAddr) -> String {
        let Self { method, path } = self;
        // The length is needed where a method may have a body; elsewhere it does no harm.
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: burrow\r\nAccept: */*\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    }
}

fn parse(answer: &[u8]) -> Option<HttpResponse> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.lines().next().filter(|line| line.starts_with("HTTP/"))?;
    let body = body.chars().take(SHOWN_BODY).collect::<String>().trim_end().to_owned();
    Some(HttpResponse { status: status.to_owned(), body })
}

#[cfg(test)]
mod tests {
    use super::{HttpRequest, HttpResponse, parse};

    #[test]
    fn requests() {
        for (text, expected, why) in [
            ("GET /greet?name=x", true, "the plain form"),
            (" DELETE  /a ", true, "space does not matter"),
            ("GET", false, "no path"),
            ("/greet", false, "no method"),
            ("get /greet", false, "methods are upper case"),
            ("GET greet", false, "a path is absolute"),
            ("GET /a HTTP/1.1\r\nX: y", false, "nothing can be smuggled into the head"),
        ] {
            assert_eq!(text.parse::<HttpRequest>().is_ok(), expected, "{text:?}: {why}");
        }
    }

    #[test]
    fn answers() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello\n";
        let expected = HttpResponse { status: "HTTP/1.1 200 OK".to_owned(), body: "hello".to_owned() };
        assert_eq!(parse(answer), Some(expected));
        assert_eq!(parse(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), None, "another protocol");
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), None, "cut off");
    }
}
