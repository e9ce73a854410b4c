//! A dump that is a script of SQL (`pg_dump -Fp`, `pg_dumpall`).
//!
//! It has no table of contents. What it has is comments at its beginning and its end, COPY data
//! with an end mark and as many columns as its statement names, and SQL whose quotes and brackets
//! must close. So a script that is cut is known by its end, and one that lost something in the
//! middle only if it lost part of a row or of a quoted text.

mod lexer;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::BufRead;

use chaos_common::record::TableRows;

use self::lexer::{Lexer, Token};
use super::data_error::DataError;
use super::encoding::Encoding;
use super::input::Input;
use super::parts::Parts;
use super::rows::CopyText;
use super::text::Text;
use super::toc;
use crate::formats::error::FormatError;

const DUMP: &str = "PostgreSQL database dump";
const CLUSTER: &str = "PostgreSQL database cluster dump";
/// The byte order mark of UTF-8, which psql passes over.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What a script holds.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Rows of each table whose data is announced, or comes.
    pub(super) tables: Vec<TableRows>,
    /// Where in `tables` each table is.
    index: HashMap<String, usize>,
    /// Tables that COPY fills.
    pub(super) copies: usize,
    /// Which tables are parts of others.
    pub(super) parts: Parts,
    /// Roles that are made.
    pub(super) roles: u64,
    /// Rows of the statement, if it inserts some.
    rows: u64,
    /// Databases that are connected to.
    pub(super) databases: Vec<String>,
    pub(super) server_version: String,
    /// Whether `pg_dumpall` made it.
    pub(super) cluster: bool,
    /// Statements; COPY with its data is one.
    pub(super) statements: usize,
    /// Tables that are defined.
    pub(super) created: u64,
    /// Statements that insert rows, and large objects.
    pub(super) inserts: u64,
    pub(super) blobs: u64,
    /// Of text.
    encoding: Encoding,
    /// The dumps that have begun and not ended.
    open: Vec<&'static str>,
    /// How many have ended.
    ended: usize,
    /// The key of `\restrict`, which must come again in `\unrestrict`.
    restricted: Option<String>,
    /// Comments that announce the data of a table, which may be empty.
    pub(super) announcements: usize,
    /// The table whose data a comment announces.
    announced: Option<String>,
}

/// Whether a file begins as `pg_dump`'s scripts do.
pub(super) fn begins(start: &[u8]) -> bool {
    let start = start.strip_prefix(MARK).unwrap_or(start);
    let text = start.trim_ascii_start();
    ["--\n-- PostgreSQL database", "--\r\n-- PostgreSQL database"]
        .map(str::as_bytes)
        .iter()
        .any(|first| text.starts_with(first) || (!text.is_empty() && first.starts_with(text)))
}

/// Reads a script to its end.
pub(super) fn read<R: BufRead>(input: &mut Input<R>) -> Result<Script, FormatError> {
    let mut script = Script::default();
    let mut lexer = Lexer::new();
    let mut text = Text::new(script.encoding);
    if input.fill()?.starts_with(MARK) {
        input.consume(MARK.len());
    }
    loop {
        let at = input.position();
        let bytes = input.fill()?;
        if bytes.is_empty() {
            break;
        }
        let (used, token) = lexer.take(bytes);
        let bytes = &bytes[..used];
        text.take(bytes).map_err(|why| {
            FormatError::Damaged(format!("is damaged: the SQL at byte {at} {why}"))
        })?;
        input.consume(used);
        if let Some(token) = token {
            script.rows = lexer.take_rows();
            let encoding = script.encoding;
            script.token(token, input)?;
            if script.encoding != encoding {
                text = Text::new(script.encoding);
            }
        }
    }
    script.end(&lexer, input.position())?;
    Ok(script)
}

impl Script {
    fn token<R: BufRead>(&mut self, token: Token, input: &mut Input<R>) -> Result<(), FormatError> {
        let at = input.position();
        match token {
            Token::Comment(comment) => self.comment(comment.trim(), at),
            Token::Meta(line) => self.meta(line.trim(), at),
            Token::Statement(statement) => self.statement(&statement, input),
            Token::Wrong(why) => FormatError::damaged(format!("is damaged at byte {at}: {why}")),
        }
    }

    fn comment(&mut self, comment: &str, at: u64) -> Result<(), FormatError> {
        if let Some(version) = comment.strip_prefix("Dumped from database version ") {
            version.clone_into(&mut self.server_version);
        } else if let Some(data) = comment.strip_prefix("Data for Name: ") {
            self.announced_is_there(at)?;
            self.announced = announced(data);
            if let Some(table) = self.announced.clone() {
                // Without rows, no INSERT follows.
                self.count(&table, 0);
            }
            self.announcements += 1;
        } else if comment.strip_prefix("Name: ").is_some() {
            self.announced_is_there(at)?;
        }
        for mark in [CLUSTER, DUMP] {
            let Some(rest) = comment.strip_prefix(mark) else {
                continue;
            };
            match rest {
                "" if self.ended > 0 && self.open.is_empty() => {
                    return FormatError::damaged(format!(
                        "has a second {mark} behind its end, before byte {at}"
                    ));
                }
                "" => {
                    self.cluster |= mark == CLUSTER;
                    self.open.push(mark);
                }
                " complete" if self.open.last() == Some(&mark) => {
                    self.announced_is_there(at)?;
                    self.open.pop();
                    self.ended += 1;
                    // The name of the next database is in the encoding of pg_dumpall.
                    self.encoding = Encoding::AnyBytes;
                }
                " complete" => {
                    return FormatError::damaged(format!(
                        "is damaged: a {mark} ends before byte {at} that has not begun"
                    ));
                }
                _ => {}
            }
            return Ok(());
        }
        Ok(())
    }

