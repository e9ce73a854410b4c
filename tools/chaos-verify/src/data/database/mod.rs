//! The application's database: version, size, rows and what they hold, sequences, constraints,
//! indexes, damage and replicas, as one read-only transaction sees them.

mod amcheck;
mod baseline;
mod checks;
mod comparison;
mod guards;
mod page_checksums;
mod reading;
mod relations;
mod replicas;
mod sequences;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::baseline::baseline;
pub(crate) use self::comparison::compare;
pub(crate) use self::reading::read_configured;
