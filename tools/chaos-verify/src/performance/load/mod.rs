//! Load on URLs, and what it shows.
//!
//! Requests are due at a fixed rate and leave when they are due (the open loop), so that a target
//! that stalls is not spared. Times count from when a request was due. How late requests really
//! left is counted too: where that is a part of the result that matters, the result is void.

mod closed;
mod connection;
mod counts;
pub(crate) mod figures;
mod generator;
mod http2;
mod live;
mod open;
mod phases;
mod plan;
mod request;
mod response;
mod timer;
mod trust;
mod url;

pub use self::connection::RequestError;
pub use self::counts::{Counts, WindowCounts};
pub(crate) use self::generator::run;
#[cfg(test)]
pub(crate) use self::generator::{LoadResult, Measured};
pub(crate) use self::plan::{LoadPlan, RATES, Rate};
pub(crate) use self::url::{HttpUrl, fault};
