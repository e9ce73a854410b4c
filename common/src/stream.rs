//! The stream between the tools: reading it, passing it on, adding to it.
//!
//! [`Stream::open`] copies standard input to standard output byte for byte and keeps what the tool
//! needs of it; [`Stream::event`] and [`Stream::result`] add the tool's own records behind it.
//!
//! A pipeline must notice a tool in its middle that was killed. So that it can, a tool writes a
//! `chaos.event` as soon as its input has ended, and never lets its output end in somebody else's
//! result while it works: a trailing result is held back until the next line can go with it. What a
//! dead tool leaves behind then ends in nothing, in an event or in half a line, never in a result.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use serde::Deserialize;
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::output;
use crate::record::{Check, Data, Event, EventKind, Kind, Outcome, Record, Time, Verdict, new_id};

/// The longest line that is read. A record is a few kilobytes; this bounds memory.
const MAX_LINE: usize = 16 << 20;

/// The most records of one kind that are kept in memory: the latest ones.
const MAX_KEPT: usize = 1000;

/// How the tool's own result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Records, one a line, for the next tool
    Json,
    /// A table, for people
    Text,
}

/// What came in on standard input.
#[derive(Debug, Default)]
pub struct Upstream {
    /// Whether there was a stream at all; a terminal and `/dev/null` are none.
    pub present: bool,
    /// Why the stream can't be trusted: it is empty, cut, or not ours.
    pub broken: Option<String>,
    /// The worst outcome that one of its records tells of.
    pub worst: Option<Exit>,
    run: Option<String>,
    kept: HashMap<Kind, VecDeque<Record<Value>>>,
    unknown_major: HashMap<Kind, String>,
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
    /// The latest record of a kind, if there was one.
    ///
    /// # Errors
    /// Its data is not what the kind defines, or the kind came in a major version that we don't
    /// know.
    pub fn latest<D: Data>(&self) -> Result<Option<Record<D>>, String> {
        if let Some(schema) = self.unknown_major.get(&D::KIND) {
            return Err(format!(
                "{schema} is newer than this tool, which reads {}",
                D::KIND.schema()
            ));
        }
        self.kept
            .get(&D::KIND)
            .and_then(VecDeque::back)
            .map(typed)
            .transpose()
    }

    /// The records of a kind in order (the latest thousand); those that are not what the kind
    /// defines are left out.
    pub fn all<D: Data>(&self) -> Vec<Record<D>> {
        self.kept
            .get(&D::KIND)
            .into_iter()
            .flatten()
            .filter_map(|record| typed(record).ok())
            .collect()
    }

    /// Reads a stream that is stored, without passing it on.
    ///
    /// # Errors
    /// It can't be read.
    pub fn from_reader(input: impl Read) -> io::Result<Upstream> {
        Upstream::read(input, |_| {}).map(|(upstream, _)| upstream)
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
    fn read(input: impl Read, mut copy: impl FnMut(&[u8])) -> io::Result<(Upstream, Vec<u8>)> {
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

fn typed<D: Data>(record: &Record<Value>) -> Result<Record<D>, String> {
    let data = D::deserialize(&record.data).map_err(|error| {
        format!(
            "the {} record is not what its schema says: {error}",
            record.schema
        )
    })?;
    Ok(Record {
        schema: record.schema.clone(),
        id: record.id.clone(),
        run: record.run.clone(),
        time: record.time,
        tool: record.tool.clone(),
        verdict: record.verdict,
        summary: record.summary.clone(),
        data,
    })
}

/// A tool's two ends of the pipeline.
#[derive(Debug)]
pub struct Stream {
    /// What came in.
    pub upstream: Upstream,
    /// The id of this run.
    pub run: String,
    tool: Tool,
    format: Format,
    out: Sink,
}

/// A tool's name and version.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name, as people type it.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// Standard output, written to without a buffer. A reader that went away is remembered and is not
/// an error: the tool has its work to finish.
#[derive(Debug)]
struct Sink {
    file: File,
    error: Option<io::Error>,
}

impl Sink {
    /// Standard output, and the format that it is to have.
    fn open(format: Option<Format>) -> Result<(Format, Sink), Failure> {
        let stdout = io::stdout();
        let format = format.unwrap_or(if stdout.is_terminal() {
            Format::Text
        } else {
            Format::Json
        });
        let file = stdout.as_fd().try_clone_to_owned();
        let file = file
            .map_err(|error| Failure::unknown(format!("cannot open standard output: {error}")))?;
        Ok((
            format,
            Sink {
                file: File::from(file),
                error: None,
            },
        ))
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.file.write_all(bytes).err();
        }
    }
}

/// Input that is copied as it is read. The first error of the copy is remembered and ends the
/// copying, not the reading.
struct Tee<'a, R> {
    input: R,
    copy: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if self.error.is_none() {
            self.error = self.copy.write_all(&buffer[..read]).err();
        }
        Ok(read)
    }
}

impl Stream {
    /// Reads standard input to its end, copying it to standard output, and finds the run's id: that
    /// of the stream, or a new one.
    ///
    /// # Errors
    /// Standard input can't be read or standard output is closed.
    pub fn open(tool: Tool, format: Option<Format>) -> Result<Stream, Failure> {
        Stream::open_with_copy(tool, format, &mut io::sink()).map(|(stream, _)| stream)
    }

