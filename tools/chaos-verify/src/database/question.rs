//! The SQL, the same for every vantage, and what its answer means.
//!
//! Every statement answers with one line of JSON, and the last line says that it is the last, so an
//! answer that was cut on its way can't be taken for a whole one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::STATEMENT_TIMEOUT;

/// How the transaction begins in which the statements run.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const END: &str = "SELECT json_build_object('end', true)";

/// What the answer says of the server and the transaction.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Server {
    /// Its version.
    pub(super) version: String,
    /// `pg_database_size`.
    pub(super) bytes: u64,
    /// The database that we are in.
    pub(super) name: String,
    read_only: String,
    isolation: String,
}

/// Whether rows can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Readable,
    Forbidden,
    Missing,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Line {
    server: Option<Server>,
    table: Option<usize>,
    there: Option<bool>,
    readable: Option<bool>,
    rows: Option<u64>,
    end: Option<bool>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Lines(Vec<Line>);

/// A table's name from the configuration as SQL has it: `users`, `public.users`, `"a.b"`. Each part
/// means exactly itself, in upper and lower case; a part in double quotes is read as PostgreSQL
/// reads it. `None` if no table can have the name.
pub(super) fn quoted(table: &str) -> Option<String> {
    let mut parts = Vec::new();
    let mut rest = table;
    loop {
        let (part, tail) = match in_quotes(rest) {
            Some((part, tail)) => (part, tail),
            None => match rest.split_once('.') {
                Some((part, _)) => (part.to_owned(), &rest[part.len()..]),
                None => (rest.to_owned(), ""),
            },
        };
        if part.is_empty() || part.contains('\0') {
            return None;
        }
        parts.push(format!("\"{}\"", part.replace('"', "\"\"")));
        match tail.strip_prefix('.') {
            Some(tail) => rest = tail,
            None => break,
        }
    }
    (parts.len() <= 2).then(|| parts.join("."))
}

/// A part in double quotes at the start, and what follows it: the end or a dot.
fn in_quotes(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut part = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            part.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else {
            let tail = &inner[at + 1..];
            return (tail.is_empty() || tail.starts_with('.')).then_some((part, tail));
        }
    }
    None
}

/// A string constant. `E` makes it mean the same whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn set_timeout() -> String {
    format!("SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
}

/// Asks which of the tables there are. Counting one that is not there would be an error, which would
/// end the transaction and leave an ERROR line of ours in the server's log.
pub(super) fn presence(names: &[Option<String>]) -> Vec<String> {
    let mut statements = vec![set_timeout()];
    for (i, name) in names.iter().enumerate() {
        let Some(name) = name else { continue };
        let class = format!("to_regclass({})", literal(name));
        statements.push(format!(
            "SELECT json_build_object('table', {i}, 'there', {class} IS NOT NULL, \
             'readable', coalesce(has_table_privilege({class}, 'SELECT'), false))"
        ));
    }
    statements.push(END.to_owned());
    statements
}

/// Asks for the size, and counts the rows of the tables, given with their places in the list.
pub(super) fn counts(tables: &[(usize, String)]) -> Vec<String> {
    let mut statements = vec![
        set_timeout(),
        "SELECT json_build_object('server', json_build_object('version', current_setting('server_version'), \
         'bytes', pg_database_size(current_database()), 'name', current_database(), \
         'read_only', current_setting('transaction_read_only'), \
         'isolation', current_setting('transaction_isolation')))"
            .to_owned(),
    ];
    statements.extend(
        tables.iter().map(|(i, name)| format!("SELECT json_build_object('table', {i}, 'rows', count(*)) FROM {name}")),
    );
    statements.push(END.to_owned());
    statements
}

