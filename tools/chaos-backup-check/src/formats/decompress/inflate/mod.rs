//! DEFLATE (RFC 1951), decoded as it comes, in bounded memory and in two steps that two threads can
//! share: bits to literals and matches ([`Codes`], here), and these to bytes ([`window`]). Between
//! them goes a [`Batch`].
//!
//! Most of the time that a compressed backup takes goes by here. What makes the first step quick:
//! 64 bits are taken from the input at once; one look-up gives up to two literals, or a literal and
//! a length ([`tables`]); what comes next is looked up before this is noted; and no branch depends
//! on what it is, because a processor guesses every other one of those wrong. Near the end of the
//! input at hand a second, careful loop takes one byte after another.

// Entries and bits are taken apart; what is cast is masked before.
#![allow(clippy::cast_possible_truncation)]
// What is compiled for two kinds of processors must be compiled into each.
#![allow(clippy::inline_always)]

mod batch;
mod tables;
#[cfg(test)]
mod tests;
mod window;

use std::io::{self, BufRead, ErrorKind};

use self::batch::{BESIDE, LITERALS as ROOM, MATCHES};
pub(super) use self::batch::{Batch, Trailer};
use self::tables::{
    CODE_BITS, CODE_ENTRIES, DISTANCES, END, Entry, INDEX_BITS, INVALID, LENGTH, LITERALS, SPECIAL,
    Tables, code_bits, taken,
};
pub(super) use self::window::Window;

/// Bytes of input that the quick loop needs at hand for one round: it takes bits three times.
const AHEAD: usize = 32;

/// One stream after another while their bits are read.
pub(super) struct Codes {
    state: State,
    /// Whether this block is the last.
    last: bool,
    /// Zero, or [`LENGTH`] between a length and its distance.
    open: Entry,
    bits: Bits,
    tables: Box<Tables>,
    /// Uses no instructions that some processors lack; for a test.
    plain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Before a block.
    Block,
    /// In a block that is not compressed, before so many bytes.
    Stored(usize),
    /// In a block of codes.
    Codes,
    End,
}

