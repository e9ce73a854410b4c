//! Small charts of measurements in characters, for terminals and Markdown.

use crate::record::{Timing, Window};

/// Levels of a column of one character.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Longest bar.
const WIDTH: u64 = 40;

/// A measurement under load: its figures, how times are spread, and how they and the availability
/// went along. Nothing for one without load.
pub fn timing(timing: &Timing) -> Vec<String> {
    let Some(load) = &timing.load else {
        return Vec::new();
    };
    let mut lines = vec![
        String::new(),
        format!("{} {}", timing.service, timing.path)
            .trim_end()
            .to_owned(),
    ];
    if let Some(steps) = &timing.steps {
        let tls = steps
            .tls_ms
            .map(|ms| format!(", TLS {ms:.2}"))
            .unwrap_or_default();
        lines.push(format!(
            "  single request     lookup {:.2}, connect {:.2}{tls},",
            steps.lookup_ms, steps.connect_ms
        ));
        lines.push(format!(
            "                     first byte {:.2}, total {:.2} ms",
            steps.first_byte_ms, steps.total_ms
        ));
    }
    let offered = load
        .offered_rate
        .map_or("as many as were answered".to_owned(), |rate| {
            format!("{rate:.0}")
        });
    lines.push(format!(
        "  requests a second  offered {offered}, achieved {:.0}",
        load.achieved_rate
    ));
    lines.push(format!(
        "  left late by       p50 {:.2}, p99 {:.2} ms",
        load.lag_p50_ms, load.lag_p99_ms
    ));
    lines.push(format!("  answered in        {} ms", figures(timing)));
    let again = match load.sent_again {
        0 => String::new(),
        times => format!(", {times} times sent again"),
    };
    lines.push(format!(
        "  failed             {} of {}{again}",
        timing.errors, timing.requests
    ));
    lines.extend(histogram(timing));
    let came = load.interrupted_ms.unwrap_or(load.duration_ms);
    lines.extend(timeline(&timing.windows, came));
    lines
}

/// The quantiles of the times, in milliseconds.
fn figures(timing: &Timing) -> String {
    let all = [
        ("p50", timing.p50_ms),
        ("p95", timing.p95_ms),
        ("p99", timing.p99_ms),
        ("max", timing.max_ms),
    ];
    let each = all.map(|(name, ms)| format!("{name} {}", ms.map_or("-".to_owned(), short)));
    each.join(", ")
}

/// How times are spread: a bar each, to the longest one's scale.
fn histogram(timing: &Timing) -> Vec<String> {
    let most = timing
        .distribution
        .iter()
        .map(|bar| bar.count)
        .max()
        .unwrap_or(0)
        .max(1);
    let all: u64 = timing.distribution.iter().map(|bar| bar.count).sum();
    let mut lines = Vec::new();
    for bar in &timing.distribution {
        let length = usize::try_from((bar.count * WIDTH).div_ceil(most)).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        let percent = bar.count as f64 * 100.0 / all.max(1) as f64;
        lines.push(format!(
            "  {:>9} ms {:<40} {} ({percent:.1} %)",
            short(bar.up_to_ms),
            "#".repeat(length),
            bar.count
        ));
    }
    lines
}

/// How times and availability went along, a character each window. A window with failures shows in
/// the second row as `!`, one without a good answer as `X`.
fn timeline(windows: &[Window], duration_ms: u64) -> Vec<String> {
    if windows.is_empty() {
        return Vec::new();
    }
    let highest = windows
        .iter()
        .filter_map(|window| window.p99_ms)
        .fold(0.0, f64::max);
    let level = |ms: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 7"
        )]
        let level = (ms / highest.max(f64::MIN_POSITIVE) * 7.0).round() as usize;
        LEVELS[level.min(7)]
    };
    let times: String = windows
        .iter()
        .map(|window| window.p99_ms.map_or(' ', level))
        .collect();
    let good: String = windows
        .iter()
        .map(|window| match (window.requests, window.errors) {
            (0, _) => ' ',
            (_, 0) => '─',
            (requests, errors) if errors < requests => '!',
            _ => 'X',
        })
        .collect();
    let (requests, errors) = windows
        .iter()
        .fold((0, 0), |sum, w| (sum.0 + w.requests, sum.1 + w.errors));
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (seconds, percent) = (
        duration_ms as f64 / 1000.0,
        (requests - errors) as f64 * 100.0 / requests.max(1) as f64,
    );
    vec![
        format!("  p99        │{times}│"),
        format!("             0 to {} ms, {seconds:.0} s", short(highest)),
        format!("  available  │{good}│"),
        format!("             {percent:.3} % of {requests}"),
    ]
}

fn short(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.2}")
    } else {
        format!("{ms:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Bar;

    fn window(requests: u64, errors: u64, p99_ms: Option<f64>) -> Window {
        Window {
            requests,
            errors,
            p50_ms: p99_ms,
            p99_ms,
            histogram: String::new(),
        }
    }

    #[test]
    fn a_timeline_shows_slow_and_failing_windows_where_they_were() {
        let windows = [
            window(10, 0, Some(1.0)),
            window(10, 1, Some(8.0)),
            window(10, 10, None),
            window(10, 0, Some(4.0)),
        ];
        let lines = timeline(&windows, 4000);
        assert_eq!(
            lines,
            [
                "  p99        │▂█ ▅│",
                "             0 to 8.00 ms, 4 s",
                "  available  │─!X─│",
                "             72.500 % of 40",
            ]
        );
    }

    #[test]
    fn a_measurement_fits_eighty_columns_and_shows_its_figures() {
        let windows = vec![window(99_999, 9, Some(4321.0)); 60];
        let bars = vec![
            Bar {
                up_to_ms: 4321.0,
                count: 9_999_999
            };
            2
        ];
        let timing: Timing = serde_json::from_value(serde_json::json!({
            "service": "http://shop:8000/", "path": "", "vantage": "direct",
            "requests": 9_999_999, "errors": 1_234_567, "p50_ms": 1234.5, "p95_ms": 2345.6,
            "p99_ms": 3456.7, "max_ms": 4567.8, "windows": windows, "distribution": bars,
            "steps": { "lookup_ms": 1234.5, "connect_ms": 1234.5, "tls_ms": 1234.5,
                "first_byte_ms": 1234.5, "total_ms": 1234.5 },
            "load": { "started": "2026-11-22T16:00:00.000Z", "duration_ms": 300_000,
                "offered_rate": 99999.0, "achieved_rate": 99999.0, "connections": 16,
                "protocol": "HTTP/1.1", "lag_p50_ms": 1234.5, "lag_p99_ms": 1234.5,
                "sent_again": 123_456 },
        }))
        .expect("a timing");
        let lines = super::timing(&timing);
        for line in &lines {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let text = lines.join("\n");
        assert!(
            text.contains("p50 1234, p95 2346, p99 3457, max 4568 ms"),
            "{text}"
        );
        assert!(
            text.contains("1234567 of 9999999, 123456 times sent again"),
            "{text}"
        );
    }

    #[test]
    fn bars_are_to_scale_and_no_count_is_invisible() {
        let bar = |up_to_ms, count| Bar { up_to_ms, count };
        let timing: Timing = serde_json::from_value(serde_json::json!({
            "service": "s", "path": "/", "vantage": "direct", "requests": 201, "errors": 0,
            "distribution": [bar(1.0, 1), bar(2.0, 200)]
        }))
        .expect("a timing");
        let lengths: Vec<_> = histogram(&timing)
            .iter()
            .map(|line| line.matches('#').count())
            .collect();
        assert_eq!(lengths, [1, 40]);
    }
}
