//! Held against another decoder: the same bytes for what is whole, and an error for what that one
//! refuses.

use std::io::{BufReader, Read, Write as _};

use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};

use super::super::Unpacked;

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % below
    }
}

fn gzip(text: &[u8], level: u32) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(level));
    gzip.write_all(text).expect("memory");
    gzip.finish().expect("memory")
}

/// Texts that bring codes of all kinds: no codes, few, long ones; matches near, far, overlapping,
/// of every length.
fn texts() -> Vec<Vec<u8>> {
    let mut dice = Dice(7);
    let rows = (0..9000).flat_map(|n| {
        format!("{n}\tuser{}@example.com\t\\N\t2026\n", n * 7919 % 10_007).into_bytes()
    });
    let mut runs = Vec::new();
    for far in 1..70 {
        for length in [3, 4, 15, 16, 17, 31, 33, 64, 258, 300] {
            let start: Vec<u8> = (0..far)
                .map(|_| u8::try_from(dice.roll(256)).expect("a byte"))
                .collect();
            runs.extend(start.iter().cycle().take(far + length));
        }
    }
    // Each byte half as often as the one before it: the codes of the last ones are as long as can
    // be.
    let rare = (0..200_000).map(|_| {
        let number = u32::try_from(dice.roll(1 << 30)).expect("30 bits");
        u8::try_from(number.leading_zeros()).expect("at most 32")
    });
    let rare: Vec<u8> = rare.collect();
    let random = (0..70_000)
        .map(|_| u8::try_from(dice.roll(256)).expect("a byte"))
        .collect();
    let distant: Vec<u8> = (0..6_u8)
        .flat_map(|part| [vec![part; 40], texts_of(part, 32_700)].concat())
        .collect();
    vec![
        Vec::new(),
        b"a".to_vec(),
        vec![0; 200_000],
        rows.collect(),
        runs,
        rare,
        random,
        distant,
    ]
}

fn texts_of(part: u8, length: usize) -> Vec<u8> {
    let mut dice = Dice(u64::from(part / 2));
    (0..length)
        .map(|_| u8::try_from(dice.roll(61)).expect("a byte") + 40)
        .collect()
}

fn ours(packed: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let reader = BufReader::with_capacity(piece, packed);
    Unpacked::sniff(reader)
        .ok()?
        .read_to_end(&mut bytes)
        .ok()
        .map(|_| bytes)
}

fn theirs(packed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    flate2::bufread::MultiGzDecoder::new(packed)
        .read_to_end(&mut bytes)
        .ok()
        .map(|_| bytes)
}

#[test]
fn what_is_whole_is_decoded_however_it_comes() {
    for (number, text) in texts().iter().enumerate() {
        for level in 0..=9 {
            let packed = gzip(text, level);
            for piece in [3, 33, 1000, 1 << 20] {
                assert!(
                    ours(&packed, piece).as_ref() == Some(text),
                    "text {number}, level {level}, pieces of {piece}"
                );
            }
        }
    }
}

#[test]
fn what_another_decoder_refuses_is_refused() {
    let mut dice = Dice(11);
    let (mut refused, mut same) = (0, 0);
    for (number, text) in texts().iter().enumerate() {
        for level in [0, 1, 9] {
            let packed = gzip(&text[..text.len().min(20_000)], level);
            for _ in 0..40 {
                let mut damaged = packed.clone();
                let at = match dice.roll(3) {
                    0 => dice.roll(packed.len().min(120)),
                    1 => packed.len() - 1 - dice.roll(packed.len().min(12)),
                    _ => dice.roll(packed.len()),
                };
                match dice.roll(4) {
                    0 => damaged.truncate(at),
                    1 => damaged[at] = u8::try_from(dice.roll(256)).expect("a byte"),
                    _ => damaged[at] ^= 1 << dice.roll(8),
                }
                if !damaged.starts_with(&[0x1f, 0x8b]) {
                    continue;
                }
                let (ours, theirs) = (ours(&damaged, 1 + dice.roll(5000)), theirs(&damaged));
                assert!(
                    ours == theirs,
                    "text {number}, level {level}, byte {at}: {} {}",
                    ours.is_some(),
                    theirs.is_some()
                );
                *if ours.is_some() {
                    &mut same
                } else {
                    &mut refused
                } += 1;
            }
        }
    }
    assert!(refused > 300 && same > 10, "{refused} {same}");
}

#[test]
fn headers_have_names_and_checksums() {
    let mut named = GzBuilder::new()
        .filename("a")
        .comment("b")
        .extra("more")
        .write(Vec::new(), Compression::fast());
    named.write_all(b"hello").expect("memory");
    let packed = named.finish().expect("memory");
    assert_eq!(ours(&packed, 4).as_deref(), Some(&b"hello"[..]));
    let with = |flags: u8, more: &[u8]| {
        [
            &packed[..3],
            &[packed[3] | flags],
            &packed[4..20],
            more,
            &packed[20..],
        ]
        .concat()
    };
    assert_eq!(ours(&with(0x40, b""), 4), None, "a flag without a meaning");
    let mut checksum = flate2::Crc::new();
    checksum.update(&with(2, b"")[..20]);
    let right = checksum.sum().to_le_bytes();
    assert_eq!(
        ours(&with(2, &right[..2]), 4).as_deref(),
        Some(&b"hello"[..])
    );
    assert_eq!(
        ours(&with(2, &[right[0], right[1] ^ 1]), 4),
        None,
        "its checksum is wrong"
    );
}

#[test]
fn zlib_streams_have_their_checksum_and_nothing_behind() {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&texts()[3]).expect("memory");
    let packed = zlib.finish().expect("memory");
    let unpack = |packed: &[u8]| {
        let mut bytes = Vec::new();
        Unpacked::zlib(packed)
            .read_to_end(&mut bytes)
            .ok()
            .map(|_| bytes)
    };
    assert!(unpack(&packed).as_ref() == Some(&texts()[3]));
    assert_eq!(unpack(&[&packed[..], b"x"].concat()), None);
    for at in [0, 1, packed.len() - 4, packed.len() - 1] {
        let mut damaged = packed.clone();
        damaged[at] ^= 1;
        assert_eq!(unpack(&damaged), None, "byte {at}");
        assert_eq!(unpack(&packed[..at]), None, "cut to {at}");
    }
}
