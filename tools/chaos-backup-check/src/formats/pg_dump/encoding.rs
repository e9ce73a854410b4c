//! The encodings of a dump's text, and which bytes are a character in them.
//!
//! PostgreSQL checks no more than the bytes' form when it takes text (the `pg_*_verifychar` functions
//! in its `src/common/wchar.c`), and neither does this: what a server takes is never damage. In some
//! encodings (`EUC_TW`, `JOHAB`) it gives characters that it does not take back; such a dump can't be
//! restored.

use std::fmt::{self, Display};

/// An encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// One in which any bytes are text, such as LATIN1 and SQL_ASCII; or none that is known.
    #[default]
    AnyBytes,
    Utf8,
    /// `EUC_JP` and `EUC_JIS_2004`.
    EucJp,
    /// `EUC_KR` and `EUC_CN`.
    EucKr,
    EucTw,
    Johab,
    /// `SJIS` and `SHIFT_JIS_2004`.
    Sjis,
    /// `BIG5`, `GBK` and `UHC`: two bytes, of which only the first says anything.
    Pairs,
    Gb18030,
}

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// A character of so many bytes.
    Character(usize),
    /// A character that the end of the bytes cuts off.
    Cut,
    /// What can't be a character.
    None,
}

/// The bytes that begin a character of another set in the EUC encodings.
const SS2: u8 = 0x8e;
const SS3: u8 = 0x8f;

impl Encoding {
    /// The encoding of PostgreSQL's name.
    pub(super) fn named(name: &str) -> Encoding {
        match name {
            "UTF8" => Encoding::Utf8,
            "EUC_JP" | "EUC_JIS_2004" => Encoding::EucJp,
            "EUC_KR" | "EUC_CN" => Encoding::EucKr,
            "EUC_TW" => Encoding::EucTw,
            "JOHAB" => Encoding::Johab,
            "SJIS" | "SHIFT_JIS_2004" => Encoding::Sjis,
            "BIG5" | "GBK" | "UHC" => Encoding::Pairs,
            "GB18030" => Encoding::Gb18030,
            _ => Encoding::AnyBytes,
        }
    }

    /// The encoding that a statement sets.
    pub(super) fn set_by(statement: &str) -> Encoding {
        let name = statement.split('\'').nth(1);
        name.map_or(Encoding::AnyBytes, Encoding::named)
    }

    /// What bytes, of which there is one at least, begin with.
    pub(super) fn first(self, bytes: &[u8]) -> First {
        if bytes[0].is_ascii() || self == Encoding::AnyBytes {
            return First::Character(1);
        }
        if self == Encoding::Utf8 {
            return utf8(bytes);
        }
        let Some(length) = self.length(bytes) else {
            return First::Cut;
        };
        match bytes.get(..length) {
            None => First::Cut,
            Some(character) if self.is_character(character) => First::Character(length),
            Some(_) => First::None,
        }
    }

    /// How long the character is that begins here, beyond ASCII; `None` if the next byte says it.
    fn length(self, bytes: &[u8]) -> Option<usize> {
        Some(match (self, bytes[0]) {
            (Encoding::EucTw, SS2) => 4,
            (Encoding::EucJp | Encoding::EucTw | Encoding::Johab, SS3) => 3,
            (Encoding::Sjis, 0xa1..=0xdf) => 1,
            (Encoding::Gb18030, _) => match bytes.get(1)? {
                0x30..=0x39 => 4,
                _ => 2,
            },
            _ => 2,
        })
    }

