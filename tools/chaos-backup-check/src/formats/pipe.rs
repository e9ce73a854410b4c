//! Bytes from one thread to another, in a few buffers that are used again and again.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes of a buffer, where it does not matter much.
pub const BUFFER: usize = 128 << 10;

/// The buffers of a pipe: how large, and how many of them at most are on their way. Together they
/// are so large that a busy machine, which lets a thread wait for some milliseconds, does not let
/// the others wait as well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers {
    bytes: usize,
    most: usize,
}

impl Buffers {
    /// For bytes as they are read.
    pub(crate) const READ: Buffers = Buffers {
        bytes: BUFFER,
        most: 12,
    };
    /// For bytes that are decompressed: a decoder copies its window, 32 KB for DEFLATE, for each
    /// buffer that it is given.
    const DECOMPRESSED: Buffers = Buffers {
        bytes: 2 * BUFFER,
        most: 6,
    };
}

/// The end that takes bytes.
pub(crate) struct Writer {
    full: SyncSender<io::Result<Buffer>>,
    empty: Receiver<Vec<u8>>,
    /// Buffers that came back and wait to be used, the last one on top.
    spare: Vec<Vec<u8>>,
    /// Buffers that may still be made.
    unmade: usize,
    /// Bytes of a buffer.
    bytes: usize,
}

/// The end that gives them; it is at its end when the [`Writer`] is gone.
pub(crate) struct Reader {
    full: Receiver<io::Result<Buffer>>,
    empty: Sender<Vec<u8>>,
    current: Buffer,
    start: usize,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

/// Makes a pipe.
pub(crate) fn pipe(buffers: Buffers) -> (Writer, Reader) {
    // Room for all of them and an error: it is for a buffer that the writer waits.
    let (full, filled) = sync_channel(buffers.most + 1);
    let (empty, emptied) = channel();
    let writer = Writer {
        full,
        empty: emptied,
        spare: Vec::new(),
        unmade: buffers.most,
        bytes: buffers.bytes,
    };
    let reader = Reader {
        full: filled,
        empty,
        current: Buffer::default(),
        start: 0,
    };
    (writer, reader)
}

impl Writer {
    /// Lets `fill` write into a buffer and sends so many of its bytes as it says. False if nobody
    /// reads any more.
    pub fn send(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let Some(mut bytes) = self.buffer() else {
            return false;
        };
        let filled = fill(&mut bytes);
        self.full.send(Ok(Buffer { bytes, filled })).is_ok()
    }

    /// A buffer to fill: the one that came back last, which is still in the processor's cache, or
    /// else a new one, or else the next one that comes back. `None` if nobody reads any more.
    fn buffer(&mut self) -> Option<Vec<u8>> {
        self.spare.extend(self.empty.try_iter());
        if let Some(bytes) = self.spare.pop() {
            return Some(bytes);
        }
        if let Some(left) = self.unmade.checked_sub(1) {
            self.unmade = left;
            return Some(vec![0; self.bytes]);
        }
        self.empty.recv().ok()
    }

    /// Sends all that `reader` gives; its error comes out at the other end.
    pub fn copy(mut self, mut reader: impl Read) {
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
/// they share it. A panic of either is passed on.
pub(crate) fn ahead<T>(reader: impl Read + Send, judge: impl FnOnce(&mut Reader) -> T) -> T {
    std::thread::scope(|scope| {
        let (writer, mut bytes) = pipe(Buffers::DECOMPRESSED);
        let thread = scope.spawn(move || writer.copy(reader));
        let judged = judge(&mut bytes);
        // Nobody reads any more: the thread ends with the next buffer.
        drop(bytes);
        match thread.join() {
            Ok(()) => judged,
            Err(panic) => std::panic::resume_unwind(panic),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Never ends, and counts what was asked of it.
    struct Endless<'c>(&'c AtomicUsize);

    impl Read for Endless<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.fetch_add(buffer.len(), Ordering::SeqCst);
            buffer.fill(7);
            Ok(buffer.len())
        }
    }

    /// A bug.
    struct Panics;

    impl Read for Panics {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            panic!("of the reader")
        }
    }

    /// Gives its bytes one by one, and then an error.
    struct Breaks<'b>(&'b [u8]);

    impl Read for Breaks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.split_first() {
                Some((first, rest)) => {
                    (buffer[0], self.0) = (*first, rest);
                    Ok(1)
                }
                None => Err(io::Error::other("gone")),
            }
        }
    }

    #[test]
    fn what_goes_in_comes_out_and_then_the_error() {
        let text: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut out = Vec::new();
        let error = ahead(Breaks(&text), |bytes| bytes.read_to_end(&mut out));
        assert_eq!(error.expect_err("it broke").to_string(), "gone");
        assert_eq!(out, text);
    }

    #[test]
    fn who_stops_early_ends_the_thread_that_reads() {
        let read = AtomicUsize::new(0);
        let first = ahead(Endless(&read), |bytes| {
            bytes.fill_buf().map(|bytes| bytes[0])
        });
        assert_eq!(first.expect("a byte"), 7);
        let Buffers { bytes, most } = Buffers::DECOMPRESSED;
        assert!(read.into_inner() <= bytes * (most + 1));
    }

    #[test]
    fn no_more_than_its_buffers_are_in_memory() {
        let (mut writer, mut reader) = pipe(Buffers { bytes: 8, most: 3 });
        for number in 0..3 {
            assert!(writer.send(|buffer| {
                buffer.fill(number);
                buffer.len()
            }));
        }
        assert_eq!((writer.unmade, writer.spare.len()), (0, 0));
        let mut out = [0; 24];
        reader.read_exact(&mut out).expect("three buffers");
        assert_eq!((out[0], out[8], out[16]), (0, 1, 2));
        assert!(writer.send(|_| 1), "one that came back");
        assert_eq!((writer.unmade, writer.spare.len()), (0, 1));
        drop(reader);
        assert!(!writer.send(|_| 1), "nobody reads any more");
    }

    #[test]
    fn a_panic_of_either_side_is_passed_on() {
        let message = |run: &dyn Fn()| {
            let run = std::panic::AssertUnwindSafe(run);
            let panic = std::panic::catch_unwind(run).expect_err("a panic");
            *panic.downcast::<&str>().expect("its message")
        };
        let read = AtomicUsize::new(0);
        assert_eq!(
            message(&|| ahead(Panics, |bytes| drop(bytes.fill_buf()))),
            "of the reader"
        );
        assert_eq!(
            message(&|| ahead(Endless(&read), |_| panic!("of the judge"))),
            "of the judge"
        );
    }
}
