//! The tables that DEFLATE's codes are looked up in (RFC 1951, 3.2).
//!
//! The next bits of the stream are an index. An entry says what they mean and how many of them it takes: one or
//! two literals, the length of a match, or a literal and the length behind it; so most often a look-up
//! gives more than one symbol. Codes longer than the index lead to a table of their own behind the first.

// There are at most 288 symbols, and entries are taken apart by their bits.
#![allow(clippy::cast_possible_truncation)]

/// Bits of the index for literals and lengths.
pub(super) const LITERAL_BITS: u32 = 10;
/// Bits of the index for distances.
pub(super) const DISTANCE_BITS: u32 = 8;
/// Bits of the longest code.
const MAX_BITS: usize = 15;
/// Literals, the end of a block, and lengths; two of them never occur.
pub(super) const LITERALS: usize = 288;
/// Distances; two of them never occur.
pub(super) const DISTANCES: usize = 32;

/// Entries of a table with everything behind it: at most 1334 and 402, says zlib's `enough.c` for 288 symbols and 10 bits,
/// and 32 and 8. A power of two, so that no index can be beyond it.
pub(super) const LITERAL_ENTRIES: usize = 2048;
pub(super) const DISTANCE_ENTRIES: usize = 512;

/// What bits mean. The lowest five bits are how many bits it takes, those of extra bits included.
///
/// For literals and lengths: bits 8 to 11 are how many of the bits come before the extra bits; bits 12 and 13 the
/// number of literals; bits 16 to 23 the first literal; bits 24 to 31 the second literal, or with [`LENGTH`] the length less three.
/// For distances: bits 16 to 31 the distance without its extra bits.
pub(super) type Entry = u32;

/// A length is part of it.
pub(super) const LENGTH: Entry = 1 << 14;
/// It is neither literals nor a length: [`END`], [`INVALID`], or bits 16 to 31 are where its table
/// begins and bits 8 to 11 how many bits its index has.
pub(super) const SPECIAL: Entry = 1 << 15;
/// The end of a block.
pub(super) const END: Entry = 1 << 6;
/// No code.
pub(super) const INVALID: Entry = 1 << 7;

/// How many bits an entry takes.
pub(super) fn taken(entry: Entry) -> u32 {
    entry & 31
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
        0..256 => 1 << 12 | (symbol as u32) << 16 | bits << 8 | bits,
        256 => SPECIAL | END | bits,
        _ => match LENGTHS.get(symbol - 257) {
            Some((least, extra)) => LENGTH | (least - 3) << 24 | bits << 8 | (bits + extra),
            None => SPECIAL | INVALID | bits,
        },
    }
}

/// The same for a distance.
fn distance(symbol: usize, bits: u32) -> Entry {
    let symbol = symbol as u32;
    match symbol {
        0..4 => (symbol + 1) << 16 | bits << 8 | bits,
        4..30 => {
            let extra = symbol / 2 - 1;
            (((2 + symbol % 2) << extra) + 1) << 16 | bits << 8 | (bits + extra)
        }
        _ => SPECIAL | INVALID | bits,
    }
}

/// Makes the table of literals and lengths. False if the lengths of codes make no code.
pub(super) fn literals(lengths: &[u8], table: &mut [Entry; LITERAL_ENTRIES]) -> bool {
    if !build(lengths, LITERAL_BITS, table, literal) {
        return false;
    }
    pack(table);
    true
}

/// Bits of the index for the lengths of codes; no code is longer.
pub(super) const CODE_BITS: u32 = 7;
pub(super) const CODE_ENTRIES: usize = 1 << CODE_BITS;

/// Makes the table of the codes that lengths of codes are written in: bits 16 to 23 are what a code means. It
/// must use all that bits can be.
pub(super) fn codes(lengths: &[u8; 19], table: &mut [Entry; CODE_ENTRIES]) -> bool {
    build(lengths, CODE_BITS, table, |symbol, bits| (symbol as u32) << 16 | bits << 8 | bits)
        && table.iter().all(|entry| entry & SPECIAL == 0)
}

