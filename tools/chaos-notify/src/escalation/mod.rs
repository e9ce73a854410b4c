//! An alarm that goes up the list of contacts until somebody answers.
//!
//! When who is told is decided in [`schedule`], on plain values. How far an escalation has come is
//! in the spool, and so is an answer: both outlive the processes that wrote them. Whoever answers
//! by a link answers to the receiver, which is a process of its own.

mod link;
mod schedule;
mod step;

pub(crate) use self::link::{Key, Link, token};
pub(crate) use self::schedule::{Next, Position, next};
pub(crate) use self::step::{base, step};
