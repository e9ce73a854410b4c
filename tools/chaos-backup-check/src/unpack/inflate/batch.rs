//! What goes from the first step of decoding to the second: literals and matches.

// Lengths and distances have 16 bits, and the literals of a batch fewer than 32.
#![allow(clippy::cast_possible_truncation)]

/// Literals of a batch, about.
pub(super) const LITERALS: usize = 32 << 10;
/// Literals that may stand before a match.
pub(super) const MOST: usize = 510;
/// Runs of a batch, about.
pub(super) const RUNS: usize = 8 << 10;
/// What may be written beyond [`LITERALS`], those of one round, and read, to the end of a piece.
const MARGIN: usize = 64;

/// Literals, in one row, and how they and what repeats them follow on each other.
pub(in crate::unpack) struct Batch {
    pub(super) literals: Box<[u8; LITERALS + MARGIN]>,
    /// Literals that are there.
    pub(super) written: usize,
    /// Those before it belong to a run.
    pub(super) open: usize,
    pub(super) runs: Box<[Run; RUNS + 2]>,
    /// Runs that are there.
    pub(super) count: usize,
    /// What stands behind the streams that end here, in order.
    trailers: Vec<Trailer>,
    /// How much of it is bytes already.
    pub(super) used: Used,
}

/// Literals, and what comes behind them, in 32 bits, because all of it goes from one processor's cache to another's:
/// bits 0 to 14 how far back a match begins, less one; bits 15 to 22 its length, less three; bits 23 to 31 the literals
/// before it. With [`LONG`] in their place there is no match, and bits 0 to 15 are the number of literals. With [`END`]
/// besides, the stream ends behind them.
pub(super) type Run = u32;

/// Instead of a number of literals.
pub(super) const LONG: Run = 0x1ff << 23;
/// With [`LONG`]: the stream ends.
pub(super) const END: Run = 1 << 16;

/// What stands behind a stream.
#[derive(Clone, Copy)]
pub(in crate::unpack) struct Trailer {
    pub(in crate::unpack) checksum: u32,
    /// Number of bytes, modulo 2^32, where it is said.
    pub(in crate::unpack) length: Option<u32>,
}

/// How far the second step is in a batch.
#[derive(Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) literals: usize,
    pub(super) runs: usize,
    trailers: usize,
}

/// Fewer than 511 literals with a match behind them.
#[inline]
pub(super) fn matched(literals: usize, length: usize, distance: usize) -> Run {
    (literals as u32) << 23 | (length as u32 - 3) << 15 | (distance as u32 - 1)
}

impl Batch {
    pub(in crate::unpack) fn new() -> Batch {
        Batch {
            literals: vec![0; LITERALS + MARGIN].into_boxed_slice().try_into().expect("of this size"),
            written: 0,
            open: 0,
            runs: vec![0; RUNS + 2].into_boxed_slice().try_into().expect("of this size"),
            count: 0,
            trailers: Vec::new(),
            used: Used::default(),
        }
    }

    pub(in crate::unpack) fn clear(&mut self) {
        (self.written, self.open, self.count, self.used) = (0, 0, 0, Used::default());
        self.trailers.clear();
    }

    pub(in crate::unpack) fn is_full(&self) -> bool {
        self.written >= LITERALS || self.count >= RUNS
    }

    /// Whether nothing is left in it.
    pub(in crate::unpack) fn is_used(&self) -> bool {
        self.used.runs == self.count
    }

    /// Adds up to two literals, the lower byte first.
    pub(super) fn put(&mut self, literals: u16, count: usize) {
        self.literals[self.written..self.written + 2].copy_from_slice(&literals.to_le_bytes());
        self.written += count;
    }

    /// Adds literals as far as there is room for them; says how many.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> usize {
        let some = bytes.len().min(LITERALS - self.written);
        self.literals[self.written..self.written + some].copy_from_slice(&bytes[..some]);
        self.written += some;
        some
    }

    /// Adds a match.
    pub(super) fn repeat(&mut self, length: usize, distance: usize) {
        self.flush(MOST);
        self.run(matched(self.written - self.open, length, distance));
    }

    /// Adds a run of literals alone, where there are more of them than stand before a match.
    fn flush(&mut self, most: usize) {
        if self.written - self.open > most {
            self.run(LONG | (self.written - self.open) as u32);
        }
    }

    /// The stream ends here.
    pub(in crate::unpack) fn end(&mut self, trailer: Trailer) {
        self.trailers.push(trailer);
        self.run(LONG | END | (self.written - self.open) as u32);
    }

    /// What is there is all of it.
    pub(in crate::unpack) fn close(&mut self) {
        self.flush(0);
    }

    fn run(&mut self, run: Run) {
        self.runs[self.count] = run;
        self.count += 1;
        self.open = self.written;
    }

    /// The trailer of the next stream that ends here.
    pub(super) fn trailer(&mut self) -> Trailer {
        let trailer = self.trailers[self.used.trailers];
        self.used.trailers += 1;
        trailer
    }
}
