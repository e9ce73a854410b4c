//! Metrics in the text form of OpenMetrics (version 1.0.0, which Prometheus' own text form reads as
//! well: all of them are gauges, as runs can leave the archive), of the archive or of a stream.

mod archive;
mod family;
mod stream;

pub(crate) use self::archive::of_archive;
pub(crate) use self::stream::of_stream;

/// A dashboard of the archive's metrics for Grafana.
pub(crate) const DASHBOARD: &str = include_str!("dashboard.json");
