//! Text that comes in pieces.

use super::data_error::DataError;
use super::encoding::{Encoding, First};

/// Text in one encoding.
#[derive(Debug)]
pub(super) struct Text {
    encoding: Encoding,
    /// The first bytes of a character that was cut by the end of the last bytes.
    carry: Vec<u8>,
    /// So many line ends stand at its end; before it, there is one.
    line_ends: usize,
}

impl Text {
    pub(super) fn new(encoding: Encoding) -> Text {
        Text {
            encoding,
            carry: Vec::new(),
            line_ends: 1,
        }
    }

    /// Takes some bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        if memchr::memchr(0, bytes).is_some() {
            return Err(DataError::ZeroByte);
        }
        let ends = bytes
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\n')
            .count();
        self.line_ends = if ends == bytes.len() {
            self.line_ends + ends
        } else {
            ends
        };
        if self.encoding != Encoding::AnyBytes && !self.decode(bytes) {
            return Err(DataError::NotIn(self.encoding));
        }
        Ok(())
    }

    fn decode(&mut self, mut bytes: &[u8]) -> bool {
        while !self.carry.is_empty() {
            let Some((first, rest)) = bytes.split_first() else {
                return true;
            };
            self.carry.push(*first);
            bytes = rest;
            match self.encoding.first(&self.carry) {
                First::Character(_) => self.carry.clear(),
                First::Cut => {}
                First::None => return false,
            }
        }
        let whole = if self.encoding == Encoding::Utf8 {
            utf8(bytes)
        } else {
            characters(self.encoding, bytes)
        };
        let Some(whole) = whole else { return false };
        self.carry.extend_from_slice(&bytes[whole..]);
        true
    }

    /// Whether the bytes so far end in the middle of a character.
    pub(super) fn in_a_character(&self) -> bool {
        !self.carry.is_empty()
    }

    /// At the end: whether there are two empty lines, with which `pg_dump` ends the data of every
    /// table. Where neither compression nor a length shows a cut, only they do.
    pub(super) fn ends_as_written(&self) -> Result<(), DataError> {
        if self.line_ends < 3 {
            return Err(DataError::NoEmptyLines);
        }
        Ok(())
    }

    /// At the end: whether it ends with a whole line.
    pub(super) fn finish(&self) -> Result<(), DataError> {
        if self.in_a_character() {
            return Err(DataError::InCharacter);
        }
        if self.line_ends == 0 {
            return Err(DataError::InLine);
        }
        Ok(())
    }
}

/// How many bytes are whole characters, where no more than the last one is cut; `None` if some are
/// no characters. The library knows this encoding, and is quick.
fn utf8(bytes: &[u8]) -> Option<usize> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Some(bytes.len()),
        Err(error) if error.error_len().is_some() => None,
        Err(error) => Some(error.valid_up_to()),
    }
}

/// The same for any encoding.
fn characters(encoding: Encoding, bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(ascii) = rest.iter().position(|byte| !byte.is_ascii()) else {
            return Some(bytes.len());
        };
        at += ascii;
        match encoding.first(&bytes[at..]) {
            First::Character(length) => at += length,
            First::Cut => return Some(at),
            First::None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_may_be_cut_where_a_piece_ends_and_nowhere_else() {
        for (name, text, good) in [
            ("EUC_JP", &b"1\t\xc6\xfc\xcb\xdc\x8f\xb0\xa1\n"[..], true),
            ("EUC_JP", b"1\t\xc6\xfc\xcb\x5c\n", false),
            ("SJIS", b"1\t\x95\\\xb1\n", true),
            ("GB18030", b"\x81\x30\x81\x30\xd6\xd0\n", true),
            ("UTF8", "ä€😀\n".as_bytes(), true),
            ("UTF8", b"\xf0\x9f\x98\n", false),
            ("LATIN1", b"\xc6\xff\n", true),
        ] {
            for size in 1..=text.len() {
                let mut taken = Text::new(Encoding::named(name));
                let all = text.chunks(size).try_for_each(|piece| taken.take(piece));
                let all = all.and_then(|()| taken.finish());
                assert_eq!(all.is_ok(), good, "{name} {text:x?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn the_end_that_pg_dump_writes_is_told_from_one_that_is_cut() {
        for size in 1..9 {
            let as_written = |text: &str| {
                let mut taken = Text::new(Encoding::Utf8);
                text.as_bytes()
                    .chunks(size)
                    .for_each(|piece| taken.take(piece).expect("text"));
                taken.ends_as_written().is_ok()
            };
            assert!(as_written("1\ta\n\\.\n\n\n"), "COPY");
            assert!(as_written("INSERT INTO a VALUES (1);\n\n\n"));
            assert!(as_written("\n\n"), "no INSERT at all");
            assert!(!as_written("1\ta\n\\.\n\n"));
            assert!(!as_written("1\ta\n\\.\n"));
            assert!(!as_written("INSERT INTO a VALUES (1);\n\n"));
        }
    }
}
