//! DEFLATE (RFC 1951), decoded as it comes, in bounded memory and in two steps that two threads can share: bits to
//! literals and matches ([`Codes`], here), and these to bytes ([`window`]). Between them goes a [`Batch`].
//!
//! Most of the time that a compressed backup takes goes by here. What makes the first step quick: 64 bits are taken from
//! the input at once; one look-up gives up to two literals, or a literal and a length ([`tables`]); and what comes
//! next is looked up before a match is noted. Near the end of the input at hand a second, careful loop takes one byte
//! after another.

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

pub(super) use self::batch::{Batch, Trailer};
use self::batch::{LITERALS as ROOM, LONG, MOST, RUNS, matched};
use self::tables::{
    CODE_BITS, CODE_ENTRIES, DISTANCE_BITS, DISTANCE_ENTRIES, DISTANCES, END, Entry, INVALID, LENGTH, LITERAL_BITS,
    LITERAL_ENTRIES, LITERALS, SPECIAL, taken,
};
pub(super) use self::window::Window;

/// Bytes of input that the quick loop needs at hand for one round: it takes bits three times.
const AHEAD: usize = 32;

/// One stream after another while their bits are read.
pub(super) struct Codes {
    state: State,
    /// Whether this block is the last.
    last: bool,
    bits: Bits,
    tables: Box<Tables>,
    /// Uses no instructions that some processors lack; for a test.
    plain: bool,
}

