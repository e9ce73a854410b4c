//! gzip (RFC 1952) and zlib (RFC 1950). The library decodes one stream with its header, checksum
//! and length; here it is told whether the input ends with a stream, and what may follow.

#[cfg(test)]
mod tests;

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::{Decompress, DecompressError, FlushDecompress, Status};

use super::trailing_zeros;

/// The largest window that DEFLATE has, as a power of two.
const WINDOW_LOG: u8 = 15;

/// What stands around DEFLATE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// A row of gzip members.
    Gzip,
    /// The first gzip member, whatever is behind it.
    FirstGzip,
    /// One zlib stream, behind which nothing may follow.
    Zlib,
}

/// The bytes of compressed streams. What is right before damage comes before its error.
pub(super) struct Inflated<R> {
    reader: R,
    format: Format,
    decompress: Decompress,
    place: Position,
}

/// Where in the input the next byte is.
enum Position {
    Stream,
    /// Behind a stream: at the end, or before the next one.
    Behind,
    /// At damage; the bytes before it were given.
    Damage(DecompressError),
}

impl<R: BufRead> Inflated<R> {
    pub(super) fn new(reader: R, format: Format) -> Inflated<R> {
        let decompress = match format {
            Format::Gzip | Format::FirstGzip => Decompress::new_gzip(WINDOW_LOG),
            Format::Zlib => Decompress::new(true),
        };
        Inflated {
            reader,
            format,
            decompress,
            place: Position::Stream,
        }
    }

    /// Whether nothing more is to be decoded, behind a stream.
    fn is_over(&mut self) -> io::Result<bool> {
        match self.format {
            Format::FirstGzip => Ok(true),
            Format::Gzip => trailing_zeros(&mut self.reader),
            Format::Zlib if self.reader.fill_buf()?.is_empty() => Ok(true),
            Format::Zlib => Err(damaged("something stands behind its compressed stream")),
        }
    }

    /// Decodes some more of a stream; nothing where that took input only.
    fn decode(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = self.reader.fill_buf()?;
        let cut = input.is_empty();
        let before = (self.decompress.total_in(), self.decompress.total_out());
        let status = self
            .decompress
            .decompress(input, buffer, FlushDecompress::None);
        let taken = small(self.decompress.total_in() - before.0);
        let made = small(self.decompress.total_out() - before.1);
        self.reader.consume(taken);
        match status {
            Ok(Status::StreamEnd) => self.place = Position::Behind,
            Ok(_) if cut && made == 0 => {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the stream is cut",
                ));
            }
            Ok(_) if taken == 0 && made == 0 => return Err(damaged("the stream does not go on")),
            Ok(_) => {}
            Err(error) => self.place = Position::Damage(error),
        }
        Ok(made)
    }
}

impl<R: BufRead> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match &self.place {
                Position::Damage(error) => return Err(damaged(error.clone())),
                Position::Behind => {
                    if self.is_over()? {
                        return Ok(0);
                    }
                    self.decompress.reset(true);
                    self.place = Position::Stream;
                }
                Position::Stream => match self.decode(buffer)? {
                    0 => {}
                    made => return Ok(made),
                },
            }
        }
    }
}

fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn small(bytes: u64) -> usize {
    usize::try_from(bytes).expect("no more than a buffer has")
}
