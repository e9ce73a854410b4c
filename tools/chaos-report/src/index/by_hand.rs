//! Reports that people wrote by hand, in the runbook's form.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{Data as _, NextStep, Note, Record, Time};
use jiff::civil::{Date, DateTime, time};
use jiff::fmt::strtime;
use jiff::{SignedDuration, Span, Timestamp};

use super::{Facts, Run, Stream, conclusion};
use crate::archive;

/// The title of a report on an experiment, written by hand or not.
const TITLE: &str = "# Chaos Engineering Experiment Report";

/// Why a report that was written by hand is not counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRead {
    #[error("it is the report on a run whose stream is not in the archive")]
    NoStream,
    #[error("the report was written by hand and says no {0}")]
    Missing(&'static str),
    #[error("the report was written by hand, and its date {0:?} is none that is known")]
    NoDate(String),
}

/// The most of a document that is read, in bytes.
const MAX_DOCUMENT: u64 = 1 << 20;

/// Reads a document that may be a report; nothing if it is none.
///
/// # Errors
/// It can't be read.
pub(super) fn read_file(
    path: &Path,
    file: &str,
) -> Result<Option<Result<Stream, NotRead>>, String> {
    let unreadable = |error: io::Error| format!("cannot read it: {error}");
    let mut input = BufReader::new(File::open(path).map_err(unreadable)?).take(MAX_DOCUMENT);
    let mut text = Vec::new();
    // Most documents of a folder are other ones, and their first line says so.
    while text.trim_ascii().is_empty() {
        if input.read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
            return Ok(None);
        }
    }
    if text.trim_ascii() == TITLE.as_bytes() {
        input.read_to_end(&mut text).map_err(unreadable)?;
    }
    Ok(read(file, &String::from_utf8_lossy(&text)))
}

/// What is kept of a report that was written by hand; nothing if the text is no such report.
///
/// # Errors
/// It is one, and does not say what and when.
fn read(file: &str, text: &str) -> Option<Result<Stream, NotRead>> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    (first.trim() == TITLE).then(|| stream(file, text))
}

fn stream(file: &str, text: &str) -> Result<Stream, NotRead> {
    let stem = file.rsplit('/').next().unwrap_or_default();
    let stem = stem.strip_suffix(".md").unwrap_or(stem);
    if text.contains(&format!("{stem}.ndjson")) {
        return Err(NotRead::NoStream);
    }
    let form = Form::of(text);
    let name = form.one("Name").ok_or(NotRead::Missing("Name"))?;
    let date = form.one("Date").ok_or(NotRead::Missing("Date"))?;
    let began = when(date).ok_or_else(|| NotRead::NoDate(date.to_owned()))?;
    let of_day = |name: &str| form.one(name).and_then(|text| at(text, began));
    let start = of_day("Start Time").unwrap_or(began);
    let mut damage = Vec::new();
    let duration = duration(&form, start, of_day("End Time"));
    if duration.is_none() {
        damage.push("how long it lasted is not known".to_owned());
    }
    let conclusion = status(&form).unwrap_or_else(|why| {
        damage.push(why);
        Conclusion::Unknown
    });
    let began = Time(start);
    let issues = form.all(&["Issues Encountered", "Issues"]);
    let facts = Facts {
        id: format!("by hand {file}"),
        name: name.to_owned(),
        namespace: "unknown".to_owned(),
        cluster: None,
        executor: form.one("Executor").unwrap_or("unknown").to_owned(),
        began,
        duration_ms: duration,
        conclusion,
        reason: None,
        targets: targets(&form),
        recoveries: Vec::new(),
        unrecovered: 0,
        whole_ms: None,
        gap_ms: None,
        issue_count: issues.len(),
    };
    Ok(Stream {
        run: stem.to_owned(),
        first: Some(began),
        notes: note(stem, &form, began).into_iter().collect(),
        experiment: Some(Run {
            issues,
            ..Run::from(facts)
        }),
        damage,
        ..Stream::default()
    })
}

