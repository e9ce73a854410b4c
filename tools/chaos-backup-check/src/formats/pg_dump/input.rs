//! The elements that a custom-format dump is made of, read from a stream.

use std::io::{BufRead, ErrorKind};

use blake3::Hasher;

use super::encoding::Encoding;
use super::text::Text;
use crate::formats::decompress;
use crate::formats::error::FormatError;

/// A dump while it is read.
pub(super) struct Input<R> {
    reader: R,
    /// Bytes read so far.
    position: u64,
    size: Option<u64>,
    /// Bytes of an integer, as the header says.
    pub(super) int_size: usize,
    /// Bytes of a file offset, as the header says.
    pub(super) off_size: usize,
    /// Of texts.
    pub(super) encoding: Encoding,
    /// The digest of what is read, while it is wanted.
    pub(super) digest: Option<Hasher>,
}

impl<R: BufRead> Input<R> {
    /// `size` is the file's length, if it is known.
    pub(super) fn new(reader: R, size: Option<u64>) -> Input<R> {
        Input {
            reader,
            position: 0,
            size,
            int_size: 4,
            off_size: 8,
            encoding: Encoding::AnyBytes,
            digest: None,
        }
    }

    /// What it reads from.
    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The bytes at hand, at least one but at the end of the file.
    pub(super) fn fill(&mut self) -> Result<&[u8], FormatError> {
        let position = self.position;
        let trouble = |error: &std::io::Error| decompress::trouble(error, position);
        loop {
            match self.reader.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(trouble(&error)),
            }
        }
        self.reader.fill_buf().map_err(|error| trouble(&error))
    }

    /// Marks bytes of [`Input::fill`] as read.
    pub(super) fn consume(&mut self, bytes: usize) {
        if let Some(digest) = &mut self.digest
            // They are at hand: nothing is read for this.
            && let Ok(there) = self.reader.fill_buf()
        {
            digest.update(&there[..bytes]);
        }
        self.reader.consume(bytes);
        self.position += bytes as u64;
    }

    /// The next byte. `what` is what it belongs to.
    pub(super) fn byte(&mut self, what: &str) -> Result<u8, FormatError> {
        match self.fill()?.first().copied() {
            Some(byte) => {
                self.consume(1);
                Ok(byte)
            }
            None => Err(self.cut(what)),
        }
    }

    /// An integer: its sign, then its absolute value, the least significant byte first
    /// (`ReadInt` in PostgreSQL's `pg_backup_archiver.c`).
    pub(super) fn int(&mut self, what: &str) -> Result<i64, FormatError> {
        let at = self.position;
        let short = self.int_size == 4;
        let (sign, value) = match self.fill()?.first_chunk::<5>() {
            // The usual case, without a look at the end of the buffer for each byte.
            Some(&[sign, a, b, c, d]) if short => {
                self.consume(5);
                (sign, u64::from(u32::from_le_bytes([a, b, c, d])))
            }
            _ => (self.byte(what)?, self.little_endian(self.int_size, what)?),
        };
        let value = i64::try_from(value)
            .ok()
            .filter(|value| *value <= i64::from(u32::MAX));
        match (sign, value) {
            (0, Some(value)) => Ok(value),
            (1, Some(value)) if value > 0 => Ok(-value),
            _ => FormatError::damaged(format!(
                "is damaged at byte {at}: no number where {what} should be"
            )),
        }
    }

    /// An integer that must lie within `range`.
    pub(super) fn int_in(
        &mut self,
        range: std::ops::RangeInclusive<i64>,
        what: &str,
    ) -> Result<i64, FormatError> {
        let at = self.position;
        let value = self.int(what)?;
        if range.contains(&value) {
            return Ok(value);
        }
        FormatError::damaged(format!("is damaged at byte {at}: {what} cannot be {value}"))
    }

    /// An unsigned number of so many bytes, the least significant first.
    pub(super) fn little_endian(&mut self, bytes: usize, what: &str) -> Result<u64, FormatError> {
        let mut value = 0_u64;
        for shift in 0..bytes {
            value |= u64::from(self.byte(what)?) << (8 * shift);
        }
        Ok(value)
    }

    /// A length and so many bytes of text, or no text at all (length -1). No more than `keep` bytes
    /// are kept, so that a text of any length is read in little memory.
    pub(super) fn text(&mut self, keep: usize, what: &str) -> Result<Option<String>, FormatError> {
        let at = self.position;
        let length = match self.int(what)? {
            -1 => return Ok(None),
            length => u64::try_from(length).map_err(|_| {
                FormatError::Damaged(format!(
                    "is damaged at byte {at}: {what} cannot be {length} long"
                ))
            })?,
        };
        self.room_for(length, at, what)?;
        let mut kept = Vec::new();
        let mut left = length;
        let mut text = Text::new(self.encoding);
        while left > 0 {
            let bytes = self.fill()?;
            let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            if bytes.is_empty() {
                return Err(self.cut(what));
            }
            if let Err(why) = text.take(bytes) {
                return FormatError::damaged(format!("is damaged behind byte {at}: {what} {why}"));
            }
            kept.extend_from_slice(&bytes[..bytes.len().min(keep.saturating_sub(kept.len()))]);
            let taken = bytes.len();
            left -= taken as u64;
            self.consume(taken);
        }
        if text.in_a_character() {
            return FormatError::damaged(format!(
                "is damaged behind byte {at}: {what} ends in the middle of a character"
            ));
        }
        Ok(Some(String::from_utf8_lossy(&kept).into_owned()))
    }

    /// Whether so many bytes can follow. `at` is where that was claimed.
    pub(super) fn room_for(&self, length: u64, at: u64, what: &str) -> Result<(), FormatError> {
        let Some(left) = self
            .size
            .map(|size| size.saturating_sub(self.position))
            .filter(|left| length > *left)
        else {
            return Ok(());
        };
        FormatError::damaged(format!(
            "is cut or damaged: {what} at byte {at} claims {length} bytes, and the file ends after {left} more"
        ))
    }

    /// The file ends too early.
    pub(super) fn cut(&self, what: &str) -> FormatError {
        FormatError::Damaged(format!(
            "is cut: it ends at byte {}, in the middle of {what}",
            self.position
        ))
    }
}
