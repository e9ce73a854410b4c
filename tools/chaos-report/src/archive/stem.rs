//! The names of archived files.

use chaos_common::record::Time;

/// The longest part of an experiment's name that stands in a file's name, in characters.
const MAX_NAME: usize = 40;

/// The name of a run's files without the ending: when it began, what it was, and the end of the
/// run's id, which differs between runs of the same second.
pub(crate) fn stem(began: Time, experiment: &str, run: &str) -> String {
    let experiment: String = plain(experiment)
        .trim_matches('-')
        .chars()
        .take(MAX_NAME)
        .collect();
    let run: Vec<char> = run.chars().filter(char::is_ascii_alphanumeric).collect();
    let short: String = run[run.len().saturating_sub(8)..].iter().collect();
    let began = began.0.strftime("%Y%m%dT%H%M%SZ");
    format!("{began}-{}-{}", or_unknown(experiment), or_unknown(short))
}

/// Without anything that could lead out of a folder.
fn plain(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    text.chars().map(plain).collect()
}

fn or_unknown(text: String) -> String {
    if text.is_empty() {
        "unknown".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_nothing_that_leaves_the_folder() {
        let began: Time = serde_json::from_str("\"2026-11-22T16:00:05.123Z\"").expect("RFC 3339");
        assert_eq!(
            stem(began, "pod-failure", "01981f3e-aaaa-7bbb-8ccc-0123456789ab"),
            "20261122T160005Z-pod-failure-456789ab"
        );
        assert_eq!(
            stem(began, "../../etc/Passwd", "../"),
            "20261122T160005Z-etc-passwd-unknown"
        );
        assert_eq!(stem(began, "", ""), "20261122T160005Z-unknown-unknown");
    }
}