    /// The data that a comment announced must have come before the next thing.
    fn announced_is_there(&mut self, at: u64) -> Result<(), FormatError> {
        match self.announced.take() {
            // A table without rows has no INSERT.
            Some(table) if self.inserts == 0 && self.copies > 0 => FormatError::damaged(format!(
                "is damaged: the data of {table} does not come before byte {at}"
            )),
            _ => Ok(()),
        }
    }

    /// Counts rows of a table.
    fn count(&mut self, table: &str, rows: u64) {
        let name = format!("{}{table}", self.prefix());
        let at = *self.index.entry(name).or_insert_with_key(|name| {
            self.tables.push(TableRows {
                table: name.clone(),
                rows: 0,
            });
            self.tables.len() - 1
        });
        self.tables[at].rows += rows;
    }

    /// What stands before the names of tables: the database, where there may be several.
    fn prefix(&self) -> String {
        let database = self.databases.last().filter(|_| self.cluster);
        database.map_or(String::new(), |database| format!("{database}."))
    }

    fn meta(&mut self, line: &str, at: u64) -> Result<(), FormatError> {
        let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "\\connect" => {
                let name = argument
                    .trim_start_matches("-reuse-previous=on ")
                    .trim_matches(['"', '\'']);
                self.databases.push(name.to_owned());
            }
            "\\restrict" => self.restricted = Some(argument.to_owned()),
            "\\unrestrict" if self.restricted.as_deref() == Some(argument) => {
                self.restricted = None;
            }
            "\\unrestrict" => {
                return FormatError::damaged(format!(
                    "is damaged before byte {at}: \\unrestrict has another key than \\restrict"
                ));
            }
            "\\encoding" => {}
            _ => {
                return FormatError::damaged(format!(
                    "is damaged before byte {at}: {line:?} is nothing that pg_dump writes"
                ));
            }
        }
        Ok(())
    }

    fn statement<R: BufRead>(
        &mut self,
        statement: &str,
        input: &mut Input<R>,
    ) -> Result<(), FormatError> {
        self.statements += 1;
        if statement.starts_with("COPY ") && statement.ends_with("FROM stdin;") {
            return self.copy(statement, input);
        }
        if let Some(mut into) = statement.strip_prefix("INSERT INTO ") {
            self.inserts += 1;
            self.announced = None;
            if let Some([schema, table]) = toc::relation(&mut into) {
                self.count(&toc::qualified(&schema, &table), self.rows);
            }
        } else if statement.starts_with("SET client_encoding = ") {
            self.encoding = Encoding::set_by(statement);
        } else if statement.starts_with("SELECT pg_catalog.lo_create(")
            || statement.starts_with("SELECT pg_catalog.lo_open(")
        {
            self.blobs += u64::from(statement.contains("lo_create("));
        } else if statement.starts_with("ALTER TABLE ONLY ") {
            self.parts.note(statement, &self.prefix());
        } else if let Some(rest) = statement.strip_prefix("CREATE ") {
            self.parts.note(statement, &self.prefix());
            self.roles += u64::from(rest.starts_with("ROLE "));
            self.created +=
                u64::from(rest.starts_with("TABLE ") || rest.starts_with("UNLOGGED TABLE "));
        }
        Ok(())
    }

    /// Reads the rows behind a COPY statement.
    fn copy<R: BufRead>(
        &mut self,
        statement: &str,
        input: &mut Input<R>,
    ) -> Result<(), FormatError> {
        let at = input.position();
        let name = toc::target_of(statement).map_or_else(
            || "a table".to_owned(),
            |[schema, table]| toc::qualified(&schema, &table),
        );
        let table = format!("{}{name}", self.prefix());
        let damaged = |why: DataError| {
            FormatError::Damaged(format!(
                "is damaged: the data of {table} at byte {at} {why}"
            ))
        };
        let mut copy = CopyText::new(toc::columns(statement), self.encoding);
        match input.byte("a COPY statement")? {
            b'\n' => {}
            b'\r' if input.byte("a COPY statement")? == b'\n' => copy.lines_end_with_cr(),
            _ => return Err(damaged(DataError::NoLineOfItsOwn)),
        }
        loop {
            let bytes = input.fill()?;
            if bytes.is_empty() {
                break;
            }
            let used = copy.take_to_end(bytes).map_err(damaged)?;
            input.consume(used);
            if copy.has_ended() {
                break;
            }
        }
        let rows = copy.finish().map_err(damaged)?;
        self.announced = None;
        self.copies += 1;
        self.count(&name, rows);
        Ok(())
    }

    /// Whether the script is at its end.
    fn end(&mut self, lexer: &Lexer, at: u64) -> Result<(), FormatError> {
        let cut =
            |what: &str| FormatError::damaged(format!("is cut: it ends at byte {at}, {what}"));
        if let Some(place) = lexer.in_the_middle() {
            return cut(&format!("in the middle of {place}"));
        }
        match self.open.last() {
            Some(mark) => {
                return cut(&format!(
                    "without the comment {:?}",
                    format!("{mark} complete")
                ));
            }
            None if !lexer.ended_as("complete") => {
                return cut("or goes on, where pg_dump's last comment should be");
            }
            None => {}
        }
        if self.restricted.is_some() {
            return cut("without the \\unrestrict that belongs to its \\restrict");
        }
        Ok(())
    }
}

/// The table in the comment before its data: `users; Type: TABLE DATA; Schema: public; Owner: me`.
fn announced(comment: &str) -> Option<String> {
    let (table, rest) = comment.split_once("; Type: TABLE DATA; Schema: ")?;
    let schema = rest
        .rsplit_once("; Owner: ")
        .map_or(rest, |(schema, _)| schema);
    Some(toc::qualified(schema, table))
}