/// The fields of the form: each name with the texts behind and below it.
struct Form<'t>(Vec<(&'t str, Vec<&'t str>)>);

impl<'t> Form<'t> {
    fn of(text: &'t str) -> Form<'t> {
        let mut fields: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in text.lines() {
            if let Some((name, value)) = field(line) {
                fields.push((name, said(value).into_iter().collect()));
            } else if line.starts_with([' ', '\t'])
                && let Some((_, values)) = fields.last_mut()
            {
                values.extend(said(line));
            } else if !line.trim().is_empty() {
                // What follows belongs to no field.
                fields.push(("", Vec::new()));
            }
        }
        Form(fields)
    }

    /// All that stands behind the first of these names that says something.
    fn all(&self, names: &[&str]) -> Vec<String> {
        let of = |name: &&str| {
            let fields = self.0.iter().filter(|(known, _)| known == name);
            let texts: Vec<String> = fields
                .flat_map(|(_, texts)| texts.iter().map(|text| (*text).to_owned()))
                .collect();
            (!texts.is_empty()).then_some(texts)
        };
        names.iter().find_map(of).unwrap_or_default()
    }

    fn one(&self, name: &str) -> Option<&'t str> {
        let mut fields = self.0.iter().filter(|(known, _)| *known == name);
        fields.find_map(|(_, texts)| texts.first().copied())
    }
}

/// A field at the beginning of a line: `- **Name**: text`, or the `Status: text` that is grepped for.
fn field(line: &str) -> Option<(&str, &str)> {
    let bold = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
    let bold = bold.unwrap_or(line);
    if let Some(rest) = bold.strip_prefix("**") {
        let (name, value) = rest.split_once("**")?;
        let name = name.strip_suffix(':').unwrap_or(name);
        return Some((name, value.strip_prefix(':').unwrap_or(value)));
    }
    let grepped = ["Status", "Duration", "Issues"];
    let (name, value) = line.split_once(':')?;
    grepped.contains(&name).then_some((name, value))
}

/// What a text says: nothing if it says that there is nothing, or is the form's own.
fn said(text: &str) -> Option<&str> {
    const NOTHING: [&str; 6] = ["", "none", "no", "n/a", "0", "nothing"];
    let text = text.trim().trim_start_matches(['-', '*']).trim();
    let plain = text.trim_end_matches('.').to_lowercase();
    let of_form = text.starts_with('[') && text.ends_with(']');
    (!of_form && !NOTHING.contains(&plain.as_str())).then_some(text)
}

