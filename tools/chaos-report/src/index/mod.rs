//! What the archive holds, without reading every stream anew.
//!
//! Of a folder the index is a file beside the streams that repeats what lists and reviews need of
//! each. It can be thrown away: an entry counts only while the stream's file has the size and the
//! time of change that it was made from, and what has no entry is read. In a database the same
//! stands beside each stream.

mod answers;
mod by_hand;
mod cache;
mod entry;
mod facts;
mod find;
mod folder;
mod rows;

pub(crate) use self::answers::{Answers, Names};
#[cfg(test)]
pub(crate) use self::entry::{Drill, Exercise};
pub(crate) use self::entry::{Entry, Run, Stream};
#[cfg(test)]
pub(crate) use self::facts::AlertFact;
pub(crate) use self::facts::{Facts, conclusion};
pub(crate) use self::find::{NotFound, find};
pub(crate) use self::folder::forget_gone;
pub(crate) use self::rows::kept;

/// How much of the index is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What a list shows.
    Facts,
    /// What a review needs as well: issues, alerts, workloads, the answer of each check.
    Details,
}

/// What the archive holds.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Every stream that could be read, in order of time.
    pub(crate) entries: Vec<Entry>,
    /// Streams that could not be read, each with the reason.
    pub(crate) unreadable: Vec<String>,
    /// Streams that were in the archive and are in no file of it any more.
    pub(crate) gone: Vec<String>,
    /// Why the index could not be kept, if it could not: all is read again the next time.
    pub(crate) not_kept: Option<String>,
}
