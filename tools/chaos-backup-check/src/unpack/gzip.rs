//! gzip (RFC 1952) and zlib (RFC 1950): DEFLATE with a header, and with a checksum behind it.

use std::io::{self, BufRead, ErrorKind, Read};

use simd_adler32::Adler32;

use super::inflate::{Inflate, cut, damaged};
use crate::pipe::read_buffered;

/// The decompressed bytes of a row of gzip members.
pub(super) struct Gzip<R> {
    reader: R,
    /// Stops behind the first.
    first: bool,
    inflate: Inflate,
    place: Place,
    /// Of the current member.
    checksum: crc32fast::Hasher,
    length: u32,
}

/// The decompressed bytes of one zlib stream, behind which nothing may follow.
pub(crate) struct Zlib<R> {
    reader: R,
    inflate: Inflate,
    place: Place,
    checksum: Adler32,
}

/// Where in a stream the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Data,
    /// Between two members, or at the end.
    Behind,
}

impl<R: BufRead> Gzip<R> {
    /// Of all members, or of the first.
    pub(super) fn new(reader: R, first: bool) -> Gzip<R> {
        let checksum = crc32fast::Hasher::new();
        Gzip { reader, first, inflate: Inflate::new(), place: Place::Start, checksum, length: 0 }
    }

    fn header(&mut self) -> io::Result<()> {
        let mut header = Header { reader: &mut self.reader, checksum: crc32fast::Hasher::new() };
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
        self.inflate.reset();
        self.checksum = crc32fast::Hasher::new();
        self.length = 0;
        self.place = Place::Data;
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        let checksum = self.inflate.word(&mut self.reader)?;
        let length = self.inflate.word(&mut self.reader)?;
        if checksum != std::mem::take(&mut self.checksum).finalize() || length != self.length {
            return Err(damaged("a member's checksum or length"));
        }
        self.place = Place::Behind;
        Ok(())
    }
}

impl<R: BufRead> BufRead for Gzip<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.inflate.ready().is_empty() {
            match self.place {
                Place::Start => self.header()?,
                Place::Data => {
                    let bytes = self.inflate.some(&mut self.reader)?;
                    if bytes.is_empty() {
                        self.trailer()?;
                    } else {
                        self.checksum.update(bytes);
                        // It is kept modulo 2^32.
                        self.length = self.length.wrapping_add(u32::try_from(bytes.len()).expect("a small buffer"));
                    }
                }
                Place::Behind if self.first || self.reader.fill_buf()?.is_empty() => break,
                Place::Behind => self.place = Place::Start,
            }
        }
        Ok(self.inflate.ready())
    }

    fn consume(&mut self, amount: usize) {
        self.inflate.consume(amount);
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

impl<R: BufRead> Zlib<R> {
    /// Takes the memory of another one.
    pub(crate) fn new(reader: R, mut inflate: Inflate) -> Zlib<R> {
        inflate.reset();
        Zlib { reader, inflate, place: Place::Start, checksum: Adler32::new() }
    }

    /// Gives its memory back.
    pub(crate) fn into_inflate(self) -> Inflate {
        self.inflate
    }

    fn header(&mut self) -> io::Result<()> {
        let [method, flags] = Header { reader: &mut self.reader, checksum: crc32fast::Hasher::new() }.bytes()?;
        let dictionary = flags & 0x20 != 0;
        if method & 15 != 8 || method >> 4 > 7 || u16::from_be_bytes([method, flags]) % 31 != 0 || dictionary {
            return Err(damaged("no stream begins here"));
        }
        self.place = Place::Data;
        Ok(())
    }
}

impl<R: BufRead> BufRead for Zlib<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.inflate.ready().is_empty() {
            match self.place {
                Place::Start => self.header()?,
                Place::Data => {
                    let bytes = self.inflate.some(&mut self.reader)?;
                    self.checksum.write(bytes);
                    if bytes.is_empty() {
                        if self.inflate.word(&mut self.reader)?.swap_bytes() != self.checksum.finish() {
                            return Err(damaged("the checksum of a stream"));
                        }
                        self.place = Place::Behind;
                    }
                }
                Place::Behind if self.reader.fill_buf()?.is_empty() => break,
                Place::Behind => return Err(damaged("something stands behind its compressed stream")),
            }
        }
        Ok(self.inflate.ready())
    }

    fn consume(&mut self, amount: usize) {
        self.inflate.consume(amount);
    }
}

impl<R: BufRead> Read for Zlib<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
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
        self.reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => cut(),
            _ => error,
        })?;
        self.checksum.update(&bytes);
        Ok(bytes)
    }
}
