//! The tables that DEFLATE's codes are looked up in (RFC 1951, 3.2).
//!
//! The next bits of the stream are an index. An entry says what they mean and how many of them it
//! takes: one or two literals, the length of a match, or a literal and the length behind it; so
//! most often a look-up gives more than one symbol. Codes longer than the index lead to a table of
//! their own behind the first.

// There are at most 288 symbols, and entries are taken apart by their bits.
#![allow(clippy::cast_possible_truncation)]

use std::ops::Range;

/// Bits of the index.
pub(super) const INDEX_BITS: u32 = 10;
/// Bits of the longest code.
const MAX_BITS: usize = 15;
/// Literals, the end of a block, and lengths; two of them never occur.
pub(super) const LITERALS: usize = 288;
/// Distances; two of them never occur.
pub(super) const DISTANCES: usize = 32;

/// A block's tables: that of literals and lengths, that of distances, and what is behind each of
/// them. There are at most 1334 entries of the first kind with what is behind, says zlib's
/// `enough.c` for 288 symbols and 10 bits. Behind the second there are at most 5 tables of 32,
/// because each of them takes 6 of the 32 symbols, or smaller ones. No index can be beyond a power
/// of two.
pub(super) type Tables = [Entry; 4096];
/// Where the table of distances begins.
const DISTANCES_AT: usize = LENGTH as usize;
/// Where what is behind each begins.
const BEHIND_LITERALS: usize = 2048;
const BEHIND_DISTANCES: usize = 3072;

/// What bits mean. The lowest six bits, and the lowest eight unless it is [`SPECIAL`], are how many
/// bits it takes, those of extra bits included; bits 11 to 15 are how many of them come before the
/// extra bits.
///
/// For literals and lengths: bits 8 and 9 are the number of literals. Bits 24 to 31 are the first
/// literal; bits 16 to 23 the second, or with [`LENGTH`] the length less three. For distances: bits
/// 16 to 31 are the distance less one, without its extra bits.
pub(super) type Entry = u32;

/// A length is part of it, so that a distance comes next, whose table is so much further.
pub(super) const LENGTH: Entry = 1 << INDEX_BITS;
/// It is neither literals nor a length: [`END`], [`INVALID`], or bits 16 to 31 are where its table
/// begins and bits 11 to 15 how many bits its index has.
pub(super) const SPECIAL: Entry = 1 << 6;
/// With [`SPECIAL`]: the end of a block.
pub(super) const END: Entry = 1 << 8;
/// With [`SPECIAL`]: no code.
pub(super) const INVALID: Entry = 1 << 9;

/// How many bits an entry takes.
pub(super) fn taken(entry: Entry) -> u32 {
    entry & 63
}

/// How many of these are its code, without extra bits.
pub(super) fn code_bits(entry: Entry) -> u32 {
    entry >> 11 & 31
}