/// Makes the table of distances.
pub(super) fn distances(lengths: &[u8], table: &mut [Entry; DISTANCE_ENTRIES]) -> bool {
    build(lengths, DISTANCE_BITS, table, distance)
}

/// Adds to literals what comes behind them, where the index has both.
fn pack(table: &mut [Entry; LITERAL_ENTRIES]) {
    // From the end: what an entry is joined with stands before it, and is as it was.
    for index in (0..1_usize << LITERAL_BITS).rev() {
        let one = table[index];
        if one & (SPECIAL | LENGTH) != 0 {
            continue;
        }
        let bits = taken(one);
        let two = table[index >> bits];
        let code = two >> 8 & 15;
        if two & SPECIAL != 0 || bits + code > LITERAL_BITS {
            continue;
        }
        let both = (bits + code) << 8 | (bits + taken(two)) | (one & 0xff << 16);
        table[index] = if two & LENGTH != 0 {
            LENGTH | 1 << 12 | both | (two & 0xff << 24)
        } else {
            2 << 12 | both | (two & 0xff << 16) << 8
        };
    }
}

fn build(lengths: &[u8], index_bits: u32, table: &mut [Entry], entry: fn(usize, u32) -> Entry) -> bool {
    let mut counts = [0_u16; MAX_BITS + 1];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts[0] = 0;
    let longest = (1..=MAX_BITS).rev().find(|bits| counts[*bits] > 0).unwrap_or(0);
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
    for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
        let place = &mut offsets[usize::from(*length)];
        sorted[usize::from(*place)] = symbol as u16;
        *place += 1;
    }
    if left > 0 {
        table[..1 << index_bits].fill(SPECIAL | INVALID | 1);
        if longest == 1 {
            let one = entry(usize::from(sorted[0]), 1);
            table[..1 << index_bits].iter_mut().step_by(2).for_each(|place| *place = one);
        }
        return true;
    }
    let mut sorted = &sorted[..];
    // The code, its first bit lowest, as it stands in the stream.
    let mut code = 0_usize;
    let mut filled = 1_usize;
    for (bits, count) in counts.iter().enumerate().take(longest.min(index_bits as usize) + 1).skip(1) {
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
    while filled < 1 << index_bits {
        table.copy_within(..filled, filled);
        filled *= 2;
    }
    long(table, index_bits, &counts, sorted, code, longest, entry)
}

/// Makes the tables of the codes that are longer than the index.
fn long(
    table: &mut [Entry],
    index_bits: u32,
    counts: &[u16; MAX_BITS + 1],
    mut sorted: &[u16],
    mut code: usize,
    longest: usize,
    entry: fn(usize, u32) -> Entry,
) -> bool {
    let index_bits = index_bits as usize;
    let mask = (1 << index_bits) - 1;
    let mut end = 1 << index_bits;
    let (mut prefix, mut start) = (usize::MAX, 0);
    for bits in index_bits + 1..=longest {
        let (symbols, rest) = sorted.split_at(usize::from(counts[bits]));
        sorted = rest;
        let mut of_this = symbols.len();
        for symbol in symbols {
            if code & mask != prefix {
                prefix = code & mask;
                start = end;
                // As many bits as the codes that are left, which come in order, need to fill it.
                let mut size_bits = bits - index_bits;
                let mut used = of_this;
                while used < 1 << size_bits && index_bits + size_bits < longest {
                    size_bits += 1;
                    used = used * 2 + usize::from(counts[index_bits + size_bits]);
                }
                end = start + (1 << size_bits);
                table[prefix] = SPECIAL | (start as u32) << 16 | (size_bits as u32) << 8 | index_bits as u32;
            }
            let own = entry(usize::from(*symbol), (bits - index_bits) as u32);
            let places = &mut table[start..end];
            places[code >> index_bits..].iter_mut().step_by(1 << (bits - index_bits)).for_each(|place| *place = own);
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
