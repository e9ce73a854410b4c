//! Text that comes in pieces.

use super::data_error::DataError;

/// Text in one encoding.
#[derive(Debug)]
pub(super) struct Text {
    utf8: bool,
    /// The first bytes of a character that was cut by the end of the last bytes.
    carry: Vec<u8>,
    /// So many line ends stand at its end; before it, there is one.
    line_ends: usize,
}

impl Text {
    pub(super) fn new(utf8: bool) -> Text {
        Text {
            utf8,
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
        if self.utf8 && !self.decode(bytes) {
            return Err(DataError::NotUtf8);
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
            match std::str::from_utf8(&self.carry) {
                Ok(_) => self.carry.clear(),
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                self.carry.extend_from_slice(&bytes[error.valid_up_to()..]);
                true
            }
        }
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

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn the_end_that_pg_dump_writes_is_told_from_one_that_is_cut() {
        for size in 1..9 {
            let as_written = |text: &str| {
                let mut taken = Text::new(true);
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
