//! An archive as a row of blocks, read in bounded memory.

use std::io::{self, Read};

use super::header::BLOCK;
use crate::trouble::Trouble;
use crate::unpack;

const BUFFER: usize = 256 << 10;

/// The unpacked stream of an archive.
pub(super) struct Blocks<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    position: u64,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R) -> Blocks<R> {
        Blocks { reader, buffer: vec![0; BUFFER].into_boxed_slice(), start: 0, end: 0, position: 0 }
    }

    /// Bytes read so far, after decompression.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Up to `most` of the next bytes; none at the end of the stream.
    pub(super) fn some(&mut self, most: u64) -> Result<&[u8], Trouble> {
        if self.start == self.end {
            self.end = read(&mut self.reader, &mut self.buffer, self.position)?;
            self.start = 0;
        }
        let taken = (self.end - self.start).min(usize::try_from(most).unwrap_or(usize::MAX));
        let bytes = &self.buffer[self.start..self.start + taken];
        self.start += taken;
        self.position += taken as u64;
        Ok(bytes)
    }

    /// The next block; `None` at the end of the stream.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Trouble> {
        let at = self.position;
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let bytes = self.some((BLOCK - filled) as u64)?;
            match bytes.len() {
                0 if filled == 0 => return Ok(None),
                0 => {
                    return Trouble::damaged(format!(
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

    /// Reads past so many bytes of a member and the rest of their last block. `keep` takes the bytes.
    pub(super) fn data(&mut self, size: u64, name: &str, mut keep: impl FnMut(&[u8])) -> Result<(), Trouble> {
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
                return Trouble::damaged(format!(
                    "is cut: it ends after {there} of the {size} bytes of member {name:?}, which begin at byte {at} of the archive"
                ));
            }
            if !padded {
                keep(bytes);
            }
            left -= bytes.len() as u64;
        }
    }
}

/// Reads some bytes. The error tells damage that decompression found from a failing disk.
fn read(reader: &mut impl Read, buffer: &mut [u8], position: u64) -> Result<usize, Trouble> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(|error| unpack::trouble(&error, position)),
        }
    }
}
