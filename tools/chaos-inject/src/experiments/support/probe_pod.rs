//! Traffic from a peer pod: only where the fault can touch it does traffic prove the fault. curl asks
//! a Service at a fixed rate and tells of each answer as it comes; these lines, and what they say.

use std::time::Duration;

use tokio::time::Instant;

/// Questions a second.
const RATE: u64 = 5;
/// So many answers of one sort in a row are no accident.
pub const ENOUGH: usize = 3;

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When curl printed it.
    pub at: Instant,
    /// It was a good answer.
    pub good: bool,
    /// No connection was opened for it: it went, or was to go, over one that was there.
    pub kept: bool,
    /// Which curl asked: they are numbered as they follow each other.
    pub session: u32,
}

/// What is asked, and how.
#[derive(Clone, Debug)]
pub struct ProbeCommand {
    /// Where it leads, for people.
    pub url: String,
    /// The command, program first.
    pub command: Vec<String>,
    /// The status of a good answer; any below 400 if absent.
    pub status: Option<u16>,
}

/// What curl is told in every case. Whose certificate it is does not matter to whether it can be
/// reached.
const QUIETLY: [&str; 7] = [
    "curl",
    "--silent",
    "--show-error",
    "--insecure",
    "--output",
    "/dev/null",
    "--max-time",
];

impl ProbeCommand {
    /// Over one kept connection. It ends by itself after `most`.
    pub fn kept(url: &str, most: Duration) -> ProbeCommand {
        let and = if url.contains('?') { '&' } else { '?' };
        let words = [
            "1",
            "--rate",
            &format!("{RATE}/s"),
            // To stderr, which is not buffered.
            "--write-out",
            "%{stderr}answer %{http_code} %{num_connects}\\n",
            &format!(
                "{url}{and}chaos-runbook=[1-{}]",
                (most.as_secs() + 1) * RATE
            ),
        ];
        ProbeCommand {
            url: url.to_owned(),
            command: QUIETLY
                .into_iter()
                .chain(words)
                .map(str::to_owned)
                .collect(),
            status: None,
        }
    }

    /// Anew each time, so that the name in the URL is looked up each time; with `address`, it is
    /// not looked up at all. It ends by itself after `most`.
    pub fn anew(url: &str, address: Option<&str>, most: Duration) -> ProbeCommand {
        let script = format!(
            "end=$(($(date +%s)+$2)); while [ \"$(date +%s)\" -lt $end ]; do \
             {} 1 --write-out '%{{stderr}}answer %{{http_code}} %{{num_connects}}\\n' \
             ${{3:+--resolve \"$3\"}} \"$1\"; sleep 0.2; done",
            QUIETLY.join(" ")
        );
        let name = url.split_once("://").map_or(url, |(_, rest)| rest);
        let name = name.split('/').next().unwrap_or_default();
        // What curl shall not look up: NAME:PORT:ADDRESS.
        let known = address
            .map(|address| format!("{name}:{address}"))
            .unwrap_or_default();
        let seconds = most.as_secs().to_string();
        let words = ["sh", "-c", &script, "sh", url, &seconds, &known];
        let url = address.map_or_else(|| url.to_owned(), |address| format!("{url} at {address}"));
        ProbeCommand {
            url,
            command: words.map(str::to_owned).to_vec(),
            status: None,
        }
    }

    /// The status that a good answer has, where one is configured.
    #[must_use]
    pub fn expecting(self, status: Option<u16>) -> ProbeCommand {
        ProbeCommand { status, ..self }
    }

    /// Understands a line of curl's: whether the answer is good, and whether no connection was
    /// opened for it.
    pub fn parse(&self, line: &str) -> Option<(bool, bool)> {
        let (status, connects) = line.strip_prefix("answer ")?.split_once(' ')?;
        let status: u16 = status.parse().ok()?;
        let good = self
            .status
            .map_or((1..400).contains(&status), |expected| expected == status);
        Some((good, connects.trim() == "0"))
    }
}

/// The longest time between two answers since a moment where one curl followed another: nobody
/// looked meanwhile.
pub fn longest_gap(samples: &[Sample], since: Instant) -> Option<Duration> {
    let follows = samples
        .windows(2)
        .filter(|two| two[0].session != two[1].session);
    let gaps = follows.filter(|two| two[1].at >= since);
    gaps.map(|two| two[1].at.duration_since(two[0].at.max(since)))
        .max()
}

/// When the latest unbroken row of good (or bad) answers since a moment began, if it is long
/// enough.
pub fn latest(samples: &[Sample], since: Instant, good: bool) -> Option<Instant> {
    let row: Vec<&Sample> = samples
        .iter()
        .rev()
        .take_while(|sample| sample.at >= since && sample.good == good)
        .collect();
    (row.len() >= ENOUGH)
        .then(|| row.last().map(|first| first.at))
        .flatten()
}

