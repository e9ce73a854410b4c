//! The text of a table's data: rows as COPY reads them, or INSERT statements.
//!
//! Where data is not compressed nothing guards its bytes. So everything that this text can't hold
//! is looked for: zero bytes, carriage returns, bytes that are no characters, rows with too few columns.

use super::data_error::DataError;
use super::encoding::Encoding;
use super::inserts::Inserts;
use super::text::Text;
use super::toc::Kind;

/// What takes the bytes of one block of data, as they come.
#[derive(Debug)]
pub(super) enum Sink {
    /// A table's rows.
    Copy(CopyText),
    /// A table's INSERT statements.
    Inserts(Inserts),
    /// A large object, whose bytes may be anything.
    Blob,
}

impl Sink {
    /// For an entry's data, with text in this encoding.
    pub(super) fn new(kind: &Kind, encoding: Encoding) -> Sink {
        match kind {
            Kind::Copy(columns) => Sink::Copy(CopyText::new(*columns, encoding)),
            Kind::Inserts => Sink::Inserts(Inserts::new(encoding)),
            Kind::Blobs => Sink::Blob,
        }
    }

    /// Takes some bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        match self {
            Sink::Copy(copy) => copy.take(bytes),
            Sink::Inserts(inserts) => inserts.take(bytes),
            Sink::Blob => Ok(()),
        }
    }

    /// The data is at its end, which nothing else shows.
    pub(super) fn ends_as_written(&self) -> Result<(), DataError> {
        match self {
            Sink::Copy(copy) => copy.text.ends_as_written(),
            Sink::Inserts(inserts) => inserts.text.ends_as_written(),
            Sink::Blob => Ok(()),
        }
    }

    /// The data is at its end. Gives the number of rows where they can be counted.
    pub(super) fn finish(self) -> Result<Option<u64>, DataError> {
        match self {
            Sink::Copy(copy) => copy.finish().map(Some),
            Sink::Inserts(inserts) => inserts.finish().map(Some),
            Sink::Blob => Ok(None),
        }
    }
}

/// Rows as COPY reads them: a line a row, columns apart by tabs, behind them `\.` on a line of its
/// own (COPY, "Text Format", in PostgreSQL's manual). Tabs and line ends in values are escaped.
#[derive(Debug)]
pub(super) struct CopyText {
    columns: Option<usize>,
    text: Text,
    rows: u64,
    tabs: usize,
    /// Bytes of the line so far, and its first two.
    length: usize,
    head: [u8; 2],
    ended: bool,
    /// The bytes before the end of a line that belong to it: a carriage return, or nothing.
    line_end: usize,
    /// The last byte was a carriage return.
    returned: bool,
}

impl CopyText {
    /// For rows of so many columns, if that is known.
    pub(super) fn new(columns: Option<usize>, encoding: Encoding) -> CopyText {
        CopyText {
            columns,
            text: Text::new(encoding),
            rows: 0,
            tabs: 0,
            length: 0,
            head: [0; 2],
            ended: false,
            line_end: 0,
            returned: false,
        }
    }

    /// Every line ends with a carriage return and a line feed, as on Windows; COPY takes that if all
    /// of them do.
    pub(super) fn lines_end_with_cr(&mut self) {
        self.line_end = 1;
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.text.take(bytes).map_err(|source| DataError::NearRow {
            row: self.rows + 1,
            source: Box::new(source),
        })?;
        let returns = if self.line_end == 0 {
            memchr::memchr(b'\r', bytes).is_some()
        } else {
            !self.all_lines_end_with_cr(bytes)
        };
        if returns {
            return Err(DataError::CarriageReturn { row: self.rows + 1 });
        }
        self.count(bytes)
    }

