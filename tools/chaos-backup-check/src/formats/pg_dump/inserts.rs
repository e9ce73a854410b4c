//! A table's data as INSERT statements (`pg_dump --inserts`; `dumpTableData_insert` in PostgreSQL's
//! `pg_dump.c`).
//!
//! They have no end mark, but two empty lines stand at their end, and none before it but in quotes.
//! A line that ends outside of quotes with a comma or a semicolon is a row: a statement has one, or
//! one a line (`--rows-per-insert`).

use super::data_error::DataError;
use super::encoding::Encoding;
use super::text::Text;

/// INSERT statements, as they come.
#[derive(Debug)]
pub(super) struct Inserts {
    pub(super) text: Text,
    /// What ends the quotes that are open. What is doubled in them ends them and begins them again.
    quote: Option<u8>,
    /// Nothing stands in the line so far.
    blank: bool,
    /// An empty line has come.
    ended: bool,
    /// The last byte outside of quotes.
    last: u8,
    rows: u64,
}

impl Inserts {
    pub(super) fn new(encoding: Encoding) -> Inserts {
        Inserts {
            text: Text::new(encoding),
            quote: None,
            blank: true,
            ended: false,
            last: b'\n',
            rows: 0,
        }
    }

    /// Takes some bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.text.take(bytes)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let found = match self.quote {
                Some(quote) => memchr::memchr(quote, rest),
                None => memchr::memchr3(b'\'', b'"', b'\n', rest),
            };
            let before = found.unwrap_or(rest.len());
            let empty = self.blank && before == 0;
            let line_end = self.quote.is_none() && found.is_some_and(|at| rest[at] == b'\n');
            if self.ended && !(line_end && empty) {
                return Err(DataError::BehindEmptyLines);
            }
            self.ended |= line_end && empty;
            self.blank = line_end;
            if self.quote.is_none()
                && let Some(last) = before.checked_sub(1)
            {
                self.last = rest[last];
            }
            self.rows += u64::from(line_end && matches!(self.last, b',' | b';'));
            self.last = found.map_or(self.last, |at| rest[at]);
            if let Some(at) = found.filter(|_| !line_end) {
                self.quote = if self.quote.is_none() {
                    Some(rest[at])
                } else {
                    None
                };
            }
            rest = rest.get(before + 1..).unwrap_or_default();
        }
        Ok(())
    }

    /// The data is at its end. Gives the number of rows.
    pub(super) fn finish(&self) -> Result<u64, DataError> {
        if self.quote.is_some() {
            return Err(DataError::InValue);
        }
        self.text.finish()?;
        Ok(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Inserts};

    /// In pieces of every size, which must make no difference.
    fn judged(text: &str) -> Result<u64, String> {
        let of_size = |size| {
            let mut inserts = Inserts::new(Encoding::Utf8);
            text.as_bytes()
                .chunks(size)
                .try_for_each(|piece| inserts.take(piece))
                .and_then(|()| inserts.finish())
                .map_err(|why| why.to_string())
        };
        let whole = of_size(text.len());
        for size in 1..text.len() {
            let rows = of_size(size);
            assert_eq!(rows.is_ok(), whole.is_ok(), "{text:?} in pieces of {size}");
            assert!(
                rows.is_err() || rows == whole,
                "{text:?} in pieces of {size}"
            );
        }
        whole
    }

    const ROWS: &str = "INSERT INTO public.\"a'b\" VALUES (1, 'it''s\n\n\n', NULL);\nINSERT INTO public.\"a'b\" VALUES (2, '\"', 3);\n\n\n";

    #[test]
    fn statements_end_once() {
        assert_eq!(judged(ROWS), Ok(2));
        assert_eq!(judged("\n\n"), Ok(0), "no row at all");
        for twice in [
            [ROWS, ROWS].concat(),
            format!("{ROWS}x"),
            format!("\n\n{ROWS}"),
            format!("{ROWS}'"),
        ] {
            assert!(
                judged(&twice).is_err_and(|why| why.contains("behind its end")),
                "{twice}"
            );
        }
    }

    #[test]
    fn rows_are_counted_in_every_form() {
        for (text, rows) in [
            ("INSERT INTO public.a DEFAULT VALUES;\n\n\n", 1),
            (
                "INSERT INTO public.a VALUES\n\t(1, ','),\n\t(2, 'x;\ny,\n'),\n\t(3, '');\n\n\n",
                3,
            ),
            (
                "INSERT INTO public.a VALUES (1) ON CONFLICT DO NOTHING;\n\n\n",
                1,
            ),
            ("INSERT INTO public.a (\"b,\") VALUES ('a\n;\n');\n\n\n", 1),
        ] {
            assert_eq!(judged(text), Ok(rows), "{text:?}");
        }
    }

    #[test]
    fn a_value_is_not_cut() {
        let cut = ROWS.find("s\n\n\n").expect("a value") + 4;
        assert!(judged(&ROWS[..cut]).is_err_and(|why| why.contains("middle of a value")));
        assert!(judged("INSERT INTO public.\"a\n").is_err());
    }
}
