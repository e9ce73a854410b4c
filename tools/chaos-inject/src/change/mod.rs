//! Changes to objects: what to write next ([`decide`], pure), and writing it ([`apply`]).

pub mod apply;
pub mod decide;
pub mod fields;
pub mod ownership;
