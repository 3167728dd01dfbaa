//! The proxy of the test over HTTP, with faults: what a network does to a download.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::proxy::Proxy;

/// What happens to whoever asks for a module's zip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// This status, and nothing else.
    Status(u16),
    /// Half of it comes, and then the connection ends.
    CutOff,
    /// Something else than a zip.
    Garbage,
    /// No byte comes, and the connection stays.
    Hangs,
    /// It comes a few bytes at a time.
    Slow,
}

/// A server on a port of loopback, for as long as it lives.
pub(super) struct HttpProxy {
    address: std::net::SocketAddr,
    fault: Arc<Mutex<Fault>>,
    over: Arc<AtomicBool>,
}

impl HttpProxy {
    pub(super) fn of(proxy: &Proxy) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, over) = (Arc::new(Mutex::new(Fault::None)), Arc::new(AtomicBool::new(false)));
        let (root, faults, ended) = (proxy.path().to_owned(), Arc::clone(&fault), Arc::clone(&over));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (root, fault) = (root.clone(), *faults.lock().unwrap());
                // A client that goes away is none of our business.
                std::thread::spawn(move || answer(stream, &root, fault));
            }
        });
        Self { address, fault, over }
    }

    /// From here on the zips have this fault.
    pub(super) fn fault(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// The value of GOPROXY that leads here.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for HttpProxy {
    #[expect(clippy::disallowed_methods, reason = "the server's own thread is woken by a connection")]
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers one request and closes.
fn answer(stream: TcpStream, root: &Utf8Path, fault: Fault) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let mut header = String::new();
    while reader.read_line(&mut header).ok()? > 2 {
        header.clear();
    }
    let name = request.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let (mut stream, path) = (stream, root.join(Utf8PathBuf::from(&name)));
    let fault = if name.ends_with(".zip") { fault } else { Fault::None };
    let Ok(body) = std::fs::read(&path) else { return send(&mut stream, 404, b"") };
    match fault {
        Fault::None => send(&mut stream, 200, &body),
        Fault::Status(status) => send(&mut stream, status, b"as the test wants it"),
        Fault::Garbage => send(&mut stream, 200, &vec![b'x'; body.len()]),
        Fault::CutOff => {
            head(&mut stream, 200, body.len())?;
            stream.write_all(&body[..body.len() / 2]).ok()?;
            stream.shutdown(Shutdown::Both).ok()
        }
        Fault::Hangs => {
            // Until the client has given up.
            let _ = reader.read(&mut [0]);
            None
        }
        Fault::Slow => {
            head(&mut stream, 200, body.len())?;
            let (_never, pause): (_, Receiver<()>) = channel();
            for piece in body.chunks(body.len() / 8 + 1) {
                stream.write_all(piece).ok()?;
                let _ = pause.recv_timeout(Duration::from_millis(100));
            }
            Some(())
        }
    }
}

fn send(stream: &mut TcpStream, status: u16, body: &[u8]) -> Option<()> {
    head(stream, status, body.len())?;
    stream.write_all(body).ok()
}

fn head(stream: &mut TcpStream, status: u16, length: usize) -> Option<()> {
    let head = format!("HTTP/1.1 {status} Of The Test\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()
}
