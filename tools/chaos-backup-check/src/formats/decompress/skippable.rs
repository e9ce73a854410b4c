//! Skippable frames, which zstd and lz4 have in common ("Skippable Frames" in the descriptions of
//! both formats): a magic number, a length, and so many bytes that mean nothing to a decoder. pzstd
//! writes one before each frame.

use std::io::{self, BufRead, ErrorKind};

/// Bytes of a magic number.
pub(super) const MAGIC: usize = 4;

/// Whether a frame that begins so is passed over.
pub(super) fn is_skippable(magic: [u8; MAGIC]) -> bool {
    u32::from_le_bytes(magic) & 0xffff_fff0 == 0x184d_2a50
}

/// What stands behind the skippable frames at the beginning; `None` where one of them is longer
/// than these bytes.
pub(super) fn behind(mut start: &[u8]) -> Option<&[u8]> {
    while let Some((magic, rest)) = start.split_first_chunk::<MAGIC>()
        && is_skippable(*magic)
    {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        start = rest.get(length..)?;
    }
    Some(start)
}

/// Reads past skippable frames, and gives the magic number of the next frame: fewer bytes of it
/// where the input ends before.
pub(super) fn next_magic(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    loop {
        let magic = up_to(reader, MAGIC)?;
        let Ok(whole) = <[u8; MAGIC]>::try_from(&magic[..]) else {
            return Ok(magic);
        };
        if !is_skippable(whole) {
            return Ok(magic);
        }
        let length = up_to(reader, 4)?;
        let length = <[u8; 4]>::try_from(&length[..]).map_err(|_| cut())?;
        skip(reader, u64::from(u32::from_le_bytes(length)))?;
    }
}

/// So many bytes, or fewer at the end of the input.
fn up_to(reader: &mut impl BufRead, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most);
    while bytes.len() < most {
        let there = reader.fill_buf()?;
        if there.is_empty() {
            break;
        }
        let taken = there.len().min(most - bytes.len());
        bytes.extend_from_slice(&there[..taken]);
        reader.consume(taken);
    }
    Ok(bytes)
}

fn skip(reader: &mut impl BufRead, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let there = reader.fill_buf()?.len();
        if there == 0 {
            return Err(cut());
        }
        let taken = there.min(usize::try_from(left).unwrap_or(usize::MAX));
        reader.consume(taken);
        left -= taken as u64;
    }
    Ok(())
}

fn cut() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "a skippable frame is cut")
}
