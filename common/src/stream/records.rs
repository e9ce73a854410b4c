//! One view of the stream: the latest record of a kind, of this run, before or after a moment.

use std::marker::PhantomData;

use serde_json::Value;

use super::Upstream;
use crate::record::{Data, Record, Time};

/// Why a record of the stream can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Its kind came in a major version that this tool does not know.
    #[error("{schema} is newer than this tool, which reads {known}")]
    NewerMajor {
        /// As the stream has it.
        schema: String,
        /// As this tool reads it.
        known: String,
    },
    /// Its data is not what its kind defines.
    #[error("the {schema} record is not what its schema says: {source}")]
    Malformed {
        /// As the stream has it.
        schema: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Records of one kind, in order, narrowed down step by step. A record is before or after a moment
/// by the time at which it was made.
#[derive(Debug)]
pub struct Records<'u, D> {
    upstream: &'u Upstream,
    run: Option<&'u str>,
    until: Option<Time>,
    since: Option<Time>,
    kind: PhantomData<D>,
}

impl Upstream {
    /// The records of a kind: of the latest thousand.
    pub fn records<D: Data>(&self) -> Records<'_, D> {
        Records {
            upstream: self,
            run: None,
            until: None,
            since: None,
            kind: PhantomData,
        }
    }

    /// The latest record of a kind, if there is one.
    ///
    /// # Errors
    /// As [`Records::latest`].
    pub fn latest<D: Data>(&self) -> Result<Option<Record<D>>, RecordError> {
        self.records().latest()
    }

    /// The records of a kind in order; those that are not what the kind defines are left out.
    pub fn all<D: Data>(&self) -> Vec<Record<D>> {
        self.records().all()
    }
}

// Not derived: whether the kind's data can be copied does not matter.
impl<D> Clone for Records<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Records<'_, D> {}

impl<'u, D: Data> Records<'u, D> {
    /// Only those of a run.
    #[must_use]
    pub fn of_run(mut self, run: &'u str) -> Self {
        self.run = Some(run);
        self
    }

    /// Only those that were made at this time or before it.
    #[must_use]
    pub fn until(mut self, time: Time) -> Self {
        self.until = Some(time);
        self
    }

    /// Only those that were made at this time or after it.
    #[must_use]
    pub fn since(mut self, time: Time) -> Self {
        self.since = Some(time);
        self
    }

    /// The latest of them, if there is one.
    ///
    /// # Errors
    /// It is not what its kind defines, or the stream holds one of a major version that this tool
    /// does not know: which would have been the latest can't be told then.
    pub fn latest(&self) -> Result<Option<Record<D>>, RecordError> {
        if let Some(schema) = self.upstream.unknown_major.get(&D::KIND) {
            return Err(RecordError::NewerMajor {
                schema: schema.clone(),
                known: D::KIND.schema(),
            });
        }
        self.matching().next_back().map(typed).transpose()
    }

    /// All of them, in order; those that are not what the kind defines are left out.
    pub fn all(&self) -> Vec<Record<D>> {
        self.matching()
            .filter_map(|record| typed(record).ok())
            .collect()
    }

    fn matching(&self) -> impl DoubleEndedIterator<Item = &'u Record<Value>> {
        let Records {
            run, until, since, ..
        } = *self;
        let kept = self.upstream.kept.get(&D::KIND).into_iter().flatten();
        kept.filter(move |record| {
            run.is_none_or(|run| record.run == run)
                && until.is_none_or(|until| record.time <= until)
                && since.is_none_or(|since| record.time >= since)
        })
    }
}

fn typed<D: Data>(record: &Record<Value>) -> Result<Record<D>, RecordError> {
    let data = D::deserialize(&record.data).map_err(|source| RecordError::Malformed {
        schema: record.schema.clone(),
        source,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Event;

    /// A stream of events: id, run and minute of each.
    fn stream(events: &[(&str, &str, u8)]) -> Upstream {
        let line = |(id, run, minute): &(&str, &str, u8)| {
            format!(
                r#"{{"schema":"chaos.event/1","id":"{id}","run":"{run}","time":"{}","tool":"t 1","summary":"s","data":{{"event":"started"}}}}"#,
                at(*minute)
            )
        };
        let lines: Vec<String> = events.iter().map(line).collect();
        Upstream::from_reader(lines.join("\n").as_bytes()).expect("memory can be read")
    }

    fn at(minute: u8) -> Time {
        let text = format!("\"2026-11-22T16:{minute:02}:00.000Z\"");
        serde_json::from_str(&text).expect("a time")
    }

    fn id(latest: Result<Option<Record<Event>>, RecordError>) -> Option<String> {
        latest.expect("it can be read").map(|record| record.id)
    }

    #[test]
    fn the_latest_of_a_run_before_or_after_a_moment_is_found() {
        let upstream = stream(&[("a", "r", 1), ("b", "r", 2), ("c", "s", 3), ("d", "r", 4)]);
        let events = upstream.records::<Event>();
        assert_eq!(id(events.latest()).as_deref(), Some("d"));
        assert_eq!(id(events.until(at(3)).latest()).as_deref(), Some("c"));
        let of_run = events.of_run("r");
        assert_eq!(id(of_run.until(at(3)).latest()).as_deref(), Some("b"));
        assert_eq!(id(of_run.since(at(4)).latest()).as_deref(), Some("d"));
        assert_eq!(id(of_run.since(at(5)).latest()), None);
        assert_eq!(of_run.all().len(), 3);
    }

    #[test]
    fn a_record_that_is_not_what_it_says_is_an_error_and_no_other_is_taken_for_it() {
        let line = |data: &str| {
            format!(
                r#"{{"schema":"chaos.event/1","id":"1","run":"r","time":"{}","tool":"t 1","summary":"s","data":{data}}}"#,
                at(1)
            )
        };
        let text = [line(r#"{"event":"started"}"#), line("{}")].join("\n");
        let upstream = Upstream::from_reader(text.as_bytes()).expect("memory can be read");
        let latest = upstream.latest::<Event>();
        assert!(matches!(latest, Err(RecordError::Malformed { .. })));
        assert_eq!(upstream.all::<Event>().len(), 1);
    }
}
