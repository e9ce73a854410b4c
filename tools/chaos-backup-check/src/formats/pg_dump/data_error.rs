//! What is wrong with the data of a table, or with other text; not where that is.

use std::io;

use super::encoding::Encoding;

/// Why data is not what `pg_dump` wrote.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataError {
    #[error("holds a zero byte, which text can't")]
    ZeroByte,
    #[error("holds bytes that are not {0}")]
    NotIn(Encoding),
    /// What is wrong is in this row, or behind it in the piece of data at hand.
    #[error("{source}, near row {row}")]
    NearRow { row: u64, source: Box<DataError> },
    #[error("holds a carriage return that is not escaped, near row {row}")]
    CarriageReturn { row: u64 },
    #[error("row {row} has {found} columns, and the table {columns}")]
    Columns {
        row: u64,
        found: usize,
        columns: usize,
    },
    #[error("does not begin on a line of its own")]
    NoLineOfItsOwn,
    #[error("goes on behind its end mark")]
    BehindEndMark,
    #[error("goes on behind its end, two empty lines")]
    BehindEmptyLines,
    #[error("does not end with two empty lines: its last bytes are cut")]
    NoEmptyLines,
    #[error("ends in the middle of a character")]
    InCharacter,
    #[error("ends in the middle of a line")]
    InLine,
    #[error("ends in the middle of a value")]
    InValue,
    #[error("has no end mark (\\.): it is cut behind row {rows}")]
    NoEndMark { rows: u64 },
    #[error("has a chunk of {length} bytes at byte {at}")]
    ChunkLength { length: i64, at: u64 },
    #[error("stops before its compressed stream does")]
    StreamIsCut,
    #[error("does not decompress ({0})")]
    Decompress(#[source] io::Error),
}
