//! Sequences: will the next value be a new one?
//!
//! A sequence that stands behind its column gives values that are taken, so that inserts fail; one
//! that went back has lost what it knew.

use chaos_common::config::Table;
use chaos_common::postgres::{QueryError, Session};
use chaos_common::record::{Check, DatabaseState, SequenceState, Status};
use serde::Deserialize;

use super::checks::failed;
use super::relations::oids;

/// The sequences of the tables that were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequences {
    pub(super) read: Vec<SequenceState>,
    /// Those that could not be read, and why.
    pub(super) unread: Vec<(String, QueryError)>,
}

/// A sequence in the catalogue.
#[derive(Deserialize)]
struct CatalogueSequence {
    sequence: String,
    table: String,
    column: String,
    increment: i64,
    /// The column holds integers.
    whole: bool,
    /// The user may select from the sequence.
    select: bool,
    /// The user may ask for its last value.
    usage: bool,
    oid: u64,
}

#[derive(Deserialize)]
struct Value {
    value: Option<i64>,
}

/// Reads the sequences that belong to a column of the tables or are in a column's default. One that
/// may begin again from the start is left out: it promises no new values.
pub(super) async fn read(session: &mut Session, tables: &[Table]) -> Result<Sequences, QueryError> {
    let mut sequences = Sequences::default();
    if tables.is_empty() {
        return Ok(sequences);
    }
    let sql = include_str!("sql/sequences.sql").replace("{tables}", &oids(tables));
    for found in session.attempt_rows::<CatalogueSequence>(&sql).await? {
        match one(session, &found).await {
            Ok(state) => sequences.read.push(state),
            Err(error) if error.state.is_none() => return Err(error),
            Err(error) => sequences.unread.push((found.sequence, error)),
        }
    }
    Ok(sequences)
}

async fn one(
    session: &mut Session,
    found: &CatalogueSequence,
) -> Result<SequenceState, QueryError> {
    let CatalogueSequence {
        sequence,
        table,
        column,
        increment,
        whole,
        select,
        usage,
        oid,
    } = found;
    // The column first: what is inserted meanwhile can only make the sequence look too far on. (A
    // sequence has no past that a snapshot could see.)
    let mut greatest = None;
    if *whole {
        let most = if *increment > 0 { "max" } else { "min" };
        let sql =
            format!("SELECT json_build_object('value', {most}({column})::bigint) FROM {table}");
        greatest = session
            .attempt_rows::<Value>(&sql)
            .await?
            .into_iter()
            .find_map(|row| row.value);
    }
    let sql = match (select, usage) {
        (true, _) => format!(
            "SELECT json_build_object('value', CASE WHEN is_called THEN last_value \
             ELSE last_value - ({increment}) END) FROM {sequence}"
        ),
        (false, true) => {
            format!("SELECT json_build_object('value', pg_sequence_last_value({oid}))")
        }
        (false, false) => {
            let (what, state) = (
                format!("read sequence {sequence}"),
                Some("42501".to_owned()),
            );
            return Err(QueryError {
                what,
                state,
                why: format!("permission denied for sequence {sequence}"),
            });
        }
    };
    let last = session
        .attempt_rows::<Value>(&sql)
        .await?
        .into_iter()
        .find_map(|row| row.value);
    let column = format!("{table}.{column}");
    Ok(SequenceState {
        sequence: sequence.clone(),
        column,
        last,
        greatest,
        increment: *increment,
    })
}

/// `data.sequence`: one check for all that are where they should be, and one for each that is not.
pub(super) fn compare(
    sequences: &Result<Sequences, QueryError>,
    before: Option<&DatabaseState>,
    now: &DatabaseState,
    object: &str,
) -> Vec<Check> {
    const ID: &str = "data.sequence";
    let sequences = match sequences {
        Ok(sequences) => sequences,
        Err(error) => return vec![failed(ID, object, error)],
    };
    let mut checks: Vec<Check> = sequences
        .unread
        .iter()
        .map(|(name, error)| unread(ID, name, error))
        .collect();
    let mut good = 0;
    for state in &sequences.read {
        let was = before.and_then(|before| same(&before.sequences, state));
        match trouble(was, state) {
            Some((status, message)) => {
                checks.push(Check::new(ID, name(state), status, message).hint(hint(state)));
            }
            None => good += 1,
        }
    }
    for was in before.into_iter().flat_map(|before| &before.sequences) {
        let there = same(&now.sequences, was).is_some()
            || sequences
                .unread
                .iter()
                .any(|(name, _)| *name == was.sequence);
        if !there {
            let message = format!(
                "{} takes no values from it any more: it is gone, or no longer its default",
                was.column
            );
            checks.push(Check::fail(ID, name(was), message));
        }
    }
    let of = sequences.read.len() + sequences.unread.len();
    if of == 0 && checks.is_empty() {
        return vec![Check::skipped(
            ID,
            object,
            "no column of the tables takes its values from a sequence",
        )];
    }
    if good > 0 {
        checks.insert(
            0,
            Check::pass(
                ID,
                object,
                format!("{good} of {of} sequences are ahead of their columns"),
            ),
        );
    }
    checks
}