/// A time of UTC as people write it: a day, with a time or without one, or what `date` prints.
fn when(text: &str) -> Option<Timestamp> {
    const DATE: [&str; 2] = ["%a %b %e %H:%M:%S %Z %Y", "%a %b %d %I:%M:%S %p %Z %Y"];
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let plain = text.strip_suffix("UTC").unwrap_or(text).trim();
    let civil = civil(plain).or_else(|| {
        let tm = DATE.iter().find_map(|form| {
            // Zones have no names that mean the same everywhere.
            let text = text.contains(" UTC ").then(|| text.replace(" UTC ", " "))?;
            strtime::parse(form.replace(" %Z", ""), text).ok()
        });
        tm?.to_datetime().ok()
    });
    civil?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

fn civil(text: &str) -> Option<DateTime> {
    const MINUTES: [&str; 2] = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let minutes = |form: &&str| DateTime::strptime(form, text).ok();
    let day = || Some(text.parse::<Date>().ok()?.to_datetime(time(0, 0, 0, 0)));
    let with_time = || text.replacen(' ', "T", 1).parse::<DateTime>().ok();
    MINUTES
        .iter()
        .find_map(minutes)
        .or_else(|| text.len().gt(&10).then(with_time).flatten())
        .or_else(day)
}

/// A time of the day, or one with its own day.
fn at(text: &str, day: Timestamp) -> Option<Timestamp> {
    let day = day.to_zoned(jiff::tz::TimeZone::UTC).date();
    when(text).or_else(|| when(&format!("{day} {text}")))
}

/// How long it lasted, in milliseconds: as it is said, or from the start to the end.
fn duration(form: &Form, start: Timestamp, end: Option<Timestamp>) -> Option<u64> {
    let told = form.one("Duration").and_then(span);
    let span = told.or_else(|| Some(end?.duration_since(start)));
    u64::try_from(span?.as_millis()).ok()
}

fn span(text: &str) -> Option<SignedDuration> {
    let clock: Vec<Option<i64>> = text
        .split(':')
        .map(|part| part.trim().parse().ok())
        .collect();
    match clock[..] {
        [Some(hours), Some(minutes), Some(seconds)] => {
            let seconds = hours.checked_mul(3600)? + minutes.checked_mul(60)? + seconds;
            return Some(SignedDuration::from_secs(seconds));
        }
        [Some(_), Some(_)] => return None,
        _ => {}
    }
    let plain = text.replace(" and ", " ");
    if let Ok(duration) = plain.parse::<SignedDuration>() {
        return Some(duration);
    }
    let span: Span = plain.parse().ok()?;
    SignedDuration::try_from(span).ok()
}

/// How it came out, or why that is unknown.
fn status(form: &Form) -> Result<Conclusion, String> {
    let text = form
        .one("Status")
        .ok_or("it has no line Status:, so how it came out is unknown")?;
    let known = match text.to_lowercase().as_str() {
        "passed" | "success" | "successful" => Some(Conclusion::Pass),
        "failed" | "failure" => Some(Conclusion::Fail),
        word => conclusion(word),
    };
    known.ok_or_else(|| {
        format!(
            "its status {text:?} is none of pass, fail, unknown, refused, aborted, NOT RESTORED"
        )
    })
}

fn targets(form: &Form) -> Vec<String> {
    let texts = form.all(&["Target"]);
    let parts = texts.iter().flat_map(|text| text.split(','));
    let mut targets: Vec<String> = parts.filter_map(said).map(str::to_owned).collect();
    targets.sort();
    targets.dedup();
    targets
}

/// What it says of lessons and next steps, as people's own words.
fn note(stem: &str, form: &Form, time: Time) -> Option<Record<Note>> {
    const LESSONS: [&str; 4] = ["Successes", "Failures", "Improvements", "Recommendations"];
    const STEPS: [&str; 3] = [
        "Follow-up Actions",
        "Process Improvements",
        "Documentation Updates",
    ];
    let lessons = LESSONS.iter().flat_map(|name| form.all(&[name]));
    let steps = STEPS.iter().flat_map(|name| form.all(&[name]));
    // The same text has the same id whenever it is read.
    let id = |text: &str| archive::digest(format!("{stem}\n{text}").as_bytes())[..32].to_owned();
    let to_do = |text: String| NextStep {
        id: id(&text),
        text,
        owner: None,
        due: None,
    };
    let note = Note {
        about: Some(stem.to_owned()),
        author: form.one("Executor").unwrap_or("unknown").to_owned(),
        lessons: lessons.collect(),
        next_steps: steps.map(to_do).collect(),
        ..Note::default()
    };
    let is_empty = note.lessons.is_empty() && note.next_steps.is_empty();
    (!is_empty).then(|| Record {
        schema: Note::KIND.schema(),
        id: id("the report itself"),
        run: stem.to_owned(),
        time,
        tool: "by hand".to_owned(),
        verdict: None,
        summary: "a report that was written by hand".to_owned(),
        data: note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "# Chaos Engineering Experiment Report\n\n\
        ## Experiment Details\n- **Name**: pod-failure\n- **Date**: 2026-11-22\n\
        - **Duration**: 5 minutes\n- **Target**: deployment/backend, deployment/frontend\n\
        - **Executor**: Ana\n\nStatus: pass\n\n## Experiment Execution\n\
        - **Start Time**: 16:00\n- **End Time**: 16:05\n- **Issues Encountered**:\n  - slow\n  - loud\n\
        - **Actions Taken**: [ACTIONS]\n\n## Lessons Learned\n- **Successes**: it came back\n\
        - **Failures**: none\n\n## Next Steps\n- **Follow-up Actions**: Raise the limit\n";

    fn of(text: &str) -> Result<Stream, NotRead> {
        read("2026/x.md", text).expect("a report")
    }

    fn facts(text: &str) -> Facts {
        let stream = of(text).expect("readable");
        stream.experiment.expect("an experiment").facts
    }

    #[test]
    fn the_runbooks_form_is_read() {
        let stream = of(FORM).expect("readable");
        assert_eq!((stream.run.as_str(), &stream.damage[..]), ("x", &[][..]));
        let note = &stream.notes[0].data;
        assert_eq!(note.lessons, ["it came back"]);
        assert_eq!(note.next_steps[0].text, "Raise the limit");
        let facts = facts(FORM);
        assert_eq!(facts.began.to_string(), "2026-11-22T16:00:00.000Z");
        assert_eq!(facts.duration_ms, Some(300_000));
        assert_eq!(facts.conclusion, Conclusion::Pass);
        let run = stream.experiment.as_ref().expect("an experiment");
        assert_eq!(run.issues, ["slow", "loud"]);
        assert_eq!(facts.targets, ["deployment/backend", "deployment/frontend"]);
        assert_eq!(
            (facts.name.as_str(), facts.executor.as_str()),
            ("pod-failure", "Ana")
        );
        assert_eq!(facts.recovery_ms(), None);
    }

    #[test]
    fn what_is_not_said_is_unknown_and_told() {
        let without = FORM.replace("Status: pass\n", "");
        let stream = of(&without).expect("readable");
        assert!(
            stream.damage[0].contains("no line Status:"),
            "{:?}",
            stream.damage
        );
        assert_eq!(facts(&without).conclusion, Conclusion::Unknown);
        let odd = FORM.replace("Status: pass", "Status: mostly fine");
        assert!(of(&odd).expect("readable").damage[0].contains("\"mostly fine\""));
        assert_eq!(facts(&odd).conclusion, Conclusion::Unknown);
        let timeless = FORM
            .replace("5 minutes", "a while")
            .replace("16:05", "[END_TIME]");
        assert_eq!(facts(&timeless).duration_ms, None);
        let from_end = FORM
            .replace("5 minutes", "[DURATION]")
            .replace("16:05", "16:07:30");
        assert_eq!(facts(&from_end).duration_ms, Some(450_000));
        let nameless = FORM.replace("pod-failure", "[EXPERIMENT_NAME]");
        assert_eq!(of(&nameless).err(), Some(NotRead::Missing("Name")));
        let never = FORM.replace("2026-11-22", "last week");
        assert_eq!(
            of(&never).err(),
            Some(NotRead::NoDate("last week".to_owned()))
        );
        let ours = format!("{FORM}\nMade from x.ndjson\n");
        assert_eq!(of(&ours).err(), Some(NotRead::NoStream));
        assert!(read("x.md", "# Chaos Engineering Monthly Report\n").is_none());
        assert!(read("x.md", "").is_none());
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let when = |text: &str| when(text).map(|it| it.to_string());
        for text in [
            "2026-11-22T16:00:00Z",
            "2026-11-22 16:00 UTC",
            "2026-11-22 16:00:00",
            "Sun Nov 22 16:00:00 UTC 2026",
            "2026-11-22T17:00:00+01:00",
        ] {
            assert_eq!(
                when(text).as_deref(),
                Some("2026-11-22T16:00:00Z"),
                "{text}"
            );
        }
        assert_eq!(when("Sun Nov 22 16:00:00 CET 2026"), None);
        let span = |text: &str| span(text).map(|it| it.as_secs());
        for text in [
            "90s",
            "1m 30s",
            "00:01:30",
            "1 minute and 30 seconds",
            "90 seconds",
        ] {
            assert_eq!(span(text), Some(90), "{text}");
        }
        assert_eq!(span("1:30"), None, "hours or minutes");
    }
}