pub(super) fn damaged(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

impl Codes {
    pub(super) fn new() -> Codes {
        Codes {
            state: State::Block,
            last: false,
            open: 0,
            bits: Bits::default(),
            tables: Box::new([0; _]),
            plain: false,
        }
    }

    /// Begins another stream.
    pub(super) fn reset(&mut self) {
        (self.state, self.last, self.open, self.bits) = (State::Block, false, 0, Bits::default());
    }

    /// The next four whole bytes behind the stream, the lowest first.
    pub(super) fn word(&mut self, input: &mut impl BufRead) -> io::Result<u32> {
        self.bits.align();
        self.bits.take(input, 32)
    }

    /// Adds to a batch until it is full, or up to the end of the stream: then true.
    pub(super) fn decode(
        &mut self,
        input: &mut impl BufRead,
        batch: &mut Batch,
    ) -> io::Result<bool> {
        while self.wants_more(batch) {
            match self.state {
                State::Block if self.last => self.state = State::End,
                State::Block => self.block(input)?,
                State::Stored(left) => self.stored(input, batch, left)?,
                State::Codes => self.codes(input, batch)?,
                State::End => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Whether there is room in the batch, or a match begun in it.
    fn wants_more(&self, batch: &Batch) -> bool {
        !batch.is_full() || self.open != 0
    }

    /// Reads a block's header.
    fn block(&mut self, input: &mut impl BufRead) -> io::Result<()> {
        let header = self.bits.take(input, 3)?;
        self.last = header & 1 == 1;
        match header >> 1 {
            0 => {
                self.bits.align();
                let (length, check) = (self.bits.take(input, 16)?, self.bits.take(input, 16)?);
                if length != !check & 0xffff {
                    return Err(damaged("the length of a block that is not compressed"));
                }
                self.state = State::Stored(length as usize);
            }
            1 => {
                let mut lengths = [8; LITERALS];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                tables::literals(&lengths, &mut self.tables);
                tables::distances(&[5; DISTANCES], &mut self.tables);
                self.state = State::Codes;
            }
            2 => {
                self.lengths(input)?;
                self.state = State::Codes;
            }
            _ => return Err(damaged("no such kind of block")),
        }
        Ok(())
    }

    /// Reads the codes of a block.
    fn lengths(&mut self, input: &mut impl BufRead) -> io::Result<()> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let literals = self.bits.take(input, 5)? as usize + 257;
        let distances = self.bits.take(input, 5)? as usize + 1;
        let codes = self.bits.take(input, 4)? as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(damaged("too many codes"));
        }
        let mut of_codes = [0; 19];
        for place in &ORDER[..codes] {
            of_codes[*place] = self.bits.take(input, 3)? as u8;
        }
        let mut table = [0; CODE_ENTRIES];
        if !tables::codes(&of_codes, &mut table) {
            return Err(damaged("the codes of the lengths of codes"));
        }
        let mut lengths = [0_u8; 286 + 30];
        let mut at = 0;
        while at < literals + distances {
            let entry = self.bits.look_up(input, &table, 0, CODE_BITS)?;
            let (length, times) = match entry >> 16 {
                length @ 0..16 => (length as u8, 1),
                16 => {
                    let Some(before) = at.checked_sub(1) else {
                        return Err(damaged("a length is repeated before the first"));
                    };
                    (lengths[before], 3 + self.bits.take(input, 2)? as usize)
                }
                17 => (0, 3 + self.bits.take(input, 3)? as usize),
                _ => (0, 11 + self.bits.take(input, 7)? as usize),
            };
            let Some(places) = lengths[..literals + distances].get_mut(at..at + times) else {
                return Err(damaged("more lengths than codes"));
            };
            places.fill(length);
            at += times;
        }
        if lengths[256] == 0 {
            return Err(damaged("no code for the end of the block"));
        }
        if !tables::literals(&lengths[..literals], &mut self.tables) {
            return Err(damaged("the codes of literals and lengths"));
        }
        if !tables::distances(&lengths[literals..literals + distances], &mut self.tables) {
            return Err(damaged("the codes of distances"));
        }
        Ok(())
    }

    /// Copies what is not compressed.
    fn stored(
        &mut self,
        input: &mut impl BufRead,
        batch: &mut Batch,
        mut left: usize,
    ) -> io::Result<()> {
        // Whole bytes that were taken ahead.
        while left > 0 && self.bits.count > 0 && !batch.is_full() {
            batch.put(self.bits.take(input, 8)? as u8);
            left -= 1;
        }
        while left > 0 && !batch.is_full() {
            let bytes = input.fill_buf()?;
            if bytes.is_empty() {
                return Err(cut());
            }
            let some = batch.copy(&bytes[..bytes.len().min(left)]);
            input.consume(some);
            left -= some;
        }
        self.state = if left == 0 {
            State::Block
        } else {
            State::Stored(left)
        };
        Ok(())
    }

    /// Decodes codes until the batch is full, or up to the end of the block.
    fn codes(&mut self, input: &mut impl BufRead, batch: &mut Batch) -> io::Result<()> {
        while self.state == State::Codes && self.wants_more(batch) {
            let bytes = input.fill_buf()?;
            if bytes.len() >= AHEAD {
                let used = self.quick(bytes, batch)?;
                input.consume(used);
            }
            if self.state == State::Codes && self.wants_more(batch) {
                self.careful(input, batch)?;
            }
        }
        Ok(())
    }

    /// Decodes while there is enough of input and room in the batch; gives how many bytes it used.
    fn quick(&mut self, input: &[u8], batch: &mut Batch) -> io::Result<usize> {
        #[cfg(target_arch = "x86_64")]
        if !self.plain
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
        {
            // Quicker: shifts by a variable number of bits are most of what is done here.
            #[expect(
                unsafe_code,
                reason = "what is compiled for some processors may only run on them"
            )]
            // SAFETY: this processor has the instructions that the function is compiled for.
            return unsafe { self.quick_bmi(input, batch) };
        }
        self.quick_as_compiled(input, batch, |bits, entry| bits & ((1 << taken(entry)) - 1))
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "bmi1,bmi2")]
    fn quick_bmi(&mut self, input: &[u8], batch: &mut Batch) -> io::Result<usize> {
        self.quick_as_compiled(input, batch, |bits, entry| {
            std::arch::x86_64::_bzhi_u64(bits, entry)
        })
    }

    /// `low` gives as many of the lowest bits as an entry takes.
    #[inline(always)]
    fn quick_as_compiled(
        &mut self,
        input: &[u8],
        batch: &mut Batch,
        low: impl Fn(u64, u32) -> u64,
    ) -> io::Result<usize> {
        const MASK: usize = (1 << INDEX_BITS) - 1;
        let tables = &*self.tables;
        let Bits {
            value: mut bits,
            mut count,
        } = self.bits;
        let mut rest = input;
        let (literals, before, numbers) = (
            &mut *batch.literals,
            &mut *batch.before,
            &mut *batch.numbers,
        );
        let (mut written, mut matches) = (batch.written, batch.count);
        let mut open = self.open as usize & LENGTH as usize;
        // Makes 56 bits of them or more. Those above are right as well, and come again.
        macro_rules! refill {
            () => {
                let word = u64::from_le_bytes(rest[..8].try_into().expect("eight"));
                bits |= word.wrapping_shl(count);
                rest = &rest[7 - (count as usize >> 3 & 7)..];
                count |= 56;
            };
        }
        // Of a number of bits to shift by only the lowest six count, and of `count` as well: the
        // rest of an entry does not matter.
        macro_rules! drop_bits {
            ($entry:expr) => {
                bits = bits.wrapping_shr($entry);
                count = count.wrapping_sub($entry);
            };
        }
        refill!();
        let mut entry = tables[bits as usize & MASK | open];
        // Decodes a symbol: literals, a length, or a distance. All is written at its place in any
        // case, and the place is left only if it was meant.
        macro_rules! symbol {
            ($out:lifetime) => {
                if entry & SPECIAL != 0 {
                    if entry & (END | INVALID) == 0 {
                        drop_bits!(INDEX_BITS);
                        let index = bits & ((1 << code_bits(entry)) - 1);
                        entry = tables[((entry >> 16) as usize + index as usize) % tables.len()];
                    }
                    if entry & SPECIAL != 0 {
                        if entry & INVALID != 0 {
                            break $out Err(damaged("no such code"));
                        }
                        drop_bits!(entry);
                        self.state = State::Block;
                        break $out Ok(());
                    }
                }
                let extra = (low(bits, entry) as u32).wrapping_shr(entry >> 11);
                drop_bits!(entry);
                let next = tables[bits as usize & MASK | (entry & LENGTH) as usize];
                literals[written..written + 4].copy_from_slice(&entry.to_be_bytes());
                written += (entry >> 8 & 3) as usize;
                before[matches] = written as u16;
                numbers[matches + open * BESIDE] = ((entry >> 16) + extra) as u16;
                matches += open >> INDEX_BITS;
                open = (entry & LENGTH) as usize;
                entry = next;
            };
        }
        let result = 'out: {
            while rest.len() >= AHEAD && written < ROOM && matches < MATCHES {
                // A distance takes 28 bits at most, the length before or behind it 20, and what
                // comes next is looked up with 10: of the 64 that are right no more are needed, and
                // of the 56 that are counted no more taken.
                symbol!('out);
                symbol!('out);
                refill!();
            }
            Ok(())
        };
        // Whole bytes of what was taken ahead go back, as far as they were taken here.
        count &= 63;
        let taken = input.len() - rest.len();
        let back = taken.min(count as usize / 8);
        count -= back as u32 * 8;
        self.bits = Bits {
            value: bits & ((1 << count) - 1),
            count,
        };
        (batch.written, batch.count, self.open) = (written, matches, open as Entry);
        result.map(|()| taken - back)
    }

    /// Decodes literals, a length, or a distance, with no more input than they have.
    fn careful(&mut self, input: &mut impl BufRead, batch: &mut Batch) -> io::Result<()> {
        let entry = self
            .bits
            .look_up(input, &self.tables[..], self.open as usize, INDEX_BITS)?;
        if entry & SPECIAL != 0 {
            if entry & END == 0 {
                return Err(damaged("no such code"));
            }
            self.state = State::Block;
            return Ok(());
        }
        let [first, second] = ((entry >> 16) as u16).to_be_bytes();
        [first, second]
            .iter()
            .take((entry >> 8 & 3) as usize)
            .for_each(|literal| batch.put(*literal));
        let number =
            (entry >> 16) as u16 + self.bits.take(input, taken(entry) - code_bits(entry))? as u16;
        if self.open != 0 {
            batch.distance(number);
        }
        self.open = entry & LENGTH;
        if self.open != 0 {
            batch.length(number);
        }
        Ok(())
    }
}

