//! The second step: what was decoded before, and behind it what is made now of literals and
//! matches.
//!
//! Literals and matches are copied in large pieces, whose end may lie behind theirs.

use std::io;

use super::batch::{Batch, DISTANCES, LITERALS, Trailer};
use super::damaged;

/// How far back a match may reach.
const REACH: usize = 32 << 10;
/// Bytes that are made at a time, about.
const OUTPUT: usize = 128 << 10;
/// Bytes of the pieces that are copied.
const PIECE: usize = 32;
/// What may be written beyond `OUTPUT`: all literals of a batch, the longest match, and the end of
/// its last piece.
const MARGIN: usize = LITERALS + 258 + 2 * PIECE;
const BUFFER: usize = REACH + OUTPUT + MARGIN;

/// What was made of batches, one after another.
pub(in crate::formats::decompress) struct Window {
    buffer: Box<[u8; BUFFER]>,
    /// What is before it in the buffer was used by the caller.
    used: usize,
    /// Where the next byte goes.
    position: usize,
    /// Where the stream begins, if that is still here: no match may reach back beyond it.
    start: usize,
}

impl Window {
    pub(in crate::formats::decompress) fn new() -> Window {
        Window {
            buffer: vec![0; BUFFER]
                .into_boxed_slice()
                .try_into()
                .expect("of this size"),
            used: 0,
            position: 0,
            start: 0,
        }
    }

    /// Begins anew.
    pub(in crate::formats::decompress) fn clear(&mut self) {
        (self.used, self.position, self.start) = (0, 0, 0);
    }

    /// What was made and not used.
    pub(in crate::formats::decompress) fn ready(&self) -> &[u8] {
        &self.buffer[self.used..self.position]
    }

    /// Marks some of it as used.
    pub(in crate::formats::decompress) fn consume(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// Makes some more bytes, when those before are used; no more of the batch than to the end of a
    /// stream, and gives what stands behind that.
    pub(in crate::formats::decompress) fn take(
        &mut self,
        batch: &mut Batch,
    ) -> io::Result<Option<Trailer>> {
        if self.position >= REACH + OUTPUT {
            self.buffer
                .copy_within(self.position - REACH..self.position, 0);
            self.start = self.start.saturating_sub(self.position - REACH);
            self.position = REACH;
        }
        self.used = self.position;
        let end = batch.next_end();
        let (buffer, literals) = (&mut *self.buffer, &*batch.literals);
        let (mut position, mut literal) = (self.position, batch.used.literals);
        let matches = batch.used.matches..end.matches;
        let (lengths, distances) = batch.numbers.split_at(DISTANCES);
        let runs = batch.before[matches.clone()]
            .iter()
            .zip(&lengths[matches.clone()])
            .zip(&distances[matches]);
        let mut done = 0;
        for ((before, length), distance) in runs {
            if position >= REACH + OUTPUT {
                break;
            }
            let before = usize::from(*before);
            let (from, to) = (literal, position);
            position += before - literal;
            literal = before;
            append(&literals[from..], &mut buffer[to..], before - from);
            let (length, distance) = (3 + usize::from(*length & 0xff), 1 + usize::from(*distance));
            if distance > position - self.start {
                return Err(damaged("a distance reaches before the beginning"));
            }
            copy(buffer, position - distance, position, length);
            position += length;
            done += 1;
        }
        batch.used.matches += done;
        let mut trailer = None;
        if batch.used.matches == end.matches && position < REACH + OUTPUT {
            let tail = &literals[literal..end.literals];
            buffer[position..position + tail.len()].copy_from_slice(tail);
            (position, literal) = (position + tail.len(), end.literals);
            if end.trailer.is_some() {
                batch.used.ends += 1;
                self.start = position;
                trailer = end.trailer;
            }
        }
        batch.used.literals = literal;
        self.position = position;
        Ok(trailer)
    }
}

/// Copies so many bytes, few most of the time, and what stands behind them up to a whole piece.
#[inline(always)]
fn append(from: &[u8], to: &mut [u8], bytes: usize) {
    to[..PIECE].copy_from_slice(&from[..PIECE]);
    if bytes > PIECE {
        many(from, to, bytes);
    }
}

#[cold]
#[inline(never)]
fn many(from: &[u8], to: &mut [u8], bytes: usize) {
    to[..bytes].copy_from_slice(&from[..bytes]);
}

/// Copies a match, which may overlap itself; may write up to a piece beyond it.
#[inline(always)]
fn copy(buffer: &mut [u8; BUFFER], from: usize, to: usize, length: usize) {
    if to - from < PIECE {
        near(buffer, from, to, length);
        return;
    }
    piece::<PIECE>(buffer, from, to);
    if length > PIECE {
        far(buffer, from, to, length);
    }
}

/// Copies what is behind the first piece.
#[inline(never)]
fn far(buffer: &mut [u8; BUFFER], from: usize, to: usize, length: usize) {
    (PIECE..length)
        .step_by(PIECE)
        .for_each(|done| piece::<PIECE>(buffer, from + done, to + done));
}

#[inline(always)]
fn piece<const SIZE: usize>(buffer: &mut [u8; BUFFER], from: usize, to: usize) {
    let piece: [u8; SIZE] = buffer[from..from + SIZE].try_into().expect("of this size");
    buffer[to..to + SIZE].copy_from_slice(&piece);
}

/// Copies a match that begins less than a piece before its end. No piece may read what it has not
/// written yet.
#[inline(never)]
fn near(buffer: &mut [u8; BUFFER], from: usize, to: usize, length: usize) {
    match to - from {
        16.. => (0..length)
            .step_by(16)
            .for_each(|done| piece::<16>(buffer, from + done, to + done)),
        8.. => (0..length)
            .step_by(8)
            .for_each(|done| piece::<8>(buffer, from + done, to + done)),
        1 => {
            let byte = buffer[from];
            buffer[to..to + length].fill(byte);
        }
        _ => (0..length).for_each(|done| buffer[to + done] = buffer[from + done]),
    }
}
