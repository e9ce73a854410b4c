//! Statements and comments of a script ("Lexical Structure" in PostgreSQL's manual). What is within
//! quotes is passed over, and only the beginning and the end of a long statement are kept.

use super::super::toc::KEEP_COPY;

/// Bytes of a comment, and of a statement of no other kind, that are kept.
const KEEP: usize = 1024;

/// Something that a script is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A comment to the end of its line, without the dashes.
    Comment(String),
    /// A command of psql: a line that begins with a backslash.
    Meta(String),
    /// A statement up to its semicolon; cut if it is long.
    Statement(String),
    /// No script of `pg_dump` has this here.
    Wrong(&'static str),
}

/// Where in a script the next byte is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Between statements, or in one.
    Plain,
    /// To the end of the line; whether it is one of its own and not within a statement.
    LineComment(bool),
    /// How deep.
    BlockComment(u32),
    /// In a text in quotes; whether the next byte is escaped.
    Quoted(bool),
    /// In a name in quotes.
    Name,
    /// In a text between two of these marks.
    Dollar(Vec<u8>),
    Meta,
}

/// Takes a script apart.
pub(super) struct Lexer {
    state: State,
    /// The statement, comment or command so far.
    kept: Vec<u8>,
    /// Round brackets that are open.
    depth: u32,
    /// The last byte outside of quotes, and the one before.
    last: [u8; 2],
    /// Lines of the statement that ended with a comma, outside of brackets.
    commas: u64,
    /// Whether backslashes escape in the text in quotes that was opened last.
    escapes: bool,
    /// A byte at the end of the input that waits for the next one to mean something.
    pending: Vec<u8>,
    /// The lines behind the last comment that was not empty, and that comment.
    tail: Vec<u8>,
    comment: String,
}

impl Lexer {
    pub(super) fn new() -> Lexer {
        Lexer {
            state: State::Plain,
            kept: Vec::new(),
            depth: 0,
            last: *b"\n\n",
            commas: 0,
            escapes: false,
            pending: Vec::new(),
            tail: Vec::new(),
            comment: String::new(),
        }
    }