    /// Whether carriage returns stand before line feeds, and nowhere else.
    fn all_lines_end_with_cr(&mut self, bytes: &[u8]) -> bool {
        let mut before = self.returned;
        self.returned = bytes.last() == Some(&b'\r');
        let mut next = 0;
        for at in memchr::memchr2_iter(b'\r', b'\n', bytes) {
            if (before && at != next) || (bytes[at] == b'\n') != before {
                return false;
            }
            before = bytes[at] == b'\r';
            next = at + 1;
        }
        !before || next == bytes.len()
    }

    /// Counts rows and columns.
    fn count(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        // Rows are short: a look at many bytes at a time is quicker than a search for each line's
        // end and each tab in it.
        let mut start = 0;
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        for (number, block) in blocks.iter().chain(std::iter::once(&last)).enumerate() {
            let (mut ends, mut tabs) = (marks(block, b'\n'), marks(block, b'\t'));
            while ends != 0 {
                let before = (ends & ends.wrapping_neg()) - 1;
                let end = BLOCK * number + ends.trailing_zeros() as usize;
                self.tabs += (tabs & before).count_ones() as usize;
                self.part(&bytes[start..end]);
                self.line()?;
                start = end + 1;
                tabs &= !before;
                ends &= ends - 1;
            }
            self.tabs += tabs.count_ones() as usize;
        }
        self.part(&bytes[start..]);
        Ok(())
    }

    /// Takes bytes up to the end mark and its line's end; gives how many.
    pub(super) fn take_to_end(&mut self, bytes: &[u8]) -> Result<usize, DataError> {
        let mut line = (self.length, self.head);
        let mut start = 0;
        let end = memchr::memchr_iter(b'\n', bytes).find(|end| {
            let (mut length, mut head) = std::mem::take(&mut line);
            for byte in bytes[start..*end].iter().take(3 + self.line_end) {
                if let Some(place) = head.get_mut(length) {
                    *place = *byte;
                }
                length += 1;
            }
            start = end + 1;
            length == 2 + self.line_end && head == *b"\\."
        });
        let used = end.map_or(bytes.len(), |end| end + 1);
        self.take(&bytes[..used])?;
        Ok(used)
    }

    /// Whether the end mark has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes a part of a line; its tabs are counted already.
    fn part(&mut self, part: &[u8]) {
        for (head, byte) in self.head.iter_mut().skip(self.length).zip(part) {
            *head = *byte;
        }
        self.length += part.len();
    }

    /// Judges the line that has come to its end.
    fn line(&mut self) -> Result<(), DataError> {
        let (length, tabs) = (
            std::mem::take(&mut self.length),
            std::mem::take(&mut self.tabs),
        );
        if self.ended {
            return if length == self.line_end {
                Ok(())
            } else {
                Err(DataError::BehindEndMark)
            };
        }
        if length == 2 + self.line_end && self.head == *b"\\." {
            self.ended = true;
            return Ok(());
        }
        self.rows += 1;
        let found = if length == self.line_end && self.columns == Some(0) {
            0
        } else {
            tabs + 1
        };
        match self.columns {
            Some(columns) if columns != found => Err(DataError::Columns {
                row: self.rows,
                found,
                columns,
            }),
            _ => Ok(()),
        }
    }

