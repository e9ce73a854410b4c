//! Keeping a team's own documents up to date with what experiments showed.

mod difference;
mod marked;
mod section;

pub(crate) use self::difference::difference;
pub(crate) use self::marked::with_section;
pub(crate) use self::section::section;
