//! The lines of one log, as they come.

use chaos_common::config::LogPatterns;
use chaos_common::record::Time;
use futures::io::{AsyncBufRead, AsyncBufReadExt};

use super::period::Period;
use crate::data::redact::excerpt;

/// Samples kept of a workload.
pub(super) const SAMPLES: usize = 5;
/// Characters kept of a sample.
const SAMPLE_LENGTH: usize = 200;
/// The most of a line that is looked at, in bytes; this bounds memory.
const MAX_LINE: usize = 256 << 10;

/// Lines that were found in one log.
#[derive(Clone, Debug, Default)]
pub(super) struct LineCounts {
    pub(super) lines: u64,
    /// More of them in an outage or for some time after it.
    pub(super) outage_lines: u64,
    /// When the last of those came.
    pub(super) last_of_outage: Option<Time>,
    /// For each pattern.
    pub(super) each: Vec<u64>,
    pub(super) samples: Vec<String>,
}

/// Reads a log to its end.
pub(super) async fn search<R: AsyncBufRead + Unpin>(
    mut log: R,
    patterns: &LogPatterns,
    period: &Period,
) -> std::io::Result<LineCounts> {
    let mut tally = LineCounts {
        each: vec![0; patterns.texts().count()],
        ..LineCounts::default()
    };
    let mut line = Vec::new();
    loop {
        let buffer = log.fill_buf().await?;
        if buffer.is_empty() {
            tally.line(&line, patterns, period);
            return Ok(tally);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        line.extend_from_slice(&part[..part.len().min(MAX_LINE - line.len())]);
        let taken = part.len() + usize::from(end.is_some());
        log.consume_unpin(taken);
        if end.is_some() {
            tally.line(&line, patterns, period);
            line.clear();
        }
    }
}

impl LineCounts {
    /// Takes in a line, which begins with the time at which it was written.
    fn line(&mut self, line: &[u8], patterns: &LogPatterns, period: &Period) {
        let blank = line.iter().position(|byte| *byte == b' ');
        let time = blank.and_then(|blank| {
            std::str::from_utf8(&line[..blank])
                .ok()?
                .parse()
                .ok()
                .map(Time)
        });
        // A line whose time can't be read counts.
        if time.is_some_and(|time| time < period.since) {
            return;
        }
        let text = blank
            .filter(|_| time.is_some())
            .map_or(line, |blank| &line[blank + 1..]);
        if let Some(time) = time.filter(|time| period.outage(*time).is_some()) {
            if patterns.is_match(text) {
                self.outage_lines += 1;
                self.last_of_outage = self.last_of_outage.max(Some(time));
            }
            return;
        }
        let mut matches = false;
        for pattern in patterns.matches(text) {
            matches = true;
            self.each[pattern] += 1;
        }
        self.lines += u64::from(matches);
        if matches && self.samples.len() < SAMPLES {
            self.samples
                .push(excerpt(&String::from_utf8_lossy(text), SAMPLE_LENGTH));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::period::Outage;
    use super::*;

    fn time(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    const SINCE: &str = "2026-11-22T16:00:00.600Z";

    fn search_for(patterns: &serde_json::Value, log: &[u8]) -> LineCounts {
        let log = futures::io::BufReader::with_capacity(7, log);
        let patterns = serde_json::from_value(patterns.clone()).expect("patterns");
        let outages = vec![Outage {
            from: time("2026-11-22T16:10:00Z"),
            whole: time("2026-11-22T16:10:20Z"),
            until: time("2026-11-22T16:10:30Z"),
        }];
        let period = Period {
            since: time(SINCE),
            outages,
        };
        chaos_common::cli::block_on(search(log, &patterns, &period)).expect("memory can be read")
    }

    fn tally(log: &[u8]) -> LineCounts {
        search_for(&serde_json::json!(true), log)
    }

    #[test]
    fn every_pattern_is_counted_and_a_line_once() {
        let found = search_for(
            &serde_json::json!(["^FATAL", "(?i)panic", "token"]),
            b"2026-11-22T16:00:01Z FATAL panic: token=hunter2\n\
              2026-11-22T16:00:02Z not FATAL\n\
              2026-11-22T16:00:03Z Panicked\n\
              2026-11-22T16:00:00Z FATAL too early",
        );
        assert_eq!((found.lines, found.each.as_slice()), (2, &[1, 2, 1][..]));
        assert_eq!(found.samples, ["FATAL panic: token=***", "Panicked"]);
    }

    #[test]
    fn error_lines_since_the_start_are_counted_and_masked() {
        let found = tally(
            b"2026-11-22T16:00:00.599Z ERROR too early\n\
              2026-11-22T16:00:00.600000001Z ERROR password=hunter2\n\
              2026-11-22T16:00:01Z all is well\n\
              ERROR without a time\n\
              2026-11-22T16:00:02Z [ERROR] last line without an end",
        );
        assert_eq!(found.lines, 3);
        assert_eq!(
            found.samples,
            [
                "ERROR password=***",
                "ERROR without a time",
                "[ERROR] last line without an end"
            ]
        );
    }

    #[test]
    fn what_is_said_in_an_expected_outage_is_counted_apart() {
        let found = tally(
            b"2026-11-22T16:09:59.999Z ERROR before\n\
              2026-11-22T16:10:00Z ERROR the database is away\n\
              2026-11-22T16:10:10Z all is well\n\
              2026-11-22T16:10:30Z ERROR the database is away\n\
              2026-11-22T16:10:30.001Z ERROR after",
        );
        assert_eq!(
            (found.lines, found.outage_lines, found.each),
            (2, 2, vec![2])
        );
        assert_eq!(found.samples, ["ERROR before", "ERROR after"]);
        assert_eq!(found.last_of_outage, Some(time("2026-11-22T16:10:30Z")));
    }

    #[test]
    fn samples_are_few_and_long_lines_are_bounded() {
        let found = tally("2026-11-22T16:00:01Z ERROR\n".repeat(100).as_bytes());
        assert_eq!((found.lines, found.samples.len()), (100, SAMPLES));
        let mut long = b"2026-11-22T16:00:01Z ERROR ".to_vec();
        long.resize(2 * MAX_LINE, b'x');
        long.extend_from_slice(b"\n2026-11-22T16:00:01Z ERROR\n");
        let found = tally(&long);
        assert_eq!(found.lines, 2);
        assert!(found.samples[0].chars().count() <= SAMPLE_LENGTH);
    }
}