    /// Without an input, for what must act at once: an emergency does not wait for a pipe to end.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn alone(tool: Tool, format: Option<Format>) -> Result<Stream, Failure> {
        let (format, out) = Sink::open(format)?;
        Ok(Stream {
            upstream: Upstream::default(),
            run: new_id(),
            tool,
            format,
            out,
        })
    }

    /// As [`Stream::open`], and writes what comes in to `copy` as well, byte for byte. A copy that
    /// can't be written is the second value's error: the stream is read and passed on all the same.
    ///
    /// # Errors
    /// As [`Stream::open`].
    pub fn open_with_copy(
        tool: Tool,
        format: Option<Format>,
        copy: &mut dyn Write,
    ) -> Result<(Stream, io::Result<()>), Failure> {
        let fail =
            |what: &str, error: io::Error| Failure::unknown(format!("cannot {what}: {error}"));
        let (format, mut out) = Sink::open(format)?;
        let stdin = io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|e| fail("open standard input", e))?;
        let stdin = File::from(stdin);
        let kind = stdin
            .metadata()
            .map_err(|e| fail("look at standard input", e))?
            .file_type();
        let mut tee = Tee {
            input: stdin,
            copy,
            error: None,
        };
        let (upstream, held) = if kind.is_char_device() {
            (Upstream::default(), Vec::new())
        } else {
            let pass_on = |bytes: &[u8]| {
                if format == Format::Json {
                    out.write(bytes);
                }
            };
            Upstream::read(&mut tee, pass_on).map_err(|e| fail("read standard input", e))?
        };
        let copied = tee.error.map_or(Ok(()), Err);
        let run = upstream.run.clone().unwrap_or_else(new_id);
        let mut stream = Stream {
            upstream,
            run,
            tool,
            format,
            out,
        };
        let started = Event {
            event: EventKind::Started,
            object: None,
            since_injection_ms: None,
        };
        let event = stream.record(None, format!("{} started", tool.name), started);
        stream.write(held, &event);
        Ok((stream, copied))
    }

    /// Adds an event, and tells it on stderr.
    pub fn event(&mut self, summary: impl Into<String>, event: Event) {
        let record = self.record(None, summary.into(), event);
        self.progress(&record.summary);
        self.write(Vec::new(), &record);
    }

    /// Adds a record with a verdict that is not the tool's last, such as the plan of a run.
    pub fn add<D: Data>(&mut self, verdict: Verdict, summary: impl Into<String>, data: D) {
        let record = self.record(Some(verdict), summary.into(), data);
        self.write(Vec::new(), &record);
        if self.format == Format::Text {
            self.out.write(output::render(&record).as_bytes());
        }
    }

    /// Adds the tool's result and gives the exit status: `own`, or what the stream makes worse.
    /// Where the record goes to the next tool, its summary is told on stderr.
    pub fn result<D: Data>(
        &mut self,
        verdict: Verdict,
        summary: impl Into<String>,
        data: D,
        own: Exit,
    ) -> Exit {
        let summary = summary.into();
        if self.format == Format::Json {
            self.progress(&format!("{verdict}: {summary}"));
        }
        self.add(verdict, summary, data);
        self.end(own)
    }

    /// The exit status for this outcome of the tool: never better than the worst in the stream, and
    /// never good when the stream is broken or the result could not be handed on.
    pub fn end(&mut self, own: Exit) -> Exit {
        let mut exit = own.worst(self.upstream.worst.unwrap_or(Exit::Pass));
        if self.upstream.broken.is_some() {
            exit = exit.worst(Exit::Unknown);
        }
        match &self.out.error {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.progress(&format!(
                    "cannot write the result to standard output: {error}"
                ));
                exit.worst(Exit::Unknown)
            }
            _ => exit,
        }
    }

    /// Tells people on stderr.
    pub fn progress(&self, message: &str) {
        // Nobody may be listening on stderr; that must not stop the work.
        let _ = writeln!(io::stderr(), "{}: {message}", self.tool.name);
    }

    fn record<D>(&self, verdict: Option<Verdict>, summary: String, data: D) -> Record<D>
    where
        D: Data,
    {
        Record {
            schema: D::KIND.schema(),
            id: new_id(),
            run: self.run.clone(),
            time: Time::now(),
            tool: format!("{} {}", self.tool.name, self.tool.version),
            verdict,
            summary,
            data,
        }
    }

    /// Writes `before` and the record in one go.
    fn write<D: Data>(&mut self, mut before: Vec<u8>, record: &Record<D>) {
        if self.format == Format::Json {
            serde_json::to_writer(&mut before, record)
                .expect("records have string keys and no failing parts");
            before.push(b'\n');
            self.out.write(&before);
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
        assert!(error.contains("chaos.health/2"), "{error}");
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
    fn a_copy_is_exact_and_its_failure_does_not_stop_the_reading() {
        let input = format!("{RESULT}\ngarbage\n{{\"half\":");
        let mut copy = Vec::new();
        let mut tee = Tee {
            input: input.as_bytes(),
            copy: &mut copy,
            error: None,
        };
        assert!(
            Upstream::from_reader(&mut tee)
                .expect("readable")
                .broken
                .is_some()
        );
        assert_eq!(copy, input.as_bytes());
        let mut full = [0_u8; 10];
        let mut room = &mut full[..];
        let mut tee = Tee {
            input: input.as_bytes(),
            copy: &mut room,
            error: None,
        };
        assert_eq!(
            Upstream::from_reader(&mut tee).expect("readable").worst,
            Some(Exit::Pass)
        );
        assert!(tee.error.is_some());
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
