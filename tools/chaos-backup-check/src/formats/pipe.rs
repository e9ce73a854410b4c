//! Bytes from one thread to another, in a few buffers that are used again and again.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

/// Bytes of a buffer.
pub const BUFFER: usize = 128 << 10;
/// Buffers that are on their way at most: enough that a busy machine, which lets a thread wait for
/// some milliseconds, does not let the others wait as well.
const BUFFERS: usize = 12;

/// The end that takes bytes.
pub(crate) struct Writer {
    full: SyncSender<io::Result<Buffer>>,
    empty: Receiver<Vec<u8>>,
}

/// The end that gives them; it is at its end when the [`Writer`] is gone.
pub(crate) struct Reader {
    full: Receiver<io::Result<Buffer>>,
    empty: std::sync::mpsc::Sender<Vec<u8>>,
    current: Buffer,
    start: usize,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

/// Makes a pipe.
pub(crate) fn pipe() -> (Writer, Reader) {
    let (full, filled) = sync_channel(BUFFERS + 1);
    let (empty, emptied) = channel();
    for _ in 0..BUFFERS {
        empty
            .send(vec![0; BUFFER])
            .expect("the other end is in this function");
    }
    let writer = Writer {
        full,
        empty: emptied,
    };
    (
        writer,
        Reader {
            full: filled,
            empty,
            current: Buffer::default(),
            start: 0,
        },
    )
}

impl Writer {
    /// Lets `fill` write into a buffer and sends so many of its bytes as it says. False if nobody
    /// reads any more.
    pub fn send(&self, fill: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let Ok(mut bytes) = self.empty.recv() else {
            return false;
        };
        let filled = fill(&mut bytes);
        self.full.send(Ok(Buffer { bytes, filled })).is_ok()
    }

    /// Sends all that `reader` gives; its error comes out at the other end.
    pub fn copy(&self, mut reader: impl Read) {
        let mut end = false;
        while !end {
            let mut failed = None;
            let wanted = self.send(|buffer| {
                let (read, error) = fill(&mut reader, buffer);
                end = read < buffer.len();
                failed = error;
                read
            });
            end |= !wanted;
            if let Some(error) = failed {
                // Nobody may want it any more.
                let _ = self.full.send(Err(error));
            }
        }
    }
}

/// Lets another thread run `reader` ahead while `judge` takes what it gives: where both are work,
/// they share it.
pub(crate) fn ahead<T>(
    reader: &mut (impl BufRead + Send),
    judge: impl FnOnce(&mut Reader) -> T,
) -> T {
    std::thread::scope(|scope| {
        let (writer, mut bytes) = pipe();
        scope.spawn(move || writer.copy(reader));
        judge(&mut bytes)
    })
}

/// What `Read` asks of a reader with a buffer of its own.
pub(crate) fn read_buffered(from: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let bytes = from.fill_buf()?;
    let read = bytes.len().min(buffer.len());
    buffer[..read].copy_from_slice(&bytes[..read]);
    from.consume(read);
    Ok(read)
}

/// Fills a buffer as far as it goes.
pub fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.start == self.current.filled {
            let Ok(next) = self.full.recv() else {
                return Ok(&[]);
            };
            let last = std::mem::replace(&mut self.current, next?);
            self.start = 0;
            if !last.bytes.is_empty() {
                // The writer may have ended.
                let _ = self.empty.send(last.bytes);
            }
        }
        Ok(&self.current.bytes[self.start..self.current.filled])
    }

    fn consume(&mut self, amount: usize) {
        self.start += amount;
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}
