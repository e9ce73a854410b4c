//! Words that several parts of a report share.

use chaos_common::output;
use chaos_common::record::{Check, Time};

/// What stands where the stream does not tell.
pub(crate) const NOT_KNOWN: &str = "not known";

/// `one thing`, `2 things`.
pub(crate) fn count(number: usize, one: &str, more: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        n => format!("{n} {more}"),
    }
}

/// `a, b and c`, or the first few and how many more there are.
pub(crate) fn list(values: &[String], most: usize) -> String {
    let (shown, more) = match values.len() {
        n if n <= most => (values, 0),
        n => (&values[..most], n - most),
    };
    let mut shown = shown.to_vec();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    match shown.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [firsts @ .., last] => format!("{} and {last}", firsts.join(", ")),
    }
}

/// A duration in words.
pub(crate) fn duration(milliseconds: f64) -> String {
    output::duration(milliseconds)
}

/// A whole number of milliseconds in words.
#[expect(clippy::cast_precision_loss, reason = "no run lasts 2^52 milliseconds")]
pub(crate) fn whole_duration(milliseconds: u64) -> String {
    duration(milliseconds as f64)
}

/// Seconds from the injection, with a sign.
pub(crate) fn since(milliseconds: f64) -> String {
    format!("{:+.1} s", milliseconds / 1000.0)
}

/// The time of day, to a tenth of a second.
pub(crate) fn clock(time: Time) -> String {
    time.0.strftime("%H:%M:%S%.1f").to_string()
}

/// With a capital letter.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// A sentence ends in one full stop.
pub(crate) fn sentence(text: &str) -> String {
    format!("{}.", capital(text.trim_end_matches(['.', ' '])))
}

/// What a check was asked of, with the question's name.
pub(crate) fn question(check: &Check) -> String {
    match &check.object {
        Some(object) => format!("{} {object}", check.id),
        None => check.id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_name_the_first_few_and_count_the_rest() {
        let values = |n: usize| (1..=n).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(list(&values(0), 3), "");
        assert_eq!(list(&values(1), 3), "1");
        assert_eq!(list(&values(3), 3), "1, 2 and 3");
        assert_eq!(list(&values(5), 3), "1, 2, 3 and 2 more");
    }

    #[test]
    fn times_from_the_injection_have_a_sign() {
        assert_eq!(
            [since(-1500.0), since(0.0), since(2120.0)],
            ["-1.5 s", "+0.0 s", "+2.1 s"]
        );
    }

    #[test]
    fn sentences_begin_large_and_end_once() {
        assert_eq!(sentence("it is over. "), "It is over.");
    }
}
