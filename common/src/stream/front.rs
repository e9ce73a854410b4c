//! The front of standard input: whether there is a stream at all.
//!
//! A tool may stand in a script that bash reads from its standard input, in a `while read` loop, or
//! under cron. What it finds there is not meant for it, and must stay there for whom it is meant.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// How long an input may be silent before that is told.
const SILENCE: Duration = Duration::from_secs(2);

/// The longest first line that is judged as a whole. The first record of a stream tells that a tool
/// has started, and is a few hundred bytes.
const LONGEST: usize = 64 << 10;

/// As much of a line that is no record as a message shows.
const SHOWN: usize = 60;

/// What is at the front of an input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// Nothing: it has ended, and there is no stream.
    Nothing,
    /// The beginning of a stream of records.
    Records(Vec<u8>),
    /// The first line is no record; this is as much of it as a message shows.
    Foreign(String),
}

impl Front {
    /// Reads the first line, and nothing behind it. `silent` is called, on another thread, when no
    /// byte has come for some time.
    ///
    /// # Errors
    /// The input can't be read.
    pub(super) fn read(
        input: &mut impl Read,
        silent: impl FnOnce() + Send + 'static,
    ) -> io::Result<Front> {
        let first = noticing_silence(SILENCE, silent, || byte(input))?;
        let Some(first) = first else {
            return Ok(Front::Nothing);
        };
        let mut line = vec![first];
        let most = if first == b'{' { LONGEST } else { SHOWN };
        while line.last() != Some(&b'\n') && line.len() < most {
            match byte(input)? {
                Some(next) => line.push(next),
                None => break,
            }
        }
        Ok(Front::of(line))
    }

    /// What a first line is, or as much of it as was read.
    fn of(line: Vec<u8>) -> Front {
        let whole = line.last() == Some(&b'\n');
        // A record that is cut was a record: whoever wrote it died, which the reader tells.
        let is_record = line.first() == Some(&b'{') && (!whole || has_schema(&line));
        if is_record {
            return Front::Records(line);
        }
        let text = String::from_utf8_lossy(&line);
        Front::Foreign(text.trim_end().chars().take(SHOWN).collect())
    }
}

/// Whether a line is a JSON object that says what kind of record it is.
fn has_schema(line: &[u8]) -> bool {
    serde_json::from_slice::<Value>(line).is_ok_and(|value| value["schema"].is_string())
}

/// The next byte; nothing at the end. One at a time, so that what is behind a line stays unread.
fn byte(input: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Does the work, and calls `silent` once if it takes longer than `pause`.
fn noticing_silence<T>(
    pause: Duration,
    silent: impl FnOnce() + Send + 'static,
    work: impl FnOnce() -> T,
) -> T {
    let (done, waiting) = mpsc::channel::<()>();
    let watcher = thread::spawn(move || {
        if waiting.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            silent();
        }
    });
    let result = work();
    drop(done);
    // It has nothing left to do but to end.
    let _ = watcher.join();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(input: &str) -> (Front, String) {
        let mut input = input.as_bytes();
        let front = Front::read(&mut input, || {}).expect("memory can be read");
        (front, String::from_utf8_lossy(input).into_owned())
    }

    #[test]
    fn what_is_behind_a_line_that_is_no_record_stays_for_whom_it_is_meant() {
        let (front, rest) = front("echo after\necho more\n");
        assert_eq!(front, Front::Foreign("echo after".to_owned()));
        assert_eq!(rest, "echo more\n");
    }

    #[test]
    fn no_byte_is_no_stream_and_a_cut_record_is_one() {
        assert_eq!(front("").0, Front::Nothing);
        assert!(matches!(front("{\"schema\":\"cha").0, Front::Records(_)));
        let (front, rest) = front("{\"schema\":\"chaos.event/1\"}\n{}\n");
        assert!(matches!(front, Front::Records(_)));
        assert_eq!(rest, "{}\n");
    }

    #[test]
    fn tables_arrays_and_objects_of_others_are_no_records() {
        for line in [
            "pass  pods.ready\n",
            "[1]\n",
            "{\"a\":1}\n",
            "{broken\n",
            "\n",
        ] {
            assert!(matches!(front(line).0, Front::Foreign(_)), "{line}");
        }
        let (Front::Foreign(shown), _) = front(&"x".repeat(3 * SHOWN)) else {
            panic!("it is no record");
        };
        assert_eq!(shown.len(), SHOWN);
    }

    #[test]
    fn silence_is_told_once_and_only_where_there_is_some() {
        // Neither limit is near, however busy the machine is: the one is waited for.
        let told = |pause: Duration, times: usize| {
            let (tell, heard) = mpsc::channel();
            let silent = move || tell.send(()).expect("the test listens");
            let work = || heard.iter().take(times).count();
            noticing_silence(pause, silent, work) + heard.try_iter().count()
        };
        assert_eq!(told(Duration::from_millis(50), 1), 1);
        assert_eq!(told(Duration::from_secs(3600), 0), 0);
    }
}