impl Lines {
    /// Reads an answer.
    pub(super) fn parse(text: &str) -> Result<Lines, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut lines: Vec<Line> = lines
            .map(|line| serde_json::from_str(line).map_err(|_| "its answer is not what was asked for, or is cut"))
            .collect::<Result<_, _>>()?;
        match lines.pop() {
            Some(Line { end: Some(true), .. }) => Ok(Lines(lines)),
            _ => Err("its answer is cut: the last line is missing".to_owned()),
        }
    }

    /// The answer to [`presence`]. A table without an answer counts as missing.
    pub(super) fn presence(&self, names: &[Option<String>]) -> BTreeMap<usize, Presence> {
        let of = |line: &Line| {
            let presence = match (line.there, line.readable) {
                (Some(true), Some(true)) => Presence::Readable,
                (Some(true), _) => Presence::Forbidden,
                _ => Presence::Missing,
            };
            Some((line.table.filter(|i| *i < names.len())?, presence))
        };
        self.0.iter().filter_map(of).collect()
    }

    /// The answer to [`counts`].
    pub(super) fn counts(self, tables: &[(usize, String)]) -> Result<(Server, BTreeMap<usize, u64>), String> {
        let rows: BTreeMap<usize, u64> = self.0.iter().filter_map(|line| Some((line.table?, line.rows?))).collect();
        let server = self.0.into_iter().find_map(|line| line.server).ok_or("its answer does not name the server")?;
        if (server.read_only.as_str(), server.isolation.as_str()) != ("on", "repeatable read") {
            let Server { read_only, isolation, .. } = server;
            return Err(format!("its transaction is not as asked for: read only {read_only}, isolation {isolation}"));
        }
        match tables.iter().find(|(i, _)| !rows.contains_key(i)) {
            Some((_, name)) => Err(format!("its answer has no count for {name}")),
            None => Ok((server, rows)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str =
        r#"{"server":{"version":"15.18","bytes":7,"name":"shop","read_only":"on","isolation":"repeatable read"}}"#;
    const END_LINE: &str = r#"{"end" : true}"#;

    #[test]
    fn names_are_quoted_so_that_nothing_in_them_is_sql() {
        for (name, sql) in [
            ("users", r#""users""#),
            ("public.users", r#""public"."users""#),
            ("Weird\"Name", r#""Weird""Name""#),
            (r#""a.b".c"#, r#""a.b"."c""#),
            (r#""a""b""#, r#""a""b""#),
            (r#""a"b"#, r#""""a""b""#),
            ("users; DROP TABLE users", r#""users; DROP TABLE users""#),
            ("o'brien", r#""o'brien""#),
        ] {
            assert_eq!(quoted(name).as_deref(), Some(sql), "{name}");
        }
        for name in ["", ".users", "users.", "a.b.c", "a\0b", "\"\""] {
            assert_eq!(quoted(name), None, "{name}");
        }
    }

    #[test]
    fn literals_end_where_they_should() {
        assert_eq!(literal(r#""o'brien\""#), r#"E'"o''brien\\"'"#);
    }

    #[test]
    fn rows_are_taken_from_a_whole_answer() {
        let tables = [(0, "\"users\"".to_owned()), (2, "\"orders\"".to_owned())];
        let text = format!("{SERVER}\n{{\"table\":0,\"rows\":5}}\n{{\"table\":2,\"rows\":0}}\n{END_LINE}\n");
        let (server, rows) = Lines::parse(&text).and_then(|lines| lines.counts(&tables)).expect("an answer");
        assert_eq!((server.version.as_str(), server.bytes), ("15.18", 7));
        assert_eq!(rows, [(0, 5), (2, 0)].into());
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_is_refused() {
        let tables = [(0, "\"users\"".to_owned())];
        let text = format!("{SERVER}\n{{\"table\":0,\"rows\":512}}\n{END_LINE}");
        for end in 0..text.len() {
            assert!(Lines::parse(&text[..end]).and_then(|lines| lines.counts(&tables)).is_err(), "{}", &text[..end]);
        }
        assert!(Lines::parse(&text).and_then(|lines| lines.counts(&tables)).is_ok());
    }

    #[test]
    fn a_list_of_tables_that_is_cut_does_not_make_the_others_missing() {
        let text = "{\"table\":0,\"there\":true,\"readable\":true}\n";
        assert!(Lines::parse(text).is_err());
        assert!(Lines::parse("").is_err());
        assert!(Lines::parse(&format!("{text}{END_LINE}")).is_ok());
    }

    #[test]
    fn an_answer_without_a_table_is_refused() {
        let text = format!("{SERVER}\n{END_LINE}");
        let error = Lines::parse(&text).and_then(|lines| lines.counts(&[(0, "\"users\"".to_owned())]));
        assert!(error.expect_err("no count").contains("users"));
    }

    #[test]
    fn a_transaction_that_could_write_is_refused() {
        let text = format!("{}\n{END_LINE}", SERVER.replace("\"on\"", "\"off\""));
        assert!(Lines::parse(&text).and_then(|lines| lines.counts(&[])).is_err());
    }

    #[test]
    fn tables_that_are_missing_or_forbidden_are_told_apart() {
        let text = format!(
            "{}\n{}\n{}\n{END_LINE}",
            r#"{"table":0,"there":true,"readable":true}"#,
            r#"{"table":1,"there":true,"readable":false}"#,
            r#"{"table":2,"there":false,"readable":false}"#
        );
        let presence = Lines::parse(&text).expect("an answer").presence(&vec![None; 3]);
        assert_eq!(presence, [(0, Presence::Readable), (1, Presence::Forbidden), (2, Presence::Missing)].into());
    }
}
