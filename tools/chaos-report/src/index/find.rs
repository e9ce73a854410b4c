//! The run that a person means.

use super::Entry;

/// The fewest characters of an id that are taken for it.
const SHORTEST: usize = 4;

/// Why no run is meant by a text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotFound {
    #[error("there is no run {0:?} in the archive")]
    None(String),
    #[error("{text:?} is the end of several runs: {}", .runs.join(", "))]
    Several { text: String, runs: Vec<String> },
    #[error("there is no run in the archive")]
    Empty,
}

/// Finds a run by `last`, the name of its files, its id, or the end of either. A run that is
/// archived several times is found in its latest file.
///
/// # Errors
/// There is none, or more than one.
pub(crate) fn find<'e>(entries: &'e [Entry], text: &str) -> Result<&'e Entry, NotFound> {
    let runs = || entries.iter().filter(|entry| !entry.stream.is_no_run());
    if text == "last" {
        return runs().next_back().ok_or(NotFound::Empty);
    }
    let stem = crate::archive::stem_of(text);
    if let Some(entry) = runs().find(|entry| entry.stem() == stem) {
        return Ok(entry);
    }
    let ends = |entry: &&Entry| {
        text.len() >= SHORTEST && (entry.stream.run.ends_with(text) || entry.stem().ends_with(text))
    };
    let found: Vec<&Entry> = runs().filter(ends).collect();
    let mut ids: Vec<&str> = found.iter().map(|it| it.stream.run.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    match (found.last(), ids.len()) {
        (None, _) => Err(NotFound::None(text.to_owned())),
        (Some(entry), 1) => Ok(entry),
        (Some(_), _) => Err(NotFound::Several {
            text: text.to_owned(),
            runs: found.iter().map(|it| it.stem().to_owned()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Stream;

    fn entry(file: &str, run: &str) -> Entry {
        Entry {
            file: file.to_owned(),
            size: 1,
            modified: 1,
            stream: Stream {
                run: run.to_owned(),
                ..Stream::default()
            },
        }
    }

    #[test]
    fn a_run_is_found_by_the_end_of_its_id_unless_two_have_it() {
        let entries = [
            entry("20261101T000000Z-a-0000aaaa.ndjson", "x-0000aaaa"),
            entry("20261102T000000Z-a-0000bbbb.ndjson.gz", "x-0000bbbb"),
            entry("20261102T000000Z-a-0000bbbb-2.ndjson", "x-0000bbbb"),
            entry("20261103T000000Z-a-1111bbbb.ndjson", "x-1111bbbb"),
        ];
        let file = |text: &str| find(&entries, text).map(|entry| entry.file.as_str());
        assert_eq!(file("aaaa"), Ok("20261101T000000Z-a-0000aaaa.ndjson"));
        assert_eq!(
            file("x-0000bbbb"),
            Ok("20261102T000000Z-a-0000bbbb-2.ndjson")
        );
        assert_eq!(file("last"), Ok("20261103T000000Z-a-1111bbbb.ndjson"));
        let named = "/archive/20261102T000000Z-a-0000bbbb.ndjson.gz";
        assert_eq!(file(named), Ok("20261102T000000Z-a-0000bbbb.ndjson.gz"));
        assert!(matches!(file("bbbb"), Err(NotFound::Several { .. })));
        assert_eq!(
            file("aa"),
            Err(NotFound::None("aa".to_owned())),
            "too short"
        );
        assert_eq!(find(&[], "last").err(), Some(NotFound::Empty));
    }
}
