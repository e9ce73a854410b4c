//! How results look to people at a terminal.

pub mod charts;
mod lines;

use std::fmt::Write as _;
use std::io;

use anstream::{AutoStream, ColorChoice};
use anstyle::AnsiColor;

pub use self::lines::Lines;
use crate::record::{Check, Record, Status, Verdict};

/// Where lines go on that a terminal is too narrow for: behind the column of statuses.
const INDENT: usize = 9;

/// A record as text: its checks as a table, its further lines, its verdict.
pub fn render<D: Lines>(record: &Record<D>) -> String {
    let (paint, width) = (in_color(), width());
    let mut text = table(record.data.checks(), paint, width);
    for line in record.data.lines() {
        text.push_str(&printable(&line));
        text.push('\n');
    }
    if let Some(verdict) = record.verdict {
        let word = colored(verdict.word(), verdict_color(verdict), paint);
        let offset = verdict.word().len() + 2;
        let summary = wrap(&printable(&record.summary), offset, width);
        let _ = writeln!(text, "{word}  {summary}");
    }
    text
}

/// Checks that are in no record, as a table.
pub fn checks(checks: &[Check]) -> String {
    table(checks, in_color(), width())
}

/// Whether standard output takes colours: a terminal does, unless `NO_COLOR` and the like say no.
pub fn in_color() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// The word of a status, in a column of its own.
pub fn status(status: Status, color: bool) -> String {
    colored(
        &format!("{:<7}", status.word()),
        status_color(status),
        color,
    )
}

/// A duration for people: milliseconds below a second, seconds below ten minutes, then minutes.
pub fn duration(milliseconds: f64) -> String {
    if milliseconds < 1000.0 {
        format!("{milliseconds:.0} ms")
    } else if milliseconds < 600_000.0 {
        format!("{:.1} s", milliseconds / 1000.0)
    } else {
        format!("{:.1} min", milliseconds / 60_000.0)
    }
}

/// Columns of the terminal at standard output, if it is one.
fn width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into())
}

/// Breaks text that begins in a column into lines of a terminal, each further one indented.
fn wrap(text: &str, offset: usize, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let (mut out, mut column, mut glue) = (String::new(), offset, "");
    for word in text.split(' ') {
        let length = word.chars().count();
        if column + glue.len() + length > width && column > INDENT {
            let _ = write!(out, "\n{:INDENT$}", "");
            (column, glue) = (INDENT, "");
        }
        out.extend([glue, word]);
        column += glue.len() + length;
        glue = " ";
    }
    out
}

fn table(checks: &[Check], paint: bool, terminal: Option<usize>) -> String {
    let object = |check: &Check| check.object.clone().unwrap_or_default();
    let width = |of: &dyn Fn(&Check) -> usize| checks.iter().map(of).max().unwrap_or(0);
    let id_width = width(&|check| check.id.chars().count());
    let object_width = width(&|check| object(check).chars().count()).min(60);
    let offset = 13 + id_width + object_width;
    let mut text = String::new();
    for check in checks {
        let status = status(check.status, paint);
        let _ = writeln!(
            text,
            "{status}  {:<id_width$}  {:<object_width$}  {}",
            check.id,
            printable(&object(check)),
            wrap(&printable(&check.message), offset, terminal)
        );
        if let Some(hint) = &check.hint {
            let _ = writeln!(
                text,
                "         {:id_width$}  {:object_width$}  -> {}",
                "",
                "",
                wrap(&printable(hint), offset + 3, terminal)
            );
        }
    }
    text
}

/// Text from outside must not move the cursor or recolour the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// As [`printable`], of a text of several lines, such as a message on stderr.
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

fn colored(text: &str, color: AnsiColor, paint: bool) -> String {
    if paint {
        let style = color.on_default();
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

fn verdict_color(verdict: Verdict) -> AnsiColor {
    match verdict {
        Verdict::Pass => AnsiColor::Green,
        Verdict::Fail => AnsiColor::Red,
        Verdict::Unknown => AnsiColor::Magenta,
    }
}

fn status_color(status: Status) -> AnsiColor {
    match status {
        Status::Pass => AnsiColor::Green,
        Status::Fail => AnsiColor::Red,
        Status::Unknown => AnsiColor::Magenta,
        Status::Warn => AnsiColor::Yellow,
        Status::Skipped => AnsiColor::BrightBlack,
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, printable_lines, wrap};

    #[test]
    fn lines_fit_a_terminal_and_lose_no_word() {
        let text = "p50 4.98, p95 13.41 ms of 120 requests; 0 of 120 requests failed, and more";
        assert_eq!(wrap(text, 60, None), text);
        for offset in [6, 40, 78, 120] {
            let wrapped = wrap(text, offset, Some(80));
            let mut lines = wrapped.lines();
            let first = lines.next().unwrap_or_default();
            assert!(first.is_empty() || offset + first.len() <= 80, "{wrapped}");
            assert!(lines.all(|line| line.len() <= 80), "{wrapped}");
            let words: Vec<&str> = wrapped.split_whitespace().collect();
            assert_eq!(words.join(" "), text);
        }
    }

    #[test]
    fn text_from_outside_does_not_steer_the_terminal() {
        let text = "pod \u{1b}]0;x\u{7}a\r\u{9b}2J\n  hint: b\n";
        assert_eq!(printable_lines(text), "pod  ]0;x a  2J\n  hint: b\n");
    }

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(
            [duration(12.4), duration(12_340.0), duration(720_000.0)],
            ["12 ms", "12.3 s", "12.0 min"]
        );
    }
}