/// What traffic says of a partition.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteState {
    /// The route is cut and the control route is open. `established`: whether a connection that was
    /// open before was cut, too; nothing if there was none.
    Proven {
        /// When the first question failed.
        at: Instant,
        /// See above.
        established: Option<bool>,
    },
    /// The peer does not reach the control route either: nothing is known.
    Blind,
    /// The answers still come.
    Open,
    /// Too few answers yet.
    NotYet,
}

/// Judges a route and a control route since a moment.
pub fn judge(route: &[Sample], control: &[Sample], since: Instant) -> RouteState {
    let Some(at) = latest(route, since, false) else {
        return if latest(route, since, true).is_some() {
            RouteState::Open
        } else {
            RouteState::NotYet
        };
    };
    let beside: Vec<&Sample> = control.iter().filter(|sample| sample.at >= at).collect();
    if beside.iter().any(|sample| !sample.good) {
        return RouteState::Blind;
    }
    if beside.len() < ENOUGH {
        return RouteState::NotYet;
    }
    let before = route
        .iter()
        .rev()
        .find(|sample| sample.at < at && sample.good);
    let first = route.iter().find(|sample| sample.at == at);
    let established = before.zip(first).map(|(before, first)| {
        // A new curl has no connection from before.
        first.kept && before.session == first.session
    });
    RouteState::Proven { at, established }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A letter each 200 ms: + and - are answers over a kept connection, p and m over a new one.
    fn samples(start: Instant, text: &str) -> Vec<Sample> {
        let one = |(n, c)| Sample {
            at: start + Duration::from_millis(200) * n,
            good: matches!(c, '+' | 'p'),
            kept: matches!(c, '+' | '-'),
            session: 0,
        };
        (0..).zip(text.chars()).map(one).collect()
    }

    #[test]
    fn a_cut_is_proven_by_silence_beside_an_open_control_route() {
        let start = Instant::now();
        let since = start + Duration::from_millis(900);
        let judged = |route: &str, control: &str| {
            judge(&samples(start, route), &samples(start, control), since)
        };
        let at = start + Duration::from_secs(1);
        assert_eq!(
            judged("p++++-mmm", "p++++++++"),
            RouteState::Proven {
                at,
                established: Some(true)
            }
        );
        assert_eq!(
            judged("p++++mmmm", "p++++++++"),
            RouteState::Proven {
                at,
                established: Some(false)
            }
        );
        assert_eq!(judged("p++++-mmm", "p++++-mmm"), RouteState::Blind);
        assert_eq!(judged("p++++++++", "p++++++++"), RouteState::Open);
        assert_eq!(judged("p++++-m", "p++++++"), RouteState::NotYet);
        assert_eq!(judged("p++++-mmm", "p++++"), RouteState::NotYet);
        assert_eq!(judged("p++++-mmp++", "p++++++++++"), RouteState::Open);
        // Failures from before the fault prove nothing.
        assert_eq!(judged("mmmmm", "p++++"), RouteState::NotYet);
    }

    #[test]
    fn curl_is_understood() {
        let asking = ProbeCommand::kept("http://s:1/h", Duration::from_secs(9));
        assert_eq!(asking.parse("answer 200 0"), Some((true, true)));
        assert_eq!(asking.parse("answer 000 1"), Some((false, false)));
        assert_eq!(asking.parse("answer 503 0"), Some((false, true)));
        assert_eq!(asking.parse("curl: option --rate: is unknown"), None);
        let last = asking.command.last().expect("a URL");
        assert!(last.ends_with("/h?chaos-runbook=[1-50]"), "{last}");
        let asking = asking.expecting(Some(401));
        assert_eq!(asking.parse("answer 401 0"), Some((true, true)));
        assert_eq!(asking.parse("answer 200 0"), Some((false, true)));
    }

    #[test]
    fn a_name_is_told_from_its_address_whatever_the_scheme() {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://s.prod:1/h");
            let asking = ProbeCommand::anew(&url, Some("10.96.0.7"), Duration::from_secs(9));
            assert_eq!(asking.command[5..], ["9", "s.prod:1:10.96.0.7"]);
        }
    }

    #[test]
    fn the_time_in_which_nobody_looked_is_known() {
        let start = Instant::now();
        let mut samples = samples(start, "p++++++");
        assert_eq!(longest_gap(&samples, start), None);
        for (sample, later) in samples.iter_mut().skip(3).zip(0..) {
            sample.session = 1;
            sample.at = start + Duration::from_secs(7 + later);
        }
        let gap = longest_gap(&samples, start).expect("two curls");
        assert_eq!(gap, Duration::from_millis(6600));
        let since = start + Duration::from_secs(5);
        let gap = longest_gap(&samples, since).expect("two curls");
        assert_eq!(gap, Duration::from_secs(2));
    }
}
