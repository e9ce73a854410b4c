//! What takes how long in a single request: lookup, connect, TLS, first byte, all of it.

use std::time::Instant;

use chaos_common::record::Steps;

use super::connection::{Connection, Connector, milliseconds};
use super::plan::LoadPlan;
use super::url::HttpUrl;

/// Fresh connections that the steps of a request are taken from.
const SAMPLES: usize = 5;
/// The runbook's look at single requests: what takes how long.
pub(crate) async fn measure(url: &HttpUrl, plan: &LoadPlan) -> Option<Steps> {
    let mut all = Vec::new();
    for _ in 0..SAMPLES {
        all.push(
            tokio::time::timeout(plan.timeout, single(url, plan.http2))
                .await
                .ok()??,
        );
    }
    let median = |of: &dyn Fn(&Steps) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        // Microseconds: more digits would claim more than a clock can give.
        (values[values.len() / 2] * 1000.0).round() / 1000.0
    };
    Some(Steps {
        lookup_ms: median(&|steps| steps.lookup_ms),
        connect_ms: median(&|steps| steps.connect_ms),
        tls_ms: url
            .tls
            .then(|| median(&|steps| steps.tls_ms.unwrap_or_default())),
        first_byte_ms: median(&|steps| steps.first_byte_ms),
        total_ms: median(&|steps| steps.total_ms),
    })
}

async fn single(url: &HttpUrl, http2: bool) -> Option<Steps> {
    let start = Instant::now();
    let connector = Connector::new(url, http2).await.ok()?;
    let lookup_ms = milliseconds(start);
    let (connection, connected) = connector.connect().await.ok()?;
    let sent = Instant::now();
    let response = match connection {
        Connection::Http1(mut http1) => http1.exchange(url).await.ok()?,
        Connection::Http2(mut http2) => http2.exchange(url).await.ok()?,
    };
    Some(Steps {
        lookup_ms,
        connect_ms: connected.connect_ms,
        tls_ms: connected.tls_ms,
        first_byte_ms: (response.first - sent).as_secs_f64() * 1000.0,
        total_ms: milliseconds(start),
    })
}
