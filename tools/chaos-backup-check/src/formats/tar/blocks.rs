//! An archive as a row of blocks, read in bounded memory.

use std::io::{self, BufRead};

use super::header::BLOCK;
use crate::formats::decompress;
use crate::formats::error::FormatError;

/// The unpacked stream of an archive.
pub(super) struct Blocks<R> {
    reader: R,
    /// Bytes that were given out last, and are still in the reader's buffer.
    given: usize,
    position: u64,
}

impl<R: BufRead> Blocks<R> {
    pub(super) fn new(reader: R) -> Blocks<R> {
        Blocks {
            reader,
            given: 0,
            position: 0,
        }
    }

    /// Bytes read so far, after decompression.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Up to `most` of the next bytes; none at the end of the stream.
    pub(super) fn some(&mut self, most: u64) -> Result<&[u8], FormatError> {
        self.reader.consume(std::mem::take(&mut self.given));
        let bytes = fill(&mut self.reader, self.position)?;
        self.given = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        self.position += self.given as u64;
        Ok(&bytes[..self.given])
    }

    /// The next block; `None` at the end of the stream.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, FormatError> {
        let at = self.position;
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let bytes = self.some((BLOCK - filled) as u64)?;
            match bytes.len() {
                0 if filled == 0 => return Ok(None),
                0 => {
                    return FormatError::damaged(format!(
                        "is cut: it ends in the middle of the block at byte {at} of the archive"
                    ));
                }
                read => {
                    block[filled..filled + read].copy_from_slice(bytes);
                    filled += read;
                }
            }
        }
        Ok(Some(block))
    }

    /// Reads past so many bytes of a member and the rest of their last block. `take` gets the
    /// bytes.
    pub(super) fn data(
        &mut self,
        size: u64,
        name: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let at = self.position;
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        let mut left = size;
        let mut padded = false;
        loop {
            if left == 0 {
                if padded || padding == 0 {
                    return Ok(());
                }
                (left, padded) = (padding, true);
            }
            let bytes = self.some(left)?;
            if bytes.is_empty() {
                let there = self.position - at;
                return FormatError::damaged(format!(
                    "is cut: it ends after {there} of the {size} bytes of member {name:?}, which begin at byte {at} of the archive"
                ));
            }
            if !padded {
                take(bytes)?;
            }
            left -= bytes.len() as u64;
        }
    }
}

/// The bytes at hand. The error tells damage that decompression found from a failing disk.
fn fill(reader: &mut impl BufRead, position: u64) -> Result<&[u8], FormatError> {
    while let Err(error) = reader.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(decompress::trouble(&error, position));
        }
    }
    reader
        .fill_buf()
        .map_err(|error| decompress::trouble(&error, position))
}