/// Bits that were taken from the input and not used.
#[derive(Clone, Copy, Default)]
struct Bits {
    value: u64,
    count: u32,
}

impl Bits {
    /// Finds what the next bits mean, and takes them; its extra bits are not.
    fn look_up(
        &mut self,
        input: &mut impl BufRead,
        tables: &[Entry],
        at: usize,
        bits: u32,
    ) -> io::Result<Entry> {
        let (mut start, mut size) = (at, bits);
        loop {
            let entry = tables[start + (self.value & ((1 << size) - 1)) as usize];
            let code = if entry & SPECIAL != 0 {
                taken(entry)
            } else {
                code_bits(entry)
            };
            // With the bits that are missing taken for zeros, a code that fits into those that are
            // there is right.
            if code > self.count {
                self.byte(input)?;
                continue;
            }
            self.value >>= code;
            self.count -= code;
            if entry & SPECIAL == 0 || entry & (END | INVALID) != 0 {
                return Ok(entry);
            }
            (start, size) = ((entry >> 16) as usize, code_bits(entry));
        }
    }

    /// Takes so many bits.
    fn take(&mut self, input: &mut impl BufRead, bits: u32) -> io::Result<u32> {
        while self.count < bits {
            self.byte(input)?;
        }
        let value = self.value & ((1 << bits) - 1);
        self.value >>= bits;
        self.count -= bits;
        Ok(value as u32)
    }

    /// Drops the bits up to the next whole byte.
    fn align(&mut self) {
        self.value >>= self.count % 8;
        self.count -= self.count % 8;
    }

    fn byte(&mut self, input: &mut impl BufRead) -> io::Result<()> {
        let Some(byte) = input.fill_buf()?.first() else {
            return Err(cut());
        };
        self.value |= u64::from(*byte) << self.count;
        self.count += 8;
        input.consume(1);
        Ok(())
    }
}

pub(super) fn cut() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the stream is cut")
}
