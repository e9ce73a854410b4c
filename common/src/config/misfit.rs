//! Keys of a table that do not go together.

/// Why the keys of a table do not go together, in words for whoever wrote them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misfit(String);

impl Misfit {
    pub(super) fn new(why: impl Into<String>) -> Misfit {
        Misfit(why.into())
    }
}