    /// Whether bytes of the right number are a character.
    fn is_character(self, bytes: &[u8]) -> bool {
        let euc = |bytes: &[u8]| bytes.iter().all(|byte| (0xa1..=0xfe).contains(byte));
        match (self, bytes) {
            (Encoding::EucJp, [SS2, second]) => (0xa1..=0xdf).contains(second),
            (Encoding::EucTw, [SS2, second, rest @ ..]) => {
                (0xa1..=0xa7).contains(second) && euc(rest)
            }
            (Encoding::EucTw, [SS3, ..]) => false,
            (Encoding::EucJp, [SS3, rest @ ..])
            | (Encoding::EucTw | Encoding::Johab, [_, rest @ ..]) => euc(rest),
            (Encoding::EucJp | Encoding::EucKr, pair) => euc(pair),
            (Encoding::Sjis, [lead, trail]) => {
                matches!(lead, 0x81..=0x9f | 0xe0..=0xfc)
                    && matches!(trail, 0x40..=0x7e | 0x80..=0xfc)
            }
            (Encoding::Gb18030, [lead, _, third, fourth]) => {
                matches!(lead, 0x81..=0xfe)
                    && matches!(third, 0x81..=0xfe)
                    && fourth.is_ascii_digit()
            }
            (Encoding::Gb18030, [lead, second]) => {
                matches!(lead, 0x81..=0xfe) && matches!(second, 0x40..=0x7e | 0x80..=0xfe)
            }
            _ => true,
        }
    }
}

fn utf8(bytes: &[u8]) -> First {
    let start = &bytes[..bytes.len().min(4)];
    match start.utf8_chunks().next() {
        Some(chunk) if !chunk.valid().is_empty() => {
            First::Character(chunk.valid().chars().next().map_or(1, char::len_utf8))
        }
        _ if std::str::from_utf8(start).is_err_and(|error| error.error_len().is_none()) => {
            First::Cut
        }
        _ => First::None,
    }
}

impl Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::AnyBytes => "text",
            Encoding::Utf8 => "UTF-8",
            Encoding::EucJp => "EUC_JP",
            Encoding::EucKr => "EUC_KR or EUC_CN",
            Encoding::EucTw => "EUC_TW",
            Encoding::Johab => "JOHAB",
            Encoding::Sjis => "SJIS",
            Encoding::Pairs => "BIG5, GBK or UHC",
            Encoding::Gb18030 => "GB18030",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_as_the_server_takes_them() {
        for (name, bytes, expected) in [
            ("EUC_JP", &b"\xc6\xfc\xcb\xdc"[..], First::Character(2)),
            ("EUC_JP", b"\x8e\xb1", First::Character(2)),
            ("EUC_JP", b"\x8f\xb0\xa1", First::Character(3)),
            ("EUC_JP", b"\x8f\xb0", First::Cut),
            ("EUC_JP", b"\xc6", First::Cut),
            ("EUC_JP", b"\xc6\n", First::None),
            ("EUC_JP", b"\x80\xa1", First::None),
            ("EUC_CN", b"\xd6\xd0", First::Character(2)),
            ("EUC_CN", b"\xd6 ", First::None),
            ("EUC_TW", b"\x8e\xa2\xa1\xa1", First::Character(4)),
            ("EUC_TW", b"\x8e\xaf\xa1\xa1", First::None),
            ("EUC_TW", b"\x8e\xa2\xa1!", First::None),
            ("EUC_TW", b"\x8f\xa1\xa1", First::None),
            ("SJIS", b"\x95\\", First::Character(2)),
            ("SJIS", b"\xb1x", First::Character(1)),
            ("SJIS", b"\x95\x20", First::None),
            ("SJIS", b"\xa0\x40", First::None),
            ("BIG5", b"\xa4\x40", First::Character(2)),
            ("BIG5", b"\xa4", First::Cut),
            ("GB18030", b"\x81\x30\x81\x30", First::Character(4)),
            ("GB18030", b"\x81\x30\x81", First::Cut),
            ("GB18030", b"\xd6\xd0", First::Character(2)),
            ("GB18030", b"\xd6\x20", First::None),
            ("UTF8", "ä".as_bytes(), First::Character(2)),
            ("UTF8", b"\xe2\x82", First::Cut),
            ("UTF8", b"\xe2x", First::None),
            ("UTF8", b"\xff", First::None),
            ("LATIN1", b"\xff", First::Character(1)),
            ("SQL_ASCII", b"\xc6\n", First::Character(1)),
        ] {
            assert_eq!(
                Encoding::named(name).first(bytes),
                expected,
                "{name} {bytes:x?}"
            );
        }
        let set = Encoding::set_by("SET client_encoding = 'EUC_JP';\n");
        assert_eq!(set, Encoding::EucJp);
    }
}