    /// The text is at its end. Gives the number of rows.
    pub(super) fn finish(&self) -> Result<u64, DataError> {
        if !self.ended {
            return Err(DataError::NoEndMark { rows: self.rows });
        }
        self.text.finish()?;
        Ok(self.rows)
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// A bit for each byte that is this one, the first the lowest.
fn marks(block: &[u8; BLOCK], byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    block
        .as_chunks::<8>()
        .0
        .iter()
        .rev()
        .fold(0, |marks, word| {
            let other = u64::from_le_bytes(*word) ^ u64::from_ne_bytes([byte; 8]);
            // A sum does not reach the next byte: the highest bit of each byte that is this one.
            let same = !(((other & LOW) + LOW) | other | LOW);
            // No two of the bits come to the same place: the highest byte has all eight of them.
            marks << 8 | (same >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_of_one_byte_and_all_of_it() {
        for other in 0..=255 {
            for place in 0..BLOCK {
                let mut block = [other; BLOCK];
                block[place] = b'\t';
                let expected = if other == b'\t' { u64::MAX } else { 1 << place };
                assert_eq!(marks(&block, b'\t'), expected, "{other} around {place}");
            }
        }
    }

    /// Feeds the text in pieces of every size, which must make no difference.
    fn rows(columns: usize, text: &[u8]) -> Result<u64, String> {
        let mut results = (1..=text.len()).map(|size| {
            let mut copy = CopyText::new(Some(columns), Encoding::Utf8);
            text.chunks(size)
                .try_for_each(|piece| copy.take(piece))
                .and_then(|()| copy.finish())
                .map_err(|why| why.to_string())
        });
        let first = results.next().expect("text is not empty");
        for other in results {
            assert_eq!(first.is_ok(), other.is_ok(), "{first:?} {other:?}");
        }
        first
    }

    #[test]
    fn rows_and_columns_are_counted() {
        assert_eq!(rows(2, "1\tä\n2\t\\N\n\\.\n\n\n".as_bytes()), Ok(2));
        assert_eq!(rows(0, b"\n\n\\.\n\n\n"), Ok(2));
        assert_eq!(rows(1, b"\n\\.\n\n\n"), Ok(1), "one column may be empty");
        assert_eq!(
            rows(1, b"\\\\.\n\\.\n\n\n"),
            Ok(1),
            "an escaped end mark is data"
        );
        assert_eq!(rows(3, b"\\.\n\n\n"), Ok(0));
    }

    #[test]
    fn damage_in_rows_is_named() {
        let why = |text: &[u8]| rows(2, text).expect_err("damaged");
        assert!(
            why(b"1\ta\n2\n\\.\n").contains("row 2 has 1 columns"),
            "{}",
            why(b"1\ta\n2\n\\.\n")
        );
        assert!(why(b"1\ta\n").contains("no end mark"));
        assert!(why(b"1\ta\n\\.").contains("no end mark"));
        assert!(why(b"1\ta\n\\.\n1\tb\n").contains("behind its end mark"));
        assert!(why(b"1\t\0\n\\.\n").contains("zero byte"));
        assert!(why(b"1\t\xff\n\\.\n").contains("UTF-8"));
        assert!(why(b"1\t\xc3\n\\.\n").contains("UTF-8"));
        assert!(why(b"1\ta\r\n\\.\n").contains("carriage return"));
        assert!(why(b"\n\\.\n").contains("row 1 has 1 columns"));
    }

    #[test]
    fn lines_may_end_as_on_windows_if_all_do() {
        let judged = |text: &str| {
            let results: Vec<_> = (1..=text.len())
                .map(|size| {
                    let mut copy = CopyText::new(Some(2), Encoding::Utf8);
                    copy.lines_end_with_cr();
                    let mut pieces = text.as_bytes().chunks(size);
                    let taken = pieces.try_for_each(|piece| copy.take(piece));
                    taken.and_then(|()| copy.finish()).ok()
                })
                .collect();
            assert!(
                results.iter().all(|result| *result == results[0]),
                "{text:?}: {results:?}"
            );
            results[0]
        };
        assert_eq!(judged("1\ta\r\n2\t\r\n\\.\r\n\r\n\r\n"), Some(2));
        for wrong in [
            "1\ta\r\n2\tb\n\\.\r\n",
            "1\ta\rb\r\n\\.\r\n",
            "1\ta\r\r\n\\.\r\n",
            "1\ta\r\n\\.\n",
        ] {
            assert_eq!(judged(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn some_encodings_may_hold_any_byte_but_zero() {
        let mut copy = CopyText::new(Some(1), Encoding::AnyBytes);
        copy.take(b"\xe4\xff\n\\.\n\n\n").expect("any bytes");
        assert_eq!(copy.finish().expect("an end mark"), 1);
    }
}
