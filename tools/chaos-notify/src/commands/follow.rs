//! The stream of a running experiment, read as it comes: people are told that it started, and that
//! it was aborted the moment a guard trips. The stream is passed on meanwhile and waits for
//! nobody.

use std::io::{self, Write};
use std::process;
use std::thread;

use chaos_common::cli;
use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};
use chaos_common::output::printable;
use chaos_common::record::{Check, EventKind, Notification, Occasion, Verdict};
use chaos_common::stream::{Format, Stream, Upstream};
use chaos_common::tool;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::send::{How, Outcome, draft, tell};
use super::setup::Setup;
use crate::facts::Facts;
use crate::occasions::Told;

/// Follows the stream to its end.
///
/// # Errors
/// The configuration is wrong, or the input is no stream.
pub(crate) fn follow(loaded: Loaded, format: Option<Format>, how: How) -> Result<Exit, Failure> {
    // What is wrong with it is told before the experiment runs.
    let checked = async { Setup::of(loaded.clone()).map(drop) };
    cli::block_on(checked)?;
    let (tell, heard) = unbounded_channel();
    let teller = thread::spawn(move || cli::block_on(listen(loaded, how, heard)));
    let mut copy = Lines {
        part: Vec::new(),
        tell,
    };
    let (mut stream, _) = Stream::open_with_copy(tool!(), format, &mut copy)?;
    drop(copy);
    let outcomes = teller.join();
    let mut outcomes = outcomes.map_err(|_| Failure::unknown("the teller of messages panicked"))?;
    let last = outcomes.pop().unwrap_or_else(nothing_to_tell);
    let mut exit = Exit::Pass;
    for outcome in outcomes {
        let verdict = Verdict::of(&outcome.data.checks);
        exit = exit.worst(verdict.into());
        stream.progress(&format!("{verdict}: {}", outcome.summary));
        stream.add(verdict, outcome.summary, outcome.data);
    }
    let mut data = last.data;
    data.checks.splice(0..0, stream.upstream.check());
    let verdict = Verdict::of(&data.checks);
    Ok(stream.result(verdict, last.summary, data, exit.worst(verdict.into())))
}

/// What comes in, handed on line by line to whoever tells of it. It never blocks.
struct Lines {
    part: Vec<u8>,
    tell: UnboundedSender<Vec<u8>>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        while let Some(end) = self.part.iter().position(|byte| *byte == b'\n') {
            let rest = self.part.split_off(end + 1);
            let line = std::mem::replace(&mut self.part, rest);
            // Nobody listens any more: the stream goes on all the same.
            let _ = self.tell.send(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was heard so far.
#[derive(Default)]
struct Heard {
    text: Vec<u8>,
    run: String,
    started: bool,
    aborted: bool,
}

impl Heard {
    /// Takes in a line, and gives what is to be told now: each but once.
    fn line(&mut self, line: &[u8]) -> Option<Told> {
        self.text.extend_from_slice(line);
        let record: Value = serde_json::from_slice(line).ok()?;
        if let Some(run) = record["run"].as_str().filter(|_| self.run.is_empty()) {
            run.clone_into(&mut self.run);
        }
        if record["schema"] != "chaos.event/1" {
            return None;
        }
        let event: EventKind = serde_json::from_value(record["data"]["event"].clone()).ok()?;
        match event {
            EventKind::Injected if !self.started => {
                self.started = true;
                Some(Told::started())
            }
            EventKind::Abort if !self.aborted => {
                self.aborted = true;
                Some(Told::aborted())
            }
            _ => None,
        }
    }
}

/// Tells what is to be told, until the stream ends.
async fn listen(loaded: Loaded, how: How, mut lines: UnboundedReceiver<Vec<u8>>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let Ok(setup) = Setup::of(loaded) else {
        return outcomes;
    };
    let listen = |kind| signal(kind).expect("a process may listen to signals");
    let mut interrupt = listen(SignalKind::interrupt());
    let mut terminate = listen(SignalKind::terminate());
    let mut heard = Heard::default();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            // Nothing is being sent: what is in the stream is passed on by nobody any more.
            _ = interrupt.recv() => process::exit(Exit::Unknown as i32),
            _ = terminate.recv() => process::exit(Exit::Unknown as i32),
        };
        let Some(line) = line else {
            return outcomes;
        };
        if let Some(told) = heard.line(&line) {
            outcomes.extend(tell_now(&setup, &heard, &told, &how).await);
        }
    }
}

async fn tell_now(setup: &Setup, heard: &Heard, told: &Told, how: &How) -> Option<Outcome> {
    let say = |text: &str| {
        // Nobody may be listening on stderr.
        let _ = writeln!(io::stderr(), "chaos-notify: {}", printable(text));
    };
    let upstream = Upstream::from_reader(heard.text.as_slice()).expect("memory can be read");
    let facts = Facts::of(&upstream, &heard.run);
    let draft = match draft(setup, &facts, told) {
        Ok(draft) => draft,
        Err(why) => {
            say(&why.to_string());
            return None;
        }
    };
    match tell(setup, &facts, &draft, how, say).await {
        Ok(telling) => {
            let outcome = telling.outcome;
            let occasion = told.occasion().word();
            say(&format!("{occasion}: {}", outcome.summary));
            Some(outcome)
        }
        Err(failure) => {
            say(&failure.to_string());
            None
        }
    }
}

fn nothing_to_tell() -> Outcome {
    let why = "nothing in the stream had to be told at once";
    Outcome {
        summary: why.to_owned(),
        data: Notification {
            occasion: Occasion::Started,
            event: None,
            subject: String::new(),
            text: String::new(),
            contacts: Vec::new(),
            channels: Vec::new(),
            escalation: None,
            checks: vec![Check::pass("notify.followed", "", why)],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str) -> Vec<u8> {
        let line = serde_json::json!({
            "schema": "chaos.event/1", "run": "r", "data": { "event": kind },
        });
        format!("{line}\n").into_bytes()
    }

    #[test]
    fn each_thing_is_told_once() {
        let mut heard = Heard::default();
        let mut told = |kind: &str| heard.line(&event(kind)).map(|told| told.occasion());
        assert_eq!(told("intent"), None);
        assert_eq!(told("injected"), Some(Occasion::Started));
        assert_eq!(told("injected"), None);
        assert_eq!(told("abort"), Some(Occasion::Aborted));
        assert_eq!(told("abort"), None);
        assert_eq!(heard.run, "r");
        assert_eq!(heard.line(b"garbage\n").map(|told| told.occasion()), None);
    }

    #[test]
    fn lines_are_handed_on_whole_however_they_come() {
        let (tell, mut heard) = unbounded_channel();
        let mut lines = Lines {
            part: Vec::new(),
            tell,
        };
        for part in ["a", "b\nc", "\n\nd"] {
            lines.write_all(part.as_bytes()).expect("it never fails");
        }
        drop(lines);
        let mut all = Vec::new();
        while let Ok(line) = heard.try_recv() {
            all.push(String::from_utf8(line).expect("UTF-8"));
        }
        assert_eq!(all, ["ab\n", "c\n", "\n"]);
    }
}
