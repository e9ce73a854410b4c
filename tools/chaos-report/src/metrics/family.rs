//! Metrics as text.

use std::fmt::Write as _;

use chaos_common::record::Time;

/// The names and values that tell one sample from another.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A metric and its samples.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    /// Each with its labels, as text.
    samples: Vec<(String, f64)>,
}

impl Family {
    /// A metric of these samples.
    pub(super) fn of(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> Family {
        let samples = samples.into_iter();
        Family {
            name,
            help,
            samples: samples
                .map(|(labels, value)| (shown(&labels), value))
                .collect(),
        }
    }

    /// With the samples of an earlier text that this one has none for.
    pub(super) fn carrying(mut self, before: &str) -> Family {
        let earlier = before.lines().filter_map(|line| {
            let (labels, value) = line.strip_prefix(self.name)?.rsplit_once(' ')?;
            let value: f64 = value.parse().ok()?;
            let labelled = labels.is_empty() || labels.starts_with('{');
            (labelled && value.is_finite()).then(|| (labels.to_owned(), value))
        });
        let known = |labels: &str| self.samples.iter().any(|(it, _)| it == labels);
        let earlier: Vec<_> = earlier.filter(|(labels, _)| !known(labels)).collect();
        self.samples.extend(earlier);
        self
    }
}

/// The text of metrics. A metric without a sample is left out.
pub(super) fn text(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        write(&mut out, family);
    }
    out.push_str("# EOF\n");
    out
}

fn write(out: &mut String, family: &Family) {
    let Family {
        name,
        help,
        samples,
    } = family;
    if samples.is_empty() {
        return;
    }
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in samples {
        let _ = writeln!(out, "{name}{labels} {value}");
    }
}

fn shown(labels: &Labels) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
        .collect();
    match labels.as_slice() {
        [] => String::new(),
        labels => format!("{{{}}}", labels.join(",")),
    }
}

/// A label's value, as both text forms want it.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this millennium"
)]
pub(super) fn seconds(time: Time) -> f64 {
    time.0.as_millisecond() as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of runs")]
pub(super) fn float(number: usize) -> f64 {
    number as f64
}
