//! Why a table has no fingerprint.

use crate::postgres::session::QueryError;

/// Why a table has no fingerprint.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Untaken {
    /// There is no such table.
    #[error("there is no such table")]
    Missing,
    /// The user may not read it.
    #[error("the user may not read it")]
    Forbidden,
    /// The configuration does not give a name that a table can have.
    #[error("the configuration gives no name that a table can have")]
    NoName,
    /// `may_change` names a column that the table does not have.
    #[error("may_change names the column {0}, which it does not have")]
    NoColumn(String),
    /// Columns that the earlier look saw are gone or have another type.
    #[error("columns are gone or have another type: {}", .0.join(", "))]
    Columns(Vec<String>),
    /// The server said no, or the session broke.
    #[error("{0}")]
    Failed(QueryError),
}

impl From<QueryError> for Untaken {
    fn from(error: QueryError) -> Untaken {
        Untaken::Failed(error)
    }
}
