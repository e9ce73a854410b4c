//! What goes from the first step of decoding to the second: literals and matches.

// What counts a batch's literals, and a length or distance less the least, has 16 bits.
#![allow(clippy::cast_possible_truncation)]

use super::tables::LENGTH;

/// Literals of a batch, about.
pub(super) const LITERALS: usize = 32 << 10;
/// Matches of a batch, about.
pub(super) const MATCHES: usize = 8 << 10;
/// What may be written beyond [`LITERALS`], those of one round, and read, to the end of a piece.
const MARGIN: usize = 64;
/// Places for matches; those behind the last are written before it is known whether there is one.
const PLACES: usize = MATCHES + 8;
/// How much further than a length its distance stands, for each unit of [`LENGTH`].
pub(super) const BESIDE: usize = PLACES.div_ceil(LENGTH as usize);
/// Where distances begin.
pub(super) const DISTANCES: usize = BESIDE * LENGTH as usize;

/// Literals, in one row, and the matches between them.
pub(in crate::formats::decompress) struct Batch {
    pub(super) literals: Box<[u8; LITERALS + MARGIN]>,
    /// Literals that are there.
    pub(super) written: usize,
    /// Of each match, how many literals are before it.
    pub(super) before: Box<[u16; PLACES]>,
    /// Of each match, the length less three in the lower byte, and nothing of meaning in the other;
    /// from [`DISTANCES`] on, how far back each begins, less one.
    pub(super) numbers: Box<[u16; 2 * DISTANCES]>,
    /// Matches that are there.
    pub(super) count: usize,
    /// Where streams end, in order.
    ends: Vec<End>,
    /// How much of it is bytes already.
    pub(super) used: Used,
}

/// Where a stream ends.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) matches: usize,
    pub(super) literals: usize,
    /// Nothing at the end of a batch, where none ends.
    pub(super) trailer: Option<Trailer>,
}

/// What stands behind a stream.
#[derive(Clone, Copy)]
pub(in crate::formats::decompress) struct Trailer {
    pub(in crate::formats::decompress) checksum: u32,
    /// Number of bytes, modulo 2^32, where it is said.
    pub(in crate::formats::decompress) length: Option<u32>,
}

/// How far the second step is in a batch.
#[derive(Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) literals: usize,
    pub(super) matches: usize,
    pub(super) ends: usize,
}

impl Batch {
    pub(in crate::formats::decompress) fn new() -> Batch {
        Batch {
            literals: vec![0; LITERALS + MARGIN]
                .into_boxed_slice()
                .try_into()
                .expect("of this size"),
            written: 0,
            before: vec![0; PLACES]
                .into_boxed_slice()
                .try_into()
                .expect("of this size"),
            numbers: vec![0; 2 * DISTANCES]
                .into_boxed_slice()
                .try_into()
                .expect("of this size"),
            count: 0,
            ends: Vec::new(),
            used: Used::default(),
        }
    }

    pub(in crate::formats::decompress) fn clear(&mut self) {
        (self.written, self.count, self.used) = (0, 0, Used::default());
        self.ends.clear();
    }

    pub(in crate::formats::decompress) fn is_full(&self) -> bool {
        self.written >= LITERALS || self.count >= MATCHES
    }

    /// Whether nothing is left in it.
    pub(in crate::formats::decompress) fn is_used(&self) -> bool {
        self.used.literals == self.written
            && self.used.matches == self.count
            && self.used.ends == self.ends.len()
    }

    /// Adds a literal.
    pub(super) fn put(&mut self, literal: u8) {
        self.literals[self.written] = literal;
        self.written += 1;
    }

    /// Adds literals as far as there is room for them; says how many.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> usize {
        let some = bytes.len().min(LITERALS - self.written);
        self.literals[self.written..self.written + some].copy_from_slice(&bytes[..some]);
        self.written += some;
        some
    }

    /// Begins a match, with its length less three.
    pub(super) fn length(&mut self, length: u16) {
        self.before[self.count] = self.written as u16;
        self.numbers[self.count] = length;
    }

    /// Ends a match, with how far back it begins, less one.
    pub(super) fn distance(&mut self, distance: u16) {
        self.numbers[DISTANCES + self.count] = distance;
        self.count += 1;
    }

    /// The stream ends here.
    pub(in crate::formats::decompress) fn end(&mut self, trailer: Trailer) {
        self.ends.push(End {
            matches: self.count,
            literals: self.written,
            trailer: Some(trailer),
        });
    }

    /// Where the next stream ends, or what there is.
    pub(super) fn next_end(&self) -> End {
        let all = End {
            matches: self.count,
            literals: self.written,
            trailer: None,
        };
        self.ends.get(self.used.ends).copied().unwrap_or(all)
    }
}
