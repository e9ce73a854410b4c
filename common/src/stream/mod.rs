//! The stream between the tools: reading it, passing it on, adding to it.
//!
//! [`Stream::open`] copies standard input to standard output byte for byte and keeps what the tool
//! needs of it; [`Stream::event`] and [`Stream::result`] add the tool's own records behind it.
//!
//! A pipeline must notice a tool in its middle that was killed. So that it can, a tool writes a
//! `chaos.event` as soon as its input has ended, and never lets its output end in somebody else's
//! result while it works: a trailing result is held back until the next line can go with it. What a
//! dead tool leaves behind then ends in nothing, in an event or in half a line, never in a result.

mod front;
mod records;
mod upstream;

use std::fs::File;
use std::io::{self, Cursor, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use crate::exit::{Exit, Failure};
use crate::output::{self, Lines};
use crate::record::{Data, Event, EventKind, Record, Time, Verdict, new_id};

use self::front::Front;
pub use self::records::{RecordError, Records};
pub use self::upstream::Upstream;

/// How the tool's own result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Records, one a line, for the next tool
    Json,
    /// A table, for people
    Text,
}

impl Format {
    /// What was asked for; else text on a terminal, and records elsewhere.
    pub fn or_default(asked: Option<Format>) -> Format {
        asked.unwrap_or(if io::stdout().is_terminal() {
            Format::Text
        } else {
            Format::Json
        })
    }
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
        let format = Format::or_default(format);
        let file = io::stdout().as_fd().try_clone_to_owned();
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
    /// of the stream, or a new one. A terminal, `/dev/null` and an input without a byte are no
    /// stream. An input that stays silent is told on stderr.
    ///
    /// # Errors
    /// Standard input can't be read, its first line is no record (what is behind that is left
    /// unread), or standard output is closed.
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

    /// At the front of a pipeline: standard input is not read, as it may be meant for somebody else,
    /// such as the shell whose script this tool stands in.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn begin(tool: Tool, format: Option<Format>) -> Result<Stream, Failure> {
        let mut stream = Stream::alone(tool, format)?;
        stream.tell_start(Vec::new());
        Ok(stream)
    }

    /// Between an input that was read already and a file, as a test has them.
    pub fn between(tool: Tool, upstream: Upstream, out: File) -> Stream {
        Stream {
            run: upstream.run.clone().unwrap_or_else(new_id),
            upstream,
            tool,
            format: Format::Json,
            out: Sink {
                file: out,
                error: None,
            },
        }
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
        let (format, mut out) = Sink::open(format)?;
        let input = standard_input(tool)?;
        let mut copied = Ok(());
        let (upstream, held) = match input {
            None => (Upstream::default(), Vec::new()),
            Some(input) => {
                let mut tee = Tee {
                    input,
                    copy,
                    error: None,
                };
                let pass_on = |bytes: &[u8]| {
                    if format == Format::Json {
                        out.write(bytes);
                    }
                };
                let read = Upstream::read(&mut tee, pass_on).map_err(unreadable)?;
                copied = tee.error.map_or(Ok(()), Err);
                read
            }
        };
        let run = upstream.run.clone().unwrap_or_else(new_id);
        let mut stream = Stream {
            upstream,
            run,
            tool,
            format,
            out,
        };
        stream.tell_start(held);
        Ok((stream, copied))
    }

    /// Writes the event that tells the next tool of this one, behind what was held back.
    fn tell_start(&mut self, held: Vec<u8>) {
        let started = Event {
            event: EventKind::Started,
            object: None,
            since_injection_ms: None,
        };
        let event = self.record(None, format!("{} started", self.tool.name), started);
        self.write(held, &event);
    }

    /// Adds an event, and tells it on stderr.
    pub fn event(&mut self, summary: impl Into<String>, event: Event) {
        let record = self.record(None, summary.into(), event);
        self.progress(&record.summary);
        self.write(Vec::new(), &record);
    }

    /// Adds a record with a verdict that is not the tool's last, such as the plan of a run.
    pub fn add<D: Lines>(&mut self, verdict: Verdict, summary: impl Into<String>, data: D) {
        let record = self.record(Some(verdict), summary.into(), data);
        self.write(Vec::new(), &record);
        if self.format == Format::Text {
            self.out.write(output::render(&record).as_bytes());
        }
    }

    /// Adds the tool's result and gives the exit status: `own`, or what the stream makes worse.
    /// Where the record goes to the next tool, its summary is told on stderr.
    pub fn result<D: Lines>(
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
        let message = output::printable_lines(message);
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

/// Standard input, if there is a stream on it. Of one that is no stream, only the first line is read.
fn standard_input(tool: Tool) -> Result<Option<impl Read>, Failure> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let mut stdin = File::from(stdin.map_err(unreadable)?);
    let kind = stdin.metadata().map_err(unreadable)?.file_type();
    if kind.is_char_device() {
        return Ok(None);
    }
    let silent = move || {
        let name = tool.name;
        let text = format!(
            "{name}: waiting for records on standard input; if there are none, end this and give it </dev/null\n"
        );
        // Nobody may be listening on stderr.
        let _ = io::stderr().write_all(text.as_bytes());
    };
    match Front::read(&mut stdin, silent).map_err(unreadable)? {
        Front::Nothing => Ok(None),
        Front::Records(front) => Ok(Some(Cursor::new(front).chain(stdin))),
        Front::Foreign(line) => Err(Failure::usage(format!(
            "standard input is no stream of records: its first line is {line:?}"
        ))
        .hint(
            "a tool before this one must print records (no -o text, no CHAOS_OUTPUT=text); \
             without one, give this tool </dev/null",
        )),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err wants it")]
fn unreadable(error: io::Error) -> Failure {
    Failure::unknown(format!("cannot read standard input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"schema":"chaos.health/1","id":"1","run":"r","time":"2026-11-22T16:00:00.123Z","tool":"t 1","verdict":"pass","summary":"s","data":{}}"#;

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
}
