//! gzip (RFC 1952) and zlib (RFC 1950): DEFLATE with a header, and with a checksum behind it.

use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use simd_adler32::Adler32;

use super::inflate::{Batch, Codes, Trailer, Window, cut, damaged};
use crate::formats::pipe::read_buffered;

/// Batches that are on their way between two threads at most.
const BATCHES: usize = 6;

/// What stands around DEFLATE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A row of gzip members.
    Gzip,
    /// The first gzip member, whatever is behind it.
    FirstGzip,
    /// One zlib stream, behind which nothing may follow.
    Zlib,
}

/// The bytes of compressed streams. What is right before damage comes before its error.
pub struct Deflated<R> {
    streams: Streams<R>,
    batch: Batch,
    bytes: Bytes,
}

/// The memory that decoding takes, for one thing after another.
pub(crate) struct Inflate {
    codes: Codes,
    batch: Batch,
    window: Window,
}

impl Inflate {
    /// Memory that no stream has used yet.
    pub fn new() -> Inflate {
        Inflate {
            codes: Codes::new(),
            batch: Batch::new(),
            window: Window::new(),
        }
    }
}

impl<R: BufRead> Deflated<R> {
    /// Takes the memory of another one.
    pub fn new(reader: R, format: Format, inflate: Inflate) -> Deflated<R> {
        let Inflate {
            codes,
            mut batch,
            mut window,
        } = inflate;
        batch.clear();
        window.clear();
        let streams = Streams {
            reader,
            format,
            codes,
            place: Place::Start,
            failed: None,
        };
        Deflated {
            streams,
            batch,
            bytes: Bytes {
                window,
                checksum: Checksum::of(format),
            },
        }
    }

    /// Gives its memory back.
    pub fn into_inflate(self) -> Inflate {
        Inflate {
            codes: self.streams.codes,
            batch: self.batch,
            window: self.bytes.window,
        }
    }

    /// Lets another thread read the bits ahead while `judge` takes the bytes.
    pub fn ahead<T>(&mut self, judge: impl FnOnce(&mut (dyn BufRead + Send)) -> T) -> T
    where
        R: Send,
    {
        let Deflated {
            streams,
            batch,
            bytes,
        } = self;
        thread::scope(|scope| {
            let (send, full) = sync_channel(BATCHES);
            let (empty, emptied) = channel();
            for _ in 0..BATCHES {
                empty
                    .send(Batch::new())
                    .expect("the other end is in this function");
            }
            scope.spawn(move || streams.send(&emptied, &send));
            judge(&mut Ahead {
                bytes,
                batch: std::mem::replace(batch, Batch::new()),
                full,
                empty,
            })
        })
    }
}

impl<R: BufRead> BufRead for Deflated<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while !self.bytes.make(&mut self.batch)? {
            if !self.streams.next(&mut self.batch)? {
                break;
            }
        }
        Ok(self.bytes.window.ready())
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.window.consume(amount);
    }
}

impl<R: BufRead> Read for Deflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// The same bytes, where another thread reads the bits.
struct Ahead<'b> {
    bytes: &'b mut Bytes,
    batch: Batch,
    full: Receiver<io::Result<Batch>>,
    empty: Sender<Batch>,
}

impl BufRead for Ahead<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while !self.bytes.make(&mut self.batch)? {
            let Ok(next) = self.full.recv() else { break };
            // The other thread may have ended.
            let _ = self.empty.send(std::mem::replace(&mut self.batch, next?));
        }
        Ok(self.bytes.window.ready())
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.window.consume(amount);
    }
}

impl Read for Ahead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// The first step of decoding, with what stands around the streams.
struct Streams<R> {
    reader: R,
    format: Format,
    codes: Codes,
    place: Place,
    /// To be told when all that is right has been given.
    failed: Option<io::Error>,
}

/// Where in a stream the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Data,
    /// Between two members, or at the end.
    Behind,
}

impl<R: BufRead> Streams<R> {
    /// Reads the next batch; false at the end of all streams.
    fn next(&mut self, batch: &mut Batch) -> io::Result<bool> {
        batch.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match self.fill(batch) {
            Err(error) if batch.is_used() => return Err(error),
            Err(error) => self.failed = Some(error),
            Ok(()) => {}
        }
        Ok(!batch.is_used())
    }

    /// Sends one batch after another, to the end, an error, or until nobody wants more.
    fn send(&mut self, empty: &Receiver<Batch>, full: &SyncSender<io::Result<Batch>>) {
        while let Ok(mut batch) = empty.recv() {
            let next = self.next(&mut batch);
            let over = !matches!(next, Ok(true));
            if full.send(next.map(|_| batch)).is_err() || over {
                return;
            }
        }
    }

