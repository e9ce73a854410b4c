//! The characters of YAML, as go-yaml reads them: UTF-8, or UTF-16 with its byte order mark, as
//! Windows programs write it.

use std::io::BufRead;

use granit_parser::ErrorKind;

/// Characters of what a reader gives.
pub(super) struct Chars<R> {
    reader: R,
    encoding: Option<Encoding>,
    /// What was decoded, and how many of its bytes were given out.
    text: String,
    given: usize,
    /// The first bytes of a character whose rest has not been read.
    carry: Vec<u8>,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Utf8,
    Utf16(fn([u8; 2]) -> u16),
}

impl<R: BufRead> Chars<R> {
    pub(super) fn new(reader: R) -> Chars<R> {
        Chars {
            reader,
            encoding: None,
            text: String::new(),
            given: 0,
            carry: Vec::new(),
            ended: false,
        }
    }

    /// Reads and decodes some more.
    fn refill(&mut self) -> Result<(), ErrorKind> {
        let mut bytes = std::mem::take(&mut self.carry);
        let there = self.reader.fill_buf().map_err(|_| unreadable())?;
        let read = there.len();
        bytes.extend_from_slice(there);
        self.reader.consume(read);
        self.ended = read == 0;
        self.text.clear();
        self.given = 0;
        let (encoding, mark) = match self.encoding {
            Some(encoding) => (encoding, 0),
            // A mark has three bytes at most.
            None if bytes.len() < 3 && !self.ended => {
                self.carry = bytes;
                return Ok(());
            }
            None => Encoding::of(&bytes),
        };
        self.encoding = Some(encoding);
        let rest = match encoding {
            Encoding::Utf8 => self.utf8(&bytes[mark..])?,
            Encoding::Utf16(unit) => self.utf16(&bytes[mark..], unit)?,
        };
        if self.ended && !rest.is_empty() {
            return Err(no_text());
        }
        self.carry = rest;
        Ok(())
    }

    /// Decodes what is whole, and gives what is left.
    fn utf8(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ErrorKind> {
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                self.text.push_str(text);
                Ok(Vec::new())
            }
            Err(error) if error.error_len().is_some() => Err(no_text()),
            Err(error) => {
                let (whole, rest) = bytes.split_at(error.valid_up_to());
                self.text.push_str(&String::from_utf8_lossy(whole));
                Ok(rest.to_vec())
            }
        }
    }

    fn utf16(&mut self, bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>, ErrorKind> {
        let (pairs, odd) = bytes.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        let mut rest = Vec::new();
        // The first half of a character whose second has not been read.
        if units
            .last()
            .is_some_and(|unit| (0xd800..0xdc00).contains(unit))
        {
            units.pop();
            rest.extend_from_slice(&pairs[pairs.len() - 1]);
        }
        rest.extend_from_slice(odd);
        for decoded in char::decode_utf16(units) {
            self.text.push(decoded.map_err(|_| no_text())?);
        }
        Ok(rest)
    }
}

impl Encoding {
    /// What the first bytes say, and how many of them say it.
    fn of(start: &[u8]) -> (Encoding, usize) {
        match start {
            [0xff, 0xfe, ..] => (Encoding::Utf16(u16::from_le_bytes), 2),
            [0xfe, 0xff, ..] => (Encoding::Utf16(u16::from_be_bytes), 2),
            [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
            _ => (Encoding::Utf8, 0),
        }
    }
}

impl<R: BufRead> Iterator for Chars<R> {
    type Item = Result<char, ErrorKind>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(next) = self.text[self.given..].chars().next() {
                self.given += next.len_utf8();
                return Some(if is_allowed(next) {
                    Ok(next)
                } else {
                    Err(no_text())
                });
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.refill() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

/// Whether go-yaml takes a character: no others that control something, and none that is no
/// character.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

fn no_text() -> ErrorKind {
    ErrorKind::InputDecoding {
        message: "is no text".to_owned(),
    }
}

/// The reader keeps its own error.
fn unreadable() -> ErrorKind {
    ErrorKind::InputDecoding {
        message: "cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// In pieces of every size, which must make no difference.
    fn decoded(bytes: &[u8]) -> Option<String> {
        let of = |size| -> Option<String> {
            Chars::new(BufReader::with_capacity(size, bytes))
                .collect::<Result<_, _>>()
                .ok()
        };
        let whole = of(bytes.len() + 1);
        for size in 1..bytes.len() {
            assert_eq!(of(size), whole, "{bytes:?} in pieces of {size}");
        }
        whole
    }

    #[test]
    fn texts_are_decoded_by_their_mark() {
        let text = "a: ä€😀\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xff\xfe", &little[..]].concat(),
            [b"\xfe\xff", &big[..]].concat(),
        ] {
            assert_eq!(decoded(&bytes).as_deref(), Some(text));
        }
        assert_eq!(decoded(b"").as_deref(), Some(""));
        assert_eq!(decoded(b"x").as_deref(), Some("x"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for bytes in [
            &b"a\0b"[..],
            b"\x07",
            b"a\xff",
            b"\xc3",
            b"\xff\xfea",
            b"\xff\xfe\x00\xd8",
            b"\x7f",
        ] {
            assert_eq!(decoded(bytes), None, "{bytes:?}");
        }
    }
}
