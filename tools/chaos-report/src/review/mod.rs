//! What a month of the archive comes to.

mod archived;
mod month;
mod recommendations;
mod totals;
pub(crate) mod trend;

pub(crate) use self::archived::{Archive, Run};
pub(crate) use self::month::Month;
pub(crate) use self::recommendations::{improvements, recommendations};
pub(crate) use self::totals::Totals;