/// The length codes: the least length and extra bits of each from 257 on.
const LENGTHS: [(u32, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// What each code for a literal or a length means, with the length of the code added.
fn literal(symbol: usize, bits: u32) -> Entry {
    match symbol {
        0..256 => 1 << 8 | (symbol as u32) << 24 | bits << 11 | bits,
        256 => SPECIAL | END | bits,
        _ => match LENGTHS.get(symbol - 257) {
            Some((least, extra)) => LENGTH | (least - 3) << 16 | bits << 11 | (bits + extra),
            None => SPECIAL | INVALID | bits,
        },
    }
}

/// The same for a distance.
fn distance(symbol: usize, bits: u32) -> Entry {
    let symbol = symbol as u32;
    match symbol {
        0..4 => symbol << 16 | bits << 11 | bits,
        4..30 => {
            let extra = symbol / 2 - 1;
            ((2 + symbol % 2) << extra) << 16 | bits << 11 | (bits + extra)
        }
        _ => SPECIAL | INVALID | bits,
    }
}

/// Makes the table of literals and lengths. False if the lengths of codes make no code.
pub(super) fn literals(lengths: &[u8], tables: &mut Tables) -> bool {
    let own = 0..DISTANCES_AT;
    if !build(lengths, tables, own.clone(), BEHIND_LITERALS, literal) {
        return false;
    }
    pack(&mut tables[own]);
    true
}

/// Makes the table of distances.
pub(super) fn distances(lengths: &[u8], tables: &mut Tables) -> bool {
    build(
        lengths,
        tables,
        DISTANCES_AT..2 * DISTANCES_AT,
        BEHIND_DISTANCES,
        distance,
    )
}

/// Bits of the index for the lengths of codes; no code is longer.
pub(super) const CODE_BITS: u32 = 7;
pub(super) const CODE_ENTRIES: usize = 1 << CODE_BITS;

/// Makes the table of the codes that lengths of codes are written in: bits 16 to 23 are what a code
/// means. It must use all that bits can be.
pub(super) fn codes(lengths: &[u8; 19], table: &mut [Entry; CODE_ENTRIES]) -> bool {
    build(
        lengths,
        table,
        0..CODE_ENTRIES,
        CODE_ENTRIES,
        |symbol, bits| (symbol as u32) << 16 | bits << 11 | bits,
    ) && table.iter().all(|entry| entry & SPECIAL == 0)
}

/// Adds to literals what comes behind them, where the index has both.
fn pack(table: &mut [Entry]) {
    // From the end: what an entry is joined with stands before it, and is as it was.
    for index in (0..table.len()).rev() {
        let one = table[index];
        if one & (SPECIAL | LENGTH) != 0 {
            continue;
        }
        let bits = taken(one);
        let two = table[index >> bits];
        let code = code_bits(two);
        if two & SPECIAL != 0 || bits + code > INDEX_BITS {
            continue;
        }
        let both = (one & 0xff << 24) | (bits + code) << 11 | (bits + taken(two));
        table[index] = if two & LENGTH != 0 {
            LENGTH | 1 << 8 | both | (two & 0xff << 16)
        } else {
            2 << 8 | both | (two & 0xff << 24) >> 8
        };
    }
}

/// Makes the table that has its place in `own`, and from `behind` on the tables of longer codes.
fn build(
    lengths: &[u8],
    tables: &mut [Entry],
    own: Range<usize>,
    behind: usize,
    entry: fn(usize, u32) -> Entry,
) -> bool {
    let table = &mut tables[own.clone()];
    let index_bits = table.len().ilog2() as usize;
    let mut counts = [0_u16; MAX_BITS + 1];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts[0] = 0;
    let longest = (1..=MAX_BITS)
        .rev()
        .find(|bits| counts[*bits] > 0)
        .unwrap_or(0);
    // How much of all that bits can be has a code, in units of the longest code.
    let mut left = 1_i32;
    for count in &counts[1..] {
        left = left * 2 - i32::from(*count);
        if left < 0 {
            return false;
        }
    }
    // A single code of one bit, or none at all, is allowed to leave the rest.
    if left > 0 && longest > 1 {
        return false;
    }
    let mut offsets = [0_u16; MAX_BITS + 2];
    for bits in 1..=MAX_BITS {
        offsets[bits + 1] = offsets[bits] + counts[bits];
    }
    let mut sorted = [0_u16; LITERALS];
    for (symbol, length) in lengths
        .iter()
        .enumerate()
        .filter(|(_, length)| **length > 0)
    {
        let place = &mut offsets[usize::from(*length)];
        sorted[usize::from(*place)] = symbol as u16;
        *place += 1;
    }
    if left > 0 {
        table.fill(SPECIAL | INVALID | 1);
        if longest == 1 {
            let one = entry(usize::from(sorted[0]), 1);
            table.iter_mut().step_by(2).for_each(|place| *place = one);
        }
        return true;
    }
    let mut sorted = &sorted[..];
    // The code, its first bit lowest, as it stands in the stream.
    let mut code = 0_usize;
    let mut filled = 1_usize;
    for (bits, count) in counts
        .iter()
        .enumerate()
        .take(longest.min(index_bits) + 1)
        .skip(1)
    {
        // What is there for shorter codes holds for both values of one more bit.
        table.copy_within(..filled, filled);
        filled *= 2;
        let (symbols, rest) = sorted.split_at(usize::from(*count));
        sorted = rest;
        for symbol in symbols {
            table[code] = entry(usize::from(*symbol), bits as u32);
            code = next(code, bits);
        }
    }
    while filled < table.len() {
        table.copy_within(..filled, filled);
        filled *= 2;
    }
    let mut end = behind;
    let (mut prefix, mut start) = (usize::MAX, 0);
    for bits in index_bits + 1..=longest {
        let (symbols, rest) = sorted.split_at(usize::from(counts[bits]));
        sorted = rest;
        let mut of_this = symbols.len();
        for symbol in symbols {
            if code % own.len() != prefix {
                prefix = code % own.len();
                start = end;
                // As many bits as the codes that are left, which come in order, need to fill it.
                let mut size_bits = bits - index_bits;
                let mut used = of_this;
                while used < 1 << size_bits && index_bits + size_bits < longest {
                    size_bits += 1;
                    used = used * 2 + usize::from(counts[index_bits + size_bits]);
                }
                end = start + (1 << size_bits);
                tables[own.start + prefix] =
                    SPECIAL | (start as u32) << 16 | (size_bits as u32) << 11 | index_bits as u32;
            }
            let own = entry(usize::from(*symbol), (bits - index_bits) as u32);
            let places = &mut tables[start..end];
            places[code >> index_bits..]
                .iter_mut()
                .step_by(1 << (bits - index_bits))
                .for_each(|place| *place = own);
            code = next(code, bits);
            of_this -= 1;
        }
    }
    true
}

/// The next code of so many bits, the first bit lowest.
fn next(code: usize, bits: usize) -> usize {
    // Adding one at the highest bit, with the carry going down.
    let ones = (code << (usize::BITS as usize - bits)).leading_ones() as usize;
    if ones >= bits {
        return 0;
    }
    let bit = 1 << (bits - 1 - ones);
    (code & (bit - 1)) | bit
}
