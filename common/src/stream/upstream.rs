//! What came in on standard input: every line is copied, and the latest records of each kind are kept.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;
use serde_json::Value;

use crate::exit::Exit;
use crate::record::{Check, Kind, Outcome, Record, Verdict};

/// The longest line that is read. A record is a few kilobytes; this bounds memory.
const MAX_LINE: usize = 16 << 20;

/// The most records of one kind that are kept in memory: the latest ones.
const MAX_KEPT: usize = 1000;

/// What came in on standard input.
#[derive(Debug, Default)]
pub struct Upstream {
    /// Whether there was a stream at all; a terminal, `/dev/null` and an empty input are none.
    pub present: bool,
    /// Why the stream can't be trusted: it is empty, cut, or not ours.
    pub broken: Option<String>,
    /// The worst outcome that one of its records tells of.
    pub worst: Option<Exit>,
    /// The run of its records, if there was one.
    pub(super) run: Option<String>,
    pub(super) kept: HashMap<Kind, VecDeque<Record<Value>>>,
    pub(super) unknown_major: HashMap<Kind, String>,
}

/// What one line of the stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A record with a verdict.
    Result,
    /// An event, or a JSON object of somebody else's.
    Other,
    /// Not JSON, or cut.
    Garbage,
}

impl Upstream {
    /// Reads a stream that is stored, without passing it on.
    ///
    /// # Errors
    /// It can't be read.
    pub fn from_reader(input: impl Read) -> io::Result<Upstream> {
        Upstream::read(input, |_| {}).map(|(upstream, _)| upstream)
    }

    /// The run of its records, if there is one.
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// The records that are kept, of all kinds, in the order in which they were made.
    pub fn in_order(&self) -> Vec<&Record<Value>> {
        let mut records: Vec<_> = self.kept.values().flatten().collect();
        records.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        records
    }

    /// A check that says why the stream can't be trusted, if it can't.
    pub fn check(&self) -> Option<Check> {
        self.broken.as_ref().map(|why| {
            Check::unknown("stream.upstream", "standard input", why.clone())
                .hint("see what the tool before this one said on stderr; to start a new run, give this tool </dev/null")
        })
    }

    /// Reads a stream to its end. Every line goes to `copy`, whole and in order, but for a trailing
    /// result, which is returned instead.
    pub(super) fn read(
        input: impl Read,
        mut copy: impl FnMut(&[u8]),
    ) -> io::Result<(Upstream, Vec<u8>)> {
        let mut upstream = Upstream {
            present: true,
            ..Upstream::default()
        };
        let mut input = BufReader::with_capacity(64 << 10, input);
        let (mut held, mut line) = (Vec::new(), Vec::new());
        let mut number = 0_u64;
        let mut last = Line::Other;
        while input
            .by_ref()
            .take(MAX_LINE as u64)
            .read_until(b'\n', &mut line)?
            > 0
        {
            number += 1;
            last = upstream.see(&line, number);
            let whole = line.last() == Some(&b'\n');
            let too_long = !whole && line.len() == MAX_LINE;
            if last == Line::Result {
                if !held.is_empty() {
                    copy(&held);
                }
                std::mem::swap(&mut held, &mut line);
                if !whole {
                    held.push(b'\n');
                }
            } else {
                held.append(&mut line);
                if !whole && !too_long {
                    held.push(b'\n');
                }
                copy(&held);
                held.clear();
            }
            if too_long {
                copy_rest_of_line(&mut input, &mut copy)?;
            }
            line.clear();
        }
        if number == 0 {
            upstream.distrust(
                "the stream is empty: the tool before this one died, or wrote nothing".to_owned(),
            );
        } else if last == Line::Other {
            upstream.distrust(format!(
                "the stream ends at line {number} without a result: the tool before this one died"
            ));
        }
        Ok((upstream, held))
    }

    fn distrust(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    /// Takes in one line.
    fn see(&mut self, line: &[u8], number: u64) -> Line {
        if line.len() == MAX_LINE && line.last() != Some(&b'\n') {
            self.distrust(format!("line {number} is longer than {MAX_LINE} bytes"));
            return Line::Garbage;
        }
        let object = match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => {
                self.distrust(format!("line {number} is JSON, but not a record"));
                return Line::Garbage;
            }
            Err(_) if line.last() != Some(&b'\n') => {
                self.distrust(format!("the stream is cut in the middle of line {number}"));
                return Line::Garbage;
            }
            Err(error) => {
                self.distrust(format!(
                    "line {number} is not JSON (at column {})",
                    error.column()
                ));
                return Line::Garbage;
            }
        };
        let Some(schema) = object
            .get("schema")
            .and_then(Value::as_str)
            .map(str::to_owned)
        else {
            return Line::Other;
        };
        let verdict = object
            .get("verdict")
            .map(|verdict| Verdict::deserialize(verdict).unwrap_or(Verdict::Unknown));
        if let Some(run) = object.get("run").and_then(Value::as_str) {
            self.run.get_or_insert_with(|| run.to_owned());
        }
        match Kind::parse(&schema) {
            Ok(None) => {}
            Err(kind) => {
                self.unknown_major.insert(kind, schema);
            }
            Ok(Some(kind)) => match Record::<Value>::deserialize(Value::Object(object)) {
                Ok(record) => {
                    let outcome = record
                        .data
                        .get("outcome")
                        .filter(|_| kind == Kind::Experiment);
                    self.count(
                        outcome.and_then(|outcome| Outcome::deserialize(outcome).ok()?.exit()),
                    );
                    let kept = self.kept.entry(kind).or_default();
                    if kept.len() == MAX_KEPT {
                        kept.pop_front();
                    }
                    kept.push_back(record);
                }
                Err(error) => {
                    self.distrust(format!("line {number} calls itself {schema}, but {error}"));
                    return Line::Garbage;
                }
            },
        }
        self.count(verdict.map(Exit::from));
        if verdict.is_some() {
            Line::Result
        } else {
            Line::Other
        }
    }

