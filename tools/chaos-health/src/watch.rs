//! `chaos-health --watch`: a live view on a terminal.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use chaos_common::config::Config;
use chaos_common::exit::{Exit, Failure};
use chaos_common::output;
use chaos_common::record::{Check, Status, Time, Verdict};
use tokio::time::sleep;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::namespaces::Namespaces;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// Changes that are kept for display.
const CHANGES: usize = 100;

/// Shows the checks that are not well, and what has changed, until it is interrupted.
pub(crate) async fn watch(
    namespaces: &Namespaces,
    config: &Config,
    deadline: Duration,
) -> Result<Exit, Failure> {
    if !std::io::stdout().is_terminal() {
        return Err(
            Failure::usage("--watch is for a terminal, and standard output is none")
                .hint("--wait 2m waits for a healthy system in a script"),
        );
    }
    let title = namespaces.title();
    let mut view = View::default();
    loop {
        let health = tokio::select! {
            health = namespaces.examine(config, deadline) => health,
            _ = tokio::signal::ctrl_c() => break,
        };
        view.take(&health.checks, Time::now());
        let (width, height) =
            terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0.into(), h.0.into()));
        let picture = view.picture(&title, width, height, output::in_color());
        // Drawn over the last picture: no flicker. A terminal that went away ends the loop by its
        // signal.
        let lines = picture
            .lines()
            .fold(String::new(), |lines, line| lines + line + "\x1b[K\r\n");
        let _ = std::io::stdout()
            .write_all(format!("\x1b[H{}\x1b[J", lines.trim_end_matches("\r\n")).as_bytes());
        let _ = std::io::stdout().flush();
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    println!();
    Ok(view.verdict.map_or(Exit::Unknown, Exit::from))
}

/// What has been seen so far.
#[derive(Debug, Default)]
struct View {
    verdict: Option<Verdict>,
    time: Option<Time>,
    checks: Vec<Check>,
    /// Since when each check is as it is.
    since: HashMap<(String, Option<String>), (Status, Time)>,
    changes: VecDeque<String>,
}

impl View {
    /// Takes in the checks of one look.
    fn take(&mut self, checks: &[Check], now: Time) {
        let mut since = HashMap::new();
        for check in checks {
            let key = (check.id.clone(), check.object.clone());
            let before = self.since.remove(&key);
            let start = match before {
                Some((status, start)) if status == check.status => start,
                Some((status, start)) => {
                    let time = lasted(now, start);
                    self.changed(
                        now,
                        check,
                        &format!("{} after {time} of {}", check.status.word(), status.word()),
                    );
                    now
                }
                None => {
                    if self.time.is_some() && check.status != Status::Pass {
                        self.changed(now, check, check.status.word());
                    }
                    now
                }
            };
            since.insert(key, (check.status, start));
        }
        let gone = std::mem::take(&mut self.since);
        for ((id, object), (status, start)) in gone
            .into_iter()
            .filter(|(_, (status, _))| *status != Status::Pass)
        {
            let time = lasted(now, start);
            let check = Check::new(&id, object.unwrap_or_default(), status, "");
            self.changed(
                now,
                &check,
                &format!("gone after {time} of {}", status.word()),
            );
        }
        self.since = since;
        self.checks = checks.to_vec();
        self.verdict = Some(Verdict::of(checks));
        self.time = Some(now);
    }

    fn changed(&mut self, now: Time, check: &Check, what: &str) {
        if self.changes.len() == CHANGES {
            self.changes.pop_back();
        }
        let time = now.0.strftime("%H:%M:%S");
        self.changes.push_front(format!(
            "{time}  {} {}: {what}",
            check.id,
            check.object.as_deref().unwrap_or_default()
        ));
    }

