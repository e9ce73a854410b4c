//! The bytes of a backup on their way into a program, and their digest.

use std::io::Read;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{Receiver, channel};

use super::trouble::Trouble;
use crate::digest::{self, Sha256};

/// Bytes of a piece.
const PIECE: usize = 256 << 10;
/// Pieces on their way.
const PIECES: usize = 8;

/// A backup that is being read by a thread of its own.
pub(crate) struct Feed(Receiver<std::io::Result<Vec<u8>>>);

impl Feed {
    /// Reads `reader` to its end, as far as somebody wants it.
    pub(crate) fn of(mut reader: impl Read + Send + 'static) -> Feed {
        let (send, receive) = channel(PIECES);
        std::thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE];
                let read = reader.read(&mut piece);
                let (piece, end) = match read {
                    Ok(read) => {
                        piece.truncate(read);
                        (Ok(piece), read == 0)
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(error) => (Err(error), true),
                };
                if send.blocking_send(piece).is_err() || end {
                    break;
                }
            }
        });
        Feed(receive)
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        match self.0.recv().await {
            None => Ok(None),
            Some(Ok(piece)) => Ok(Some(piece).filter(|piece| !piece.is_empty())),
            Some(Err(error)) => Err(Trouble::unknown(format!("the backup cannot be read: {error}"))),
        }
    }

    /// Writes all of it, and closes. What was read is given as size and digest, even where the writer did
    /// not want it all: a program may end early for reasons of its own.
    pub(crate) async fn into(mut self, mut writer: impl AsyncWrite + Unpin) -> Result<(u64, String), Trouble> {
        let (mut size, mut digest, mut open) = (0, Sha256::default(), true);
        while let Some(piece) = self.next().await? {
            size += piece.len() as u64;
            sha2::Digest::update(&mut digest, &piece);
            open = open && writer.write_all(&piece).await.is_ok();
        }
        // Closing is all that is left; who does not read any more needs none.
        let _ = writer.shutdown().await;
        Ok((size, digest::hex(digest)))
    }
}
