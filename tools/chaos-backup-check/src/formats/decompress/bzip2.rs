//! A row of bzip2 streams, as bzip2 itself, pbzip2 and lbzip2 write them.

use std::io::{self, BufRead, Read};

use ::bzip2::bufread::BzDecoder;

use super::trailing_zeros;

/// The decompressed bytes of all streams, or of the first.
pub(super) struct Bzip2<R: BufRead> {
    /// `None` behind the last stream.
    stream: Option<BzDecoder<R>>,
    /// Stops behind the first, whatever follows.
    first: bool,
}

impl<R: BufRead> Bzip2<R> {
    pub(super) fn new(reader: R, first: bool) -> Bzip2<R> {
        Bzip2 {
            stream: Some(BzDecoder::new(reader)),
            first,
        }
    }
}

impl<R: BufRead> Read for Bzip2<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(stream) = &mut self.stream {
            let read = stream.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let Some(stream) = self.stream.take() else {
                break;
            };
            let mut reader = stream.into_inner();
            if !self.first && !trailing_zeros(&mut reader)? {
                self.stream = Some(BzDecoder::new(reader));
            }
        }
        Ok(0)
    }
}
