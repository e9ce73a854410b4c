//! Bytes on their way from a backup to a program that restores it.

use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use blake3::Hasher;
use chaos_backup_check::formats::decompress::{self, Unpacked};
use chaos_backup_check::formats::decrypt::{self, STALL};
use chaos_backup_check::formats::digest;
use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::pipe::fill;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{Receiver, channel};

use super::error::DrillError;

/// Bytes of a piece.
const PIECE: usize = 256 << 10;
/// Pieces that wait at most.
const PIECES: usize = 4;

/// A backup that is read, and decompressed, by a thread of its own. Its size and digest are those
/// of what was read.
pub(crate) struct Feed {
    pieces: Receiver<Result<Vec<u8>, FormatError>>,
    read: Arc<Mutex<Counted>>,
}

/// What was read from where the backup is.
#[derive(Default)]
struct Counted {
    size: u64,
    digest: Hasher,
}

/// What is done with the bytes on their way.
pub(crate) enum Form {
    /// Nothing.
    AsItIs,
    /// They are decompressed.
    Packed,
    /// This command decrypts them, and what it writes is decompressed.
    Encrypted(Vec<String>),
}

impl Feed {
    /// Opens something, and reads it to its end, as far as somebody wants it.
    pub(crate) fn of(
        form: Form,
        open: impl FnOnce() -> Result<Box<dyn Read + Send>, FormatError> + Send + 'static,
    ) -> Feed {
        let (send, pieces) = channel(PIECES);
        let read = Arc::new(Mutex::new(Counted::default()));
        let counted = read.clone();
        std::thread::spawn(move || {
            // False if nobody wants to know any more.
            let give = |piece: Result<Vec<u8>, FormatError>| send.blocking_send(piece).is_ok();
            let made = open().and_then(|reader| {
                let counting = Counting {
                    reader,
                    counted,
                    failed: None,
                };
                form.make(counting, &give)
            });
            // An empty piece is the end.
            give(made.map(|()| Vec::new()));
        });
        Feed { pieces, read }
    }

    /// Some bytes.
    pub(crate) fn bytes(bytes: Vec<u8>) -> Feed {
        Feed::of(Form::AsItIs, move || Ok(Box::new(io::Cursor::new(bytes))))
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, DrillError> {
        match self.pieces.recv().await {
            None => Err(DrillError::unknown(
                "the backup cannot be read: what read it ended without a word",
            )),
            Some(Ok(piece)) => Ok(Some(piece).filter(|piece| !piece.is_empty())),
            Some(Err(why)) => Err(DrillError::unknown(format!("the backup {why}"))),
        }
    }

    /// Size and digest of what was read.
    pub(crate) fn read(&self) -> (u64, String) {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        (read.size, digest::hex(&read.digest))
    }

    /// Writes all of it, and closes. It is read to its end even where the writer does not want it
    /// all: a program may end early for reasons of its own.
    pub(crate) async fn into(
        mut self,
        mut writer: impl AsyncWrite + Unpin,
    ) -> Result<(u64, String), DrillError> {
        let mut open = true;
        while let Some(piece) = self.next().await? {
            open = open && writer.write_all(&piece).await.is_ok();
        }
        // Closing is all that is left; who does not read any more needs none.
        let _ = writer.shutdown().await;
        Ok(self.read())
    }
}

impl Form {
    /// Gives what is made of the bytes. A command that decrypts has to end well, too.
    fn make(
        self,
        bytes: Counting,
        give: &(dyn Fn(Result<Vec<u8>, FormatError>) -> bool + Sync),
    ) -> Result<(), FormatError> {
        let mut reader = BufReader::with_capacity(PIECE, bytes);
        match self {
            Form::AsItIs => pass_on(&mut reader, give),
            Form::Packed => pass_on(&mut Unpacked::sniff(reader)?, give),
            Form::Encrypted(command) => decrypt::through(&command, &mut reader, STALL, |plain| {
                pass_on(&mut Unpacked::sniff(plain)?, give)
            }),
        }
    }
}

fn pass_on(
    from: &mut impl Read,
    give: &dyn Fn(Result<Vec<u8>, FormatError>) -> bool,
) -> Result<(), FormatError> {
    let mut position = 0;
    loop {
        let mut piece = vec![0; PIECE];
        let (read, error) = fill(from, &mut piece);
        piece.truncate(read);
        position += read as u64;
        if piece.is_empty() && error.is_none() {
            return Ok(());
        }
        if !piece.is_empty() && !give(Ok(piece)) {
            return Ok(());
        }
        if let Some(error) = error {
            return Err(decompress::trouble(&error, position));
        }
    }
}

/// Counts what it gives, and gives as much as there is room for.
struct Counting {
    reader: Box<dyn Read + Send>,
    counted: Arc<Mutex<Counted>>,
    failed: Option<io::Error>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let (read, error) = fill(&mut self.reader, buffer);
        if let Some(error) = error {
            if read == 0 {
                return Err(error);
            }
            self.failed = Some(error);
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.size += read as u64;
        counted.digest.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use chaos_common::cli;

    use super::*;

    /// Gives its bytes in small pieces, and then perhaps an error.
    struct Slow(io::Cursor<Vec<u8>>, bool);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(3);
            match self.0.read(&mut buffer[..length])? {
                0 if self.1 => Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone")),
                read => Ok(read),
            }
        }
    }

    fn fed(form: Form, bytes: Vec<u8>, breaks: bool) -> Result<(Vec<u8>, (u64, String)), String> {
        cli::block_on(async {
            let mut out = Vec::new();
            let feed = Feed::of(form, move || {
                Ok(Box::new(Slow(io::Cursor::new(bytes), breaks)))
            });
            let read = feed
                .into(&mut out)
                .await
                .map_err(|trouble| trouble.message)?;
            Ok((out, read))
        })
    }

    #[test]
    fn it_gives_what_is_in_it_and_counts_what_it_is() {
        let text = b"some text, again and again".repeat(30_000);
        let packed = zstd::encode_all(&text[..], 1).expect("memory");
        for bytes in [text.clone(), packed] {
            let (out, (size, blake3)) = fed(Form::Packed, bytes.clone(), false).expect("whole");
            assert!(out == text, "{} bytes", out.len());
            assert_eq!((size, blake3), (bytes.len() as u64, digest::of(&bytes)));
            let broken = fed(Form::Packed, bytes, true).expect_err("its end never came");
            assert!(broken.contains("gone"), "{broken}");
        }
    }

    #[test]
    fn a_command_decrypts_it_and_has_to_end_well() {
        let text = b"some text, again and again".repeat(30_000);
        let packed = zstd::encode_all(&text[..], 1).expect("memory");
        let encrypted = [b"Salted__", &packed[..]].concat();
        let by = |script: &str| Form::Encrypted(["sh", "-c", script].map(str::to_owned).to_vec());
        let (out, (size, blake3)) =
            fed(by("tail -c +9"), encrypted.clone(), false).expect("it is decrypted");
        assert!(out == text, "{} bytes", out.len());
        // What was read is the file as it is.
        assert_eq!(
            (size, blake3),
            (encrypted.len() as u64, digest::of(&encrypted))
        );
        let failed = fed(by("tail -c +9; echo bad key >&2; exit 2"), encrypted, false);
        let failed = failed.expect_err("it failed");
        assert!(failed.contains("bad key"), "{failed}");
    }
}