/// The tables of a block's codes, in one place.
struct Tables {
    literals: [Entry; LITERAL_ENTRIES],
    distances: [Entry; DISTANCE_ENTRIES],
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
            bits: Bits::default(),
            tables: Box::new(Tables { literals: [0; LITERAL_ENTRIES], distances: [0; DISTANCE_ENTRIES] }),
            plain: false,
        }
    }

    /// Begins another stream.
    pub(super) fn reset(&mut self) {
        (self.state, self.last, self.bits) = (State::Block, false, Bits::default());
    }

    /// The next four whole bytes behind the stream, the lowest first.
    pub(super) fn word(&mut self, input: &mut impl BufRead) -> io::Result<u32> {
        self.bits.align();
        self.bits.take(input, 32)
    }

    /// Adds to a batch until it is full, or up to the end of the stream: then true.
    pub(super) fn decode(&mut self, input: &mut impl BufRead, batch: &mut Batch) -> io::Result<bool> {
        while !batch.is_full() {
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
                tables::literals(&lengths, &mut self.tables.literals);
                tables::distances(&[5; DISTANCES], &mut self.tables.distances);
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
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
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
            let entry = self.bits.look_up(input, &table, CODE_BITS)?;
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
        if !tables::literals(&lengths[..literals], &mut self.tables.literals) {
            return Err(damaged("the codes of literals and lengths"));
        }
        if !tables::distances(&lengths[literals..literals + distances], &mut self.tables.distances) {
            return Err(damaged("the codes of distances"));
        }
        Ok(())
    }

    /// Copies what is not compressed.
    fn stored(&mut self, input: &mut impl BufRead, batch: &mut Batch, mut left: usize) -> io::Result<()> {
        // Whole bytes that were taken ahead.
        while left > 0 && self.bits.count > 0 && !batch.is_full() {
            batch.put(self.bits.take(input, 8)? as u16, 1);
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
        self.state = if left == 0 { State::Block } else { State::Stored(left) };
        Ok(())
    }

    /// Decodes codes until the batch is full, or up to the end of the block.
    fn codes(&mut self, input: &mut impl BufRead, batch: &mut Batch) -> io::Result<()> {
        while self.state == State::Codes && !batch.is_full() {
            let bytes = input.fill_buf()?;
            if bytes.len() >= AHEAD {
                let used = self.quick(bytes, batch)?;
                input.consume(used);
                if self.state != State::Codes || batch.is_full() {
                    return Ok(());
                }
            }
            self.careful(input, batch)?;
        }
        Ok(())
    }

    /// Decodes while there is enough of input and room in the batch; gives how many bytes it used.
    fn quick(&mut self, input: &[u8], batch: &mut Batch) -> io::Result<usize> {
        #[cfg(target_arch = "x86_64")]
        if !self.plain && std::arch::is_x86_feature_detected!("bmi1") && std::arch::is_x86_feature_detected!("bmi2") {
            // A quarter quicker: shifts by a variable number of bits are most of what is done here.
            #[expect(unsafe_code, reason = "what is compiled for some processors may only run on them")]
            // SAFETY: this processor has the instructions that the function is compiled for.
            return unsafe { self.quick_bmi(input, batch) };
        }
        self.quick_as_compiled(input, batch)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "bmi1,bmi2")]
    fn quick_bmi(&mut self, input: &[u8], batch: &mut Batch) -> io::Result<usize> {
        self.quick_as_compiled(input, batch)
    }

    #[inline(always)]
    fn quick_as_compiled(&mut self, input: &[u8], batch: &mut Batch) -> io::Result<usize> {
        const LITERAL_MASK: usize = (1 << LITERAL_BITS) - 1;
        const DISTANCE_MASK: usize = (1 << DISTANCE_BITS) - 1;
        let tables = &*self.tables;
        let Bits { value: mut bits, mut count } = self.bits;
        let mut rest = input;
        let (buffer, runs) = (&mut *batch.literals, &mut *batch.runs);
        let (mut position, mut open, mut run) = (batch.written, batch.open, batch.count);
        // Makes 56 bits of them or more. Those above are right as well, and come again.
        macro_rules! refill {
            () => {
                let word = u64::from_le_bytes(rest[..8].try_into().expect("eight"));
                bits |= word.wrapping_shl(count);
                rest = &rest[7 - (count as usize >> 3 & 7)..];
                count |= 56;
            };
        }
        // Of a number of bits to shift by only the lowest six count, and of `count` as well: the rest of an entry does
        // not matter.
        macro_rules! drop_bits {
            ($entry:expr) => {
                bits = bits.wrapping_shr($entry);
                count = count.wrapping_sub($entry);
            };
        }
        macro_rules! next_literal {
            () => {
                tables.literals[bits as usize & LITERAL_MASK]
            };
        }
        // Writes two, of which perhaps one is meant.
        macro_rules! put_literals {
            ($entry:expr) => {
                drop_bits!($entry);
                buffer[position..position + 2].copy_from_slice(&(($entry >> 16) as u16).to_le_bytes());
                position += ($entry >> 12 & 3) as usize;
            };
        }
        refill!();
        let mut entry = next_literal!();
        let result = 'out: {
            while rest.len() >= AHEAD && position < ROOM && run < RUNS {
                let mut before = bits;
                // Three times at most 10 bits, and 20 of a length behind them: 56 are there.
                if entry & (LENGTH | SPECIAL) == 0 {
                    put_literals!(entry);
                    (entry, before) = (next_literal!(), bits);
                    if entry & (LENGTH | SPECIAL) == 0 {
                        put_literals!(entry);
                        (entry, before) = (next_literal!(), bits);
                        if entry & (LENGTH | SPECIAL) == 0 {
                            put_literals!(entry);
                            refill!();
                            entry = next_literal!();
                            continue;
                        }
                    }
                }
                drop_bits!(entry);
                if entry & SPECIAL != 0 {
                    if entry & (END | INVALID) == 0 {
                        let index = bits & ((1 << (entry >> 8 & 15)) - 1);
                        before = bits;
                        entry = tables.literals[(entry >> 16) as usize + index as usize];
                        drop_bits!(entry);
                    }
                    if entry & END != 0 {
                        self.state = State::Block;
                        break 'out Ok(());
                    }
                    if entry & INVALID != 0 {
                        break 'out Err(damaged("no such code"));
                    }
                    if entry & LENGTH == 0 {
                        buffer[position] = (entry >> 16) as u8;
                        position += 1;
                        refill!();
                        entry = next_literal!();
                        continue;
                    }
                }
                // A length, and perhaps a literal before it.
                buffer[position] = (entry >> 16) as u8;
                position += (entry >> 12 & 1) as usize;
                let extra = (before & ((1 << taken(entry)) - 1)) >> (entry >> 8 & 15);
                let length = 3 + (entry >> 24) as usize + extra as usize;
                // A distance takes 28 bits at most.
                refill!();
                let mut distance = tables.distances[bits as usize & DISTANCE_MASK];
                if distance & SPECIAL != 0 {
                    drop_bits!(distance);
                    if distance & INVALID != 0 {
                        break 'out Err(damaged("no such code of a distance"));
                    }
                    let index = bits & ((1 << (distance >> 8 & 15)) - 1);
                    distance = tables.distances[(distance >> 16) as usize + index as usize];
                    if distance & SPECIAL != 0 {
                        break 'out Err(damaged("no such code of a distance"));
                    }
                }
                let extra = (bits & ((1 << taken(distance)) - 1)) >> (distance >> 8 & 15);
                let far = (distance >> 16) as usize + extra as usize;
                drop_bits!(distance);
                // 28 bits are left at least, and 10 needed to look at what comes next, while this is noted.
                entry = next_literal!();
                refill!();
                let mut before = position - open;
                if before > MOST {
                    runs[run] = LONG | before as u32;
                    run += 1;
                    before = 0;
                }
                runs[run] = matched(before, length, far);
                run += 1;
                open = position;
            }
            Ok(())
        };
        // Whole bytes of what was taken ahead go back, as far as they were taken here.
        count &= 63;
        let taken = input.len() - rest.len();
        let back = taken.min(count as usize / 8);
        count -= back as u32 * 8;
        self.bits = Bits { value: bits & ((1 << count) - 1), count };
        (batch.written, batch.open, batch.count) = (position, open, run);
        result.map(|()| taken - back)
    }

    /// Decodes one code, or a length and its distance, with no more input than they have.
    fn careful(&mut self, input: &mut impl BufRead, batch: &mut Batch) -> io::Result<()> {
        let entry = self.bits.look_up(input, &self.tables.literals[..], LITERAL_BITS)?;
        if entry & SPECIAL != 0 {
            if entry & END == 0 {
                return Err(damaged("no such code"));
            }
            self.state = State::Block;
            return Ok(());
        }
        if entry & LENGTH == 0 {
            batch.put((entry >> 16) as u16, (entry >> 12 & 3) as usize);
            return Ok(());
        }
        batch.put((entry >> 16) as u16, (entry >> 12 & 1) as usize);
        let extra = self.bits.take(input, taken(entry) - (entry >> 8 & 15))?;
        let length = 3 + (entry >> 24) as usize + extra as usize;
        let distance = self.bits.look_up(input, &self.tables.distances[..], DISTANCE_BITS)?;
        if distance & SPECIAL != 0 {
            return Err(damaged("no such code of a distance"));
        }
        let extra = self.bits.take(input, taken(distance) - (distance >> 8 & 15))?;
        let far = (distance >> 16) as usize + extra as usize;
        batch.repeat(length, far);
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
    fn look_up(&mut self, input: &mut impl BufRead, table: &[Entry], index_bits: u32) -> io::Result<Entry> {
        let (mut start, mut size) = (0, index_bits);
        loop {
            let entry = table[start + (self.value & ((1 << size) - 1)) as usize];
            let code = if entry & SPECIAL != 0 { taken(entry) } else { entry >> 8 & 15 };
            // With the bits that are missing taken for zeros, a code that fits into those that are there is right.
            if code > self.count {
                self.byte(input)?;
                continue;
            }
            self.value >>= code;
            self.count -= code;
            if entry & SPECIAL == 0 || entry & (END | INVALID) != 0 {
                return Ok(entry);
            }
            (start, size) = ((entry >> 16) as usize, entry >> 8 & 15);
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
        let Some(byte) = input.fill_buf()?.first() else { return Err(cut()) };
        self.value |= u64::from(*byte) << self.count;
        self.count += 8;
        input.consume(1);
        Ok(())
    }
}

pub(super) fn cut() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the stream is cut")
}