    /// The screen: the verdict, the checks that are not well, the latest changes.
    fn picture(&self, title: &str, width: usize, height: usize, color: bool) -> String {
        let mut lines = Vec::new();
        let verdict = self.verdict.map_or("…", Verdict::word);
        let count = |status| {
            self.checks
                .iter()
                .filter(|check| check.status == status)
                .count()
        };
        let time = self
            .time
            .map(|time| time.0.strftime("%H:%M:%S UTC").to_string())
            .unwrap_or_default();
        lines.push(cut(&format!("{verdict:<7}  {title}  {time}"), width));
        let counts: Vec<String> = [
            Status::Fail,
            Status::Unknown,
            Status::Warn,
            Status::Pass,
            Status::Skipped,
        ]
        .into_iter()
        .map(|status| format!("{} {}", count(status), status.word()))
        .collect();
        lines.push(cut(&counts.join(", "), width));
        lines.push(String::new());
        let room = height.saturating_sub(lines.len() + 1);
        let rows: Vec<&Check> = [Status::Fail, Status::Unknown, Status::Warn]
            .into_iter()
            .flat_map(|status| {
                self.checks
                    .iter()
                    .filter(move |check| check.status == status)
            })
            .collect();
        // A third of the screen is for the changes.
        let changes = self.changes.len().min((room / 3).max(1));
        let space = room.saturating_sub(if changes > 0 { changes + 1 } else { 0 });
        let shown = if rows.len() > space {
            space.saturating_sub(1)
        } else {
            rows.len()
        };
        for check in &rows[..shown] {
            let object = check.object.as_deref().unwrap_or_default();
            let rest = cut(
                &format!("{}  {object}  {}", check.id, check.message),
                width.saturating_sub(9),
            );
            lines.push(format!("{}  {rest}", output::status(check.status, color)));
        }
        if rows.len() > shown {
            lines.push(format!("         and {} more", rows.len() - shown));
        }
        if changes > 0 {
            lines.push(String::new());
            lines.extend(
                self.changes
                    .iter()
                    .take(changes)
                    .map(|change| cut(change, width)),
            );
        }
        lines.iter().fold(String::new(), |mut picture, line| {
            let _ = writeln!(picture, "{line}");
            picture
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration for people")]
fn lasted(now: Time, start: Time) -> String {
    output::duration(now.since_ms(start) as f64)
}

/// A line of text that fits.
fn cut(text: &str, width: usize) -> String {
    let text = output::printable(text);
    if text.width() <= width {
        return text;
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let fits = c.width().unwrap_or(0) <= left;
        left = left.saturating_sub(c.width().unwrap_or(0));
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time(jiff::Timestamp::from_second(1_795_000_000 + seconds).expect("a time"))
    }

    fn check(object: &str, status: Status) -> Check {
        Check::new(
            "pods.ready",
            object,
            status,
            "some message that is rather long",
        )
    }

    #[test]
    fn a_line_is_cut_by_the_columns_that_it_takes() {
        assert_eq!(cut("four", 4), "four");
        assert_eq!(cut("seven more", 6), "seven…");
        assert_eq!(cut("漢字漢字", 8), "漢字漢字");
        assert_eq!(cut("漢字漢字", 6), "漢字…");
    }

    #[test]
    fn the_picture_fits_and_shows_the_worst_first() {
        let mut view = View::default();
        let mut checks: Vec<Check> = (0..50)
            .map(|n| check(&format!("pod/{n}"), Status::Warn))
            .collect();
        checks.push(check("pod/bad", Status::Fail));
        view.take(&checks, at(0));
        let picture = view.picture("shop in kind", 60, 20, false);
        assert!(picture.lines().count() < 20, "{picture}");
        assert!(
            picture.lines().all(|line| line.chars().count() <= 60),
            "{picture}"
        );
        assert!(
            picture
                .lines()
                .nth(3)
                .is_some_and(|line| line.contains("pod/bad")),
            "{picture}"
        );
        assert!(picture.contains("1 fail, 0 unknown, 50 warn"), "{picture}");
        assert!(picture.contains("and 36 more"), "{picture}");
    }

    #[test]
    fn what_changes_is_told_with_how_long_it_lasted() {
        let mut view = View::default();
        view.take(
            &[check("pod/a", Status::Pass), check("pod/b", Status::Fail)],
            at(0),
        );
        view.take(
            &[check("pod/a", Status::Fail), check("pod/b", Status::Fail)],
            at(10),
        );
        view.take(&[check("pod/a", Status::Pass)], at(15));
        let changes: Vec<_> = view.changes.iter().map(String::as_str).collect();
        assert!(
            changes[2].ends_with("pod/a: fail after 10.0 s of pass"),
            "{changes:?}"
        );
        assert!(
            changes[1].ends_with("pod/a: pass after 5.0 s of fail"),
            "{changes:?}"
        );
        assert!(
            changes[0].ends_with("pod/b: gone after 15.0 s of fail"),
            "{changes:?}"
        );
        assert_eq!(view.verdict, Some(Verdict::Pass));
    }

    #[test]
    fn text_from_outside_does_not_move_the_cursor() {
        let mut view = View::default();
        view.take(&[Check::fail("x", "a", "\x1b[2Jgone\nnext")], at(0));
        let picture = view.picture("t", 80, 24, false);
        assert!(
            !picture.contains('\x1b') && picture.contains("[2Jgone next"),
            "{picture:?}"
        );
    }
}