/// `baseline.sequence`: only what is not as it should be.
pub(super) fn baseline(sequences: &Result<Sequences, QueryError>, object: &str) -> Vec<Check> {
    const ID: &str = "baseline.sequence";
    let sequences = match sequences {
        Ok(sequences) => sequences,
        Err(error) => return vec![failed(ID, object, error)],
    };
    let behind = sequences.read.iter().filter(|state| is_behind(state));
    let behind = behind.map(|state| {
        Check::new(ID, name(state), Status::Warn, behind_text(state)).hint(hint(state))
    });
    let unread = sequences
        .unread
        .iter()
        .map(|(name, error)| unread(ID, name, error));
    behind.chain(unread).collect()
}

/// A sequence may serve several columns.
fn same<'a>(all: &'a [SequenceState], one: &SequenceState) -> Option<&'a SequenceState> {
    all.iter()
        .find(|other| (&other.sequence, &other.column) == (&one.sequence, &one.column))
}

fn name(state: &SequenceState) -> String {
    format!("sequence {}", state.sequence)
}

fn unread(id: &str, name: &str, error: &QueryError) -> Check {
    let check = failed(id, format!("sequence {name}"), error);
    if error.is_forbidden() {
        return check.hint(format!(
            "as its owner: GRANT SELECT ON SEQUENCE {name} TO the user of database.user"
        ));
    }
    check
}

fn hint(state: &SequenceState) -> String {
    let most = if state.increment > 0 { "max" } else { "min" };
    let (table, column) = state.column.rsplit_once('.').unwrap_or_default();
    format!(
        "as its owner: SELECT setval('{}', (SELECT {most}({column}) FROM {table}))",
        state.sequence
    )
}

/// The next value is one that the column has gone past.
fn is_behind(state: &SequenceState) -> bool {
    let Some(greatest) = state.greatest else {
        return false;
    };
    let Some(next) = state.last.map(|last| last.saturating_add(state.increment)) else {
        return true;
    };
    if state.increment > 0 {
        next <= greatest
    } else {
        next >= greatest
    }
}

fn behind_text(state: &SequenceState) -> String {
    let (
        SequenceState {
            column, increment, ..
        },
        greatest,
    ) = (state, state.greatest.unwrap_or_default());
    match state.last {
        Some(last) => format!(
            "its next value is {}, and {column} is at {greatest}: inserts will collide",
            last.saturating_add(*increment)
        ),
        None => format!(
            "it has given no value yet, and {column} is at {greatest}: inserts will collide"
        ),
    }
}

/// What is wrong with a sequence, if anything is.
fn trouble(was: Option<&SequenceState>, is: &SequenceState) -> Option<(Status, String)> {
    if is_behind(is) {
        let text = behind_text(is);
        return Some(match was {
            Some(was) if is_behind(was) => {
                (Status::Warn, format!("{text}; was so in the baseline"))
            }
            _ => (Status::Fail, text),
        });
    }
    let (then, now) = (was?.last?, is.last);
    let back = now.is_none_or(|now| {
        if is.increment > 0 {
            now < then
        } else {
            now > then
        }
    });
    back.then(|| {
        let now = now.map_or("nothing".to_owned(), |now| now.to_string());
        (
            Status::Fail,
            format!("it went back: it has given {now} last, {then} in the baseline"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(last: Option<i64>, greatest: Option<i64>, increment: i64) -> SequenceState {
        SequenceState {
            sequence: "public.s".to_owned(),
            column: "public.t.id".to_owned(),
            last,
            greatest,
            increment,
        }
    }

    fn status(was: Option<&SequenceState>, is: &SequenceState) -> Option<Status> {
        trouble(was, is).map(|(status, _)| status)
    }

    #[test]
    fn a_sequence_is_good_if_its_next_value_is_new() {
        for (last, greatest, increment) in [
            (5, 5, 1),
            (9, 5, 1),
            (10, 15, 10),
            (-5, -5, -1),
            (-9, -5, -1),
        ] {
            assert_eq!(
                status(None, &state(Some(last), Some(greatest), increment)),
                None,
                "{last} {greatest}"
            );
        }
        assert_eq!(status(None, &state(None, None, 1)), None);
        for (last, greatest, increment) in [(4, 5, 1), (10, 20, 10), (-4, -5, -1)] {
            let is = state(Some(last), Some(greatest), increment);
            assert_eq!(status(None, &is), Some(Status::Fail), "{last} {greatest}");
        }
        assert_eq!(status(None, &state(None, Some(1), 1)), Some(Status::Fail));
    }

    #[test]
    fn one_that_went_back_fails_and_one_that_was_behind_before_is_not_blamed() {
        let was = state(Some(50), Some(10), 1);
        assert_eq!(
            status(Some(&was), &state(Some(49), Some(10), 1)),
            Some(Status::Fail)
        );
        assert_eq!(
            status(Some(&was), &state(None, None, 1)),
            Some(Status::Fail)
        );
        assert_eq!(status(Some(&was), &state(Some(51), Some(11), 1)), None);
        assert_eq!(
            status(Some(&state(Some(-5), None, -1)), &state(Some(-4), None, -1)),
            Some(Status::Fail)
        );
        assert_eq!(
            status(
                Some(&state(Some(1), Some(9), 1)),
                &state(Some(1), Some(9), 1)
            ),
            Some(Status::Warn)
        );
    }
}
