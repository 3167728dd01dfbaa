//! Typing into a command that runs in a terminal, and telling it the terminal's size. Each call is a connection of its own
//! to the shim: whoever types is nobody who follows. What is typed by calls one after another arrives in their order.

use std::time::Duration;

use camino::Utf8Path;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::control::{self, FromShim, MAX_INPUT_BYTES, ToShim};
use super::{Folder, ProcessError, TerminalSize};

/// A shim that lives answers within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Types `text` into the terminal of the command in `folder`. The shim keeps what the command does not read yet, up to a
/// limit; what is beyond is dropped, as a terminal does.
///
/// # Errors
/// [`ProcessError::NotRunning`], [`ProcessError::NoTerminal`].
pub async fn input(folder: &Utf8Path, text: &str) -> Result<(), ProcessError> {
    let messages = pieces(text).map(|text| control::to_line(&ToShim::Input { text: text.to_owned() }));
    send(folder, &messages.collect::<Vec<_>>().concat()).await
}

/// Tells the command in `folder` that its terminal has another size.
///
/// # Errors
/// [`ProcessError::NotRunning`], [`ProcessError::NoTerminal`].
pub async fn resize(folder: &Utf8Path, size: TerminalSize) -> Result<(), ProcessError> {
    send(folder, &control::to_line(&ToShim::Resize(size))).await
}

async fn send(folder: &Utf8Path, lines: &[u8]) -> Result<(), ProcessError> {
    let talk = async {
        let (_handle, path) = control::socket_path(&Folder::new(folder))?;
        let mut stream = BufReader::new(UnixStream::connect(&path).await?);
        let mut greeting = String::new();
        stream.read_line(&mut greeting).await?;
        let Some(FromShim::Hello { tty: true, .. }) = control::from_line(greeting.as_bytes()) else { return Ok(false) };
        stream.write_all(lines).await.map(|()| true)
    };
    match timeout(ANSWER_WITHIN, talk).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(ProcessError::NoTerminal),
        // There is no socket any more, or nobody behind it.
        Ok(Err::<_, std::io::Error>(_)) | Err(_) => Err(ProcessError::NotRunning),
    }
}

/// `text` in pieces that fit a message.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut length = text.len().min(MAX_INPUT_BYTES);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let (piece, rest) = text.split_at(length);
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_goes_in_pieces_of_whole_characters() {
        let text = "\u{20ac}".repeat(MAX_INPUT_BYTES);
        let pieces: Vec<_> = pieces(&text).collect();
        assert_eq!(pieces.concat(), text);
        assert!(pieces.len() > 3 && pieces.iter().all(|piece| piece.len() <= MAX_INPUT_BYTES));
        assert_eq!(super::pieces("").count(), 0);
    }
}