    fn count(&mut self, exit: Option<Exit>) {
        if let Some(exit) = exit {
            self.worst = Some(self.worst.map_or(exit, |worst| worst.worst(exit)));
        }
    }
}

fn copy_rest_of_line(input: &mut impl BufRead, copy: &mut impl FnMut(&[u8])) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            copy(b"\n");
            return Ok(());
        }
        let end = buffer
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| at + 1);
        let taken = end.unwrap_or(buffer.len());
        copy(&buffer[..taken]);
        input.consume(taken);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"schema":"chaos.health/1","id":"1","run":"r","time":"2026-11-22T16:00:00.123Z","tool":"t 1","verdict":"pass","summary":"s","data":{}}"#;
    const EVENT: &str = r#"{"schema":"chaos.event/1","id":"2","run":"r","time":"2026-11-22T16:00:00.123Z","tool":"t 1","summary":"s","data":{"event":"started"}}"#;

    fn read(input: &str) -> (Upstream, String, String) {
        let mut copied = Vec::new();
        let (upstream, held) =
            Upstream::read(input.as_bytes(), |bytes| copied.extend_from_slice(bytes))
                .expect("memory can be read");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (upstream, text(copied), text(held))
    }

    #[test]
    fn a_trailing_result_is_held_back_and_everything_else_copied() {
        let (upstream, copied, held) = read(&format!("{RESULT}\n{EVENT}\n{RESULT}\n"));
        assert_eq!(copied, format!("{RESULT}\n{EVENT}\n"));
        assert_eq!(held, format!("{RESULT}\n"));
        assert_eq!(upstream.broken, None);
        assert_eq!(upstream.run.as_deref(), Some("r"));
        assert_eq!(upstream.worst, Some(Exit::Pass));
    }

    #[test]
    fn empty_cut_foreign_and_resultless_streams_are_told_apart() {
        let why = |input: &str| read(input).0.broken.unwrap_or_default();
        assert!(why("").contains("empty"));
        assert!(
            why(&format!("{RESULT}\n{}", &RESULT[..40])).contains("cut in the middle of line 2")
        );
        assert!(why("NAME READY\n").contains("line 1 is not JSON"));
        assert!(why("[1]\n").contains("not a record"));
        assert!(why(&format!("{RESULT}\n{EVENT}\n")).contains("without a result"));
        assert!(
            why("{\"schema\":\"chaos.health/1\",\"verdict\":\"pass\"}\n")
                .contains("calls itself chaos.health/1")
        );
        assert!(why(&format!("garbage\n{RESULT}\n")).contains("line 1"));
    }

    #[test]
    fn unknown_kinds_and_fields_pass_and_an_unknown_major_is_refused_when_needed() {
        let newer = RESULT.replace("chaos.health/1", "chaos.health/2");
        let foreign = RESULT
            .replace("chaos.health/1", "acme.thing/7")
            .replace("\"data\"", "\"extra\":1,\"data\"");
        let (upstream, ..) = read(&format!("{newer}\n{foreign}\n"));
        assert_eq!(upstream.broken, None);
        let error = upstream
            .latest::<crate::record::Health>()
            .expect_err("major 2 is not ours");
        assert!(error.to_string().contains("chaos.health/2"), "{error}");
    }

    #[test]
    fn a_cut_line_is_copied_and_closed_so_that_what_follows_stays_readable() {
        let (_, copied, _) = read("{\"half\":");
        assert_eq!(copied, "{\"half\":\n");
    }

    #[test]
    fn a_line_without_end_does_not_fill_memory() {
        let input = io::repeat(b'x').take(3 * MAX_LINE as u64);
        let mut copied = 0;
        let (upstream, held) =
            Upstream::read(input, |bytes| copied += bytes.len()).expect("memory can be read");
        assert_eq!(copied, 3 * MAX_LINE + 1);
        assert!(held.is_empty());
        assert!(upstream.broken.expect("broken").contains("longer than"));
    }

    #[test]
    fn outcomes_of_experiments_count() {
        let refused = RESULT
            .replace("health", "experiment")
            .replace("{}", r#"{"outcome":"not_restored"}"#);
        assert_eq!(
            read(&format!("{refused}\n")).0.worst,
            Some(Exit::NotRestored)
        );
        let unknown = RESULT.replace("pass", "perhaps");
        assert!(read(&format!("{unknown}\n")).0.broken.is_some());
    }
}