    /// Takes bytes up to the end of the next token; gives how many, and the token if it is
    /// complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, Option<Token>) {
        let mut at = 0;
        while at < bytes.len() {
            // Most of a script is within quotes or in a comment, where only few bytes matter.
            let skipped = self.skip(&bytes[at..]);
            at += skipped;
            if at == bytes.len() {
                break;
            }
            let token = self.step(bytes[at]);
            at += 1;
            if token.is_some() {
                return (at, token);
            }
        }
        (at, None)
    }

    /// Passes over bytes that mean nothing where they are; gives how many.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let next = match &self.state {
            _ if !self.pending.is_empty() => Some(0),
            State::Plain | State::Quoted(true) => Some(0),
            State::Quoted(false) if self.escapes => memchr::memchr2(b'\'', b'\\', bytes),
            State::Quoted(false) => memchr::memchr(b'\'', bytes),
            State::Name => memchr::memchr(b'"', bytes),
            State::Dollar(_) => memchr::memchr(b'$', bytes),
            State::LineComment(_) | State::Meta => memchr::memchr(b'\n', bytes),
            State::BlockComment(_) => memchr::memchr2(b'*', b'/', bytes),
        };
        let skipped = next.unwrap_or(bytes.len());
        match self.state {
            State::BlockComment(_) if skipped > 0 => self.last = *b"  ",
            State::LineComment(false) | State::BlockComment(_) => {}
            _ => self.keep(&bytes[..skipped]),
        }
        skipped
    }

    fn keep(&mut self, bytes: &[u8]) {
        // What a table is part of stands at the end of its definition.
        let long = [
            &b"COPY "[..],
            b"CREATE TABLE ",
            b"CREATE UNLOGGED TABLE ",
            b"CREATE FOREIGN ",
        ];
        let most = if long.iter().any(|start| self.kept.starts_with(start)) {
            KEEP_COPY
        } else {
            KEEP
        };
        let room = most.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn token(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.kept).trim().to_owned();
        self.kept.clear();
        text
    }

    fn step(&mut self, byte: u8) -> Option<Token> {
        match std::mem::replace(&mut self.state, State::Plain) {
            State::Plain => self.plain(byte),
            State::LineComment(false) => None,
            State::LineComment(true) => {
                let comment = self.token();
                if comment.is_empty() {
                    self.seen(b"--\n");
                } else {
                    self.comment.clone_from(&comment);
                    self.tail.clear();
                }
                Some(Token::Comment(comment))
            }
            State::Meta => {
                let line = self.token();
                self.seen(if line.starts_with("\\unrestrict ") {
                    b"\\unrestrict\n"
                } else {
                    b"?"
                });
                Some(Token::Meta(line))
            }
            State::BlockComment(depth) => self.block(byte, depth),
            State::Quoted(escaped) => self.quoted(byte, escaped),
            State::Name => {
                self.keep(&[byte]);
                if byte != b'"' {
                    self.state = State::Name;
                }
                None
            }
            State::Dollar(mark) => self.dollar(byte, mark),
        }
    }

    /// Remembers something behind the last comment; only a little of it can be right.
    fn seen(&mut self, what: &[u8]) {
        if self.tail.len() < 64 {
            self.tail.extend_from_slice(what);
        }
    }

    fn plain(&mut self, byte: u8) -> Option<Token> {
        // A dollar or a name behind it may open a text.
        if !self.pending.is_empty() {
            return self.maybe_dollar(byte);
        }
        let [last, before] = self.last;
        let starts = self.kept.iter().all(u8::is_ascii_whitespace);
        if byte == b'\r' {
            // Lines may end as on Windows.
            return None;
        }
        self.last = [byte, last];
        if starts && byte == b'\n' {
            self.kept.clear();
            self.seen(b"\n");
            return None;
        }
        if starts && byte != b'-' && byte != b'\\' {
            self.seen(b"?");
        }
        self.keep(&[byte]);
        match byte {
            b'-' if last == b'-' => {
                self.kept.truncate(self.kept.len().saturating_sub(2));
                self.last = *b"\n\n";
                let own = self.kept.trim_ascii().is_empty();
                self.state = State::LineComment(own);
            }
            b'*' if last == b'/' => {
                self.kept.truncate(self.kept.len().saturating_sub(2));
                self.last = *b"  ";
                self.state = State::BlockComment(1);
            }
            b'\'' => {
                // A quote that is doubled ends the text and begins it anew, with the same meaning
                // of backslashes.
                if last != b'\'' {
                    self.escapes = matches!(last, b'E' | b'e') && !is_name(before);
                }
                self.state = State::Quoted(false);
            }
            b'"' => self.state = State::Name,
            b'$' if !is_name(last) => self.pending.push(byte),
            b'(' => self.depth += 1,
            b')' => {
                self.depth = match self.depth.checked_sub(1) {
                    Some(depth) => depth,
                    None => return Some(Token::Wrong("a bracket is closed that was not opened")),
                };
            }
            b'\\' if starts => {
                self.kept.clear();
                self.kept.push(byte);
                self.state = State::Meta;
            }
            b'\n' if last == b',' && self.depth == 0 => self.commas += 1,
            b'\\' => return Some(Token::Wrong("a backslash within a statement")),
            b';' if self.depth == 0 => return Some(Token::Statement(self.token())),
            _ => {}
        }
        None
    }

    /// Behind a dollar: the rest of a mark such as `$body$`, or something else, such as `$1`.
    fn maybe_dollar(&mut self, byte: u8) -> Option<Token> {
        self.pending.push(byte);
        let digit_first = self.pending.len() == 2 && byte.is_ascii_digit();
        if byte == b'$' {
            let mark = std::mem::take(&mut self.pending);
            self.keep(&mark[1..]);
            self.last = *b"$$";
            self.state = State::Dollar(mark);
            return None;
        }
        if is_name(byte) && byte != b'$' && !digit_first && self.pending.len() < 128 {
            return None;
        }
        // It was none: its bytes are what they are. None but the last can mean anything.
        let pending = std::mem::take(&mut self.pending);
        let (byte, before) = pending.split_last()?;
        self.keep(&before[1..]);
        self.last = [*before.last()?, b'$'];
        self.plain(*byte)
    }

    fn block(&mut self, byte: u8, depth: u32) -> Option<Token> {
        let last = self.last[0];
        self.last = [byte, last];
        let depth = match (last, byte) {
            (b'/', b'*') => depth + 1,
            (b'*', b'/') => depth - 1,
            _ => depth,
        };
        if matches!((last, byte), (b'/', b'*') | (b'*', b'/')) {
            self.last = *b"  ";
        }
        if depth > 0 {
            self.state = State::BlockComment(depth);
        }
        None
    }

    fn quoted(&mut self, byte: u8, escaped: bool) -> Option<Token> {
        self.keep(&[byte]);
        match byte {
            _ if escaped => self.state = State::Quoted(false),
            b'\'' => self.last = *b"' ",
            b'\\' if self.escapes => self.state = State::Quoted(true),
            _ => self.state = State::Quoted(false),
        }
        None
    }

    fn dollar(&mut self, byte: u8, mark: Vec<u8>) -> Option<Token> {
        self.keep(&[byte]);
        self.pending.push(byte);
        if self.pending == mark {
            self.pending.clear();
            return None;
        }
        if !mark.starts_with(&self.pending) {
            self.pending.clear();
            if byte == b'$' {
                self.pending.push(byte);
            }
        }
        self.state = State::Dollar(mark);
        None
    }

    /// How many rows the INSERT statement has that came last.
    pub(super) fn take_rows(&mut self) -> u64 {
        1 + std::mem::take(&mut self.commas)
    }

    /// What the end of the input is in the middle of; `None` between two statements.
    pub(super) fn in_the_middle(&self) -> Option<&'static str> {
        match self.state {
            State::Plain
                if self.pending.is_empty()
                    && self.depth == 0
                    && self.kept.trim_ascii().is_empty() =>
            {
                None
            }
            State::Plain => Some("a statement"),
            State::LineComment(_) | State::BlockComment(_) => Some("a comment"),
            State::Quoted(_) | State::Dollar(_) => Some("a text in quotes"),
            State::Name => Some("a name in quotes"),
            State::Meta => Some("a command of psql"),
        }
    }

    /// Whether the last comment ends with this word, and nothing but what belongs to it follows.
    pub(super) fn ended_as(&self, word: &str) -> bool {
        let tail = [&b"--\n\n"[..], b"--\n\n\\unrestrict\n\n"];
        self.comment.ends_with(word) && tail.contains(&&self.tail[..])
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}