    fn fill(&mut self, batch: &mut Batch) -> io::Result<()> {
        while !batch.is_full() {
            match self.place {
                Place::Start => {
                    match self.format {
                        Format::Zlib => self.zlib_header()?,
                        Format::Gzip | Format::FirstGzip => self.gzip_header()?,
                    }
                    self.codes.reset();
                    self.place = Place::Data;
                }
                Place::Data => {
                    if self.codes.decode(&mut self.reader, batch)? {
                        let trailer = self.trailer()?;
                        batch.end(trailer);
                        self.place = Place::Behind;
                    }
                }
                Place::Behind
                    if self.format == Format::FirstGzip || self.reader.fill_buf()?.is_empty() =>
                {
                    break;
                }
                Place::Behind if self.format == Format::Zlib => {
                    return Err(damaged("something stands behind its compressed stream"));
                }
                Place::Behind => self.place = Place::Start,
            }
        }
        Ok(())
    }

    fn gzip_header(&mut self) -> io::Result<()> {
        let mut header = Header {
            reader: &mut self.reader,
            checksum: crc32fast::Hasher::new(),
        };
        let [magic, more, method, flags, ..] = header.bytes::<10>()?;
        // Bits that no one has given a meaning.
        if [magic, more] != [0x1f, 0x8b] || method != 8 || flags & 0xe0 != 0 {
            return Err(damaged("no member begins here"));
        }
        if flags & 4 != 0 {
            for _ in 0..u16::from_le_bytes(header.bytes()?) {
                header.bytes::<1>()?;
            }
        }
        // A name and a comment, up to a zero byte each.
        for _ in 0..(flags >> 3 & 1) + (flags >> 4 & 1) {
            while header.bytes()? != [0] {}
        }
        if flags & 2 != 0 {
            let expected = header.checksum.clone().finalize().to_le_bytes();
            if header.bytes::<2>()? != expected[..2] {
                return Err(damaged("the checksum of a member's header"));
            }
        }
        Ok(())
    }

    fn zlib_header(&mut self) -> io::Result<()> {
        let [method, flags] = Header {
            reader: &mut self.reader,
            checksum: crc32fast::Hasher::new(),
        }
        .bytes()?;
        let dictionary = flags & 0x20 != 0;
        if method & 15 != 8
            || method >> 4 > 7
            || u16::from_be_bytes([method, flags]) % 31 != 0
            || dictionary
        {
            return Err(damaged("no stream begins here"));
        }
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<Trailer> {
        let checksum = self.codes.word(&mut self.reader)?;
        Ok(match self.format {
            Format::Zlib => Trailer {
                checksum: checksum.swap_bytes(),
                length: None,
            },
            Format::Gzip | Format::FirstGzip => Trailer {
                checksum,
                length: Some(self.codes.word(&mut self.reader)?),
            },
        })
    }
}

/// The second step of decoding, with the checksums.
struct Bytes {
    window: Window,
    checksum: Checksum,
}

impl Bytes {
    /// Makes some bytes of a batch, unless there are some; false if it has none left.
    fn make(&mut self, batch: &mut Batch) -> io::Result<bool> {
        while self.window.ready().is_empty() {
            if batch.is_used() {
                return Ok(false);
            }
            let end = self.window.take(batch)?;
            self.checksum.update(self.window.ready());
            if end.is_some_and(|trailer| !self.checksum.matches(trailer)) {
                return Err(damaged("a stream's checksum or length"));
            }
        }
        Ok(true)
    }
}

/// Over the bytes of one stream.
enum Checksum {
    /// And how many they are, modulo 2^32.
    Crc(crc32fast::Hasher, u32),
    Adler(Adler32),
}

impl Checksum {
    fn of(format: Format) -> Checksum {
        match format {
            Format::Zlib => Checksum::Adler(Adler32::new()),
            Format::Gzip | Format::FirstGzip => Checksum::Crc(crc32fast::Hasher::new(), 0),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Checksum::Crc(crc, length) => {
                crc.update(bytes);
                *length = length.wrapping_add(u32::try_from(bytes.len()).expect("a small buffer"));
            }
            Checksum::Adler(adler) => adler.write(bytes),
        }
    }

    /// Whether it is what was written behind the stream; begins anew.
    fn matches(&mut self, trailer: Trailer) -> bool {
        match self {
            Checksum::Crc(crc, length) => {
                let checksum = std::mem::take(crc).finalize();
                checksum == trailer.checksum && trailer.length == Some(std::mem::take(length))
            }
            Checksum::Adler(adler) => std::mem::take(adler).finish() == trailer.checksum,
        }
    }
}

/// A header while it is read.
struct Header<'r, R> {
    reader: &'r mut R,
    checksum: crc32fast::Hasher,
}

impl<R: BufRead> Header<'_, R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => cut(),
                _ => error,
            })?;
        self.checksum.update(&bytes);
        Ok(bytes)
    }
}
