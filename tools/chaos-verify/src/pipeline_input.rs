//! What the stream tells of the time before the experiment, and whether it compares.

use chaos_common::record::{Baseline, Check, ClusterRef, Data, Experiment, Health, Record, Time};
use chaos_common::stream::Upstream;

const HINT: &str = "hand in the stream of a run: \
    chaos-health | chaos-verify baseline | chaos-inject … | chaos-verify";

/// By how much the clocks of the machines that the tools run on may differ, in milliseconds.
const CLOCKS_MS: i64 = 5_000;

/// The records from before, where the stream holds them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PipelineInput {
    health: Option<Record<Health>>,
    baseline: Option<Record<Baseline>>,
    pub(crate) experiments: Vec<Record<Experiment>>,
    /// Why a record can't be used, a check each.
    pub(crate) unusable: Vec<Check>,
}

impl PipelineInput {
    /// Picks the records from the stream.
    pub(crate) fn from_upstream(upstream: &Upstream) -> PipelineInput {
        let mut before = PipelineInput {
            experiments: upstream.all::<Experiment>(),
            ..PipelineInput::default()
        };
        let start = before.start();
        match pick::<Health>(upstream, start) {
            Ok(record) => before.health = Some(record),
            Err(check) => before.unusable.push(*check),
        }
        match pick::<Baseline>(upstream, start) {
            Ok(record) => before.baseline = Some(record),
            Err(check) => before.unusable.push(*check),
        }
        before.unusable.extend(before.clock(Time::now()));
        before
    }

    /// `stream.clock`: a record of before that is later than now. What follows from its time can't
    /// be trusted, such as from when on errors in logs count.
    fn clock(&self, now: Time) -> Option<Check> {
        let health = self.health.iter().map(|record| (Health::KIND, record.time));
        let baseline = self
            .baseline
            .iter()
            .map(|record| (Baseline::KIND, record.time));
        let experiments = self
            .experiments
            .iter()
            .map(|record| (Experiment::KIND, record.time.max(record.data.ended)));
        let (kind, time) = health
            .chain(baseline)
            .chain(experiments)
            .max_by_key(|(_, time)| *time)?;
        let ahead = time.since_ms(now);
        (ahead > CLOCKS_MS).then(|| {
            let message = format!(
                "the {} record is {} s from the future: a clock is wrong",
                kind.schema(),
                ahead / 1000
            );
            Check::unknown("stream.clock", "standard input", message).hint(
                "set the clocks of the machines that the tools run on; \
                 timedatectl shows whether they are synchronised",
            )
        })
    }

    /// The health before the experiment.
    pub(crate) fn health(&self) -> Option<&Health> {
        self.health.as_ref().map(|record| &record.data)
    }

    /// The same without the health before the experiment.
    pub(crate) fn without_health(self) -> PipelineInput {
        PipelineInput {
            health: None,
            ..self
        }
    }

    /// When the health before the experiment was looked at.
    pub(crate) fn health_time(&self) -> Option<Time> {
        self.health.as_ref().map(|record| record.time)
    }

    /// The baseline.
    pub(crate) fn baseline(&self) -> Option<&Baseline> {
        self.baseline.as_ref().map(|record| &record.data)
    }

    /// The run that the baseline was taken in.
    pub(crate) fn baseline_run(&self) -> Option<&str> {
        self.baseline.as_ref().map(|record| record.run.as_str())
    }

    /// When the first experiment began.
    pub(crate) fn start(&self) -> Option<Time> {
        self.experiments
            .iter()
            .map(|record| record.data.started)
            .min()
    }

    /// The time from which on errors in logs count: the start of the experiment, else the baseline.
    pub(crate) fn since(&self) -> Option<Time> {
        self.start()
            .or(self.baseline.as_ref().map(|record| record.time))
    }

    /// The same without the records of another cluster or namespace, and a check for each of those.
    pub(crate) fn of_cluster(mut self, cluster: &ClusterRef, namespace: &str) -> PipelineInput {
        if let Some(record) = &self.health {
            let elsewhere = elsewhere::<Health>(
                &record.data.cluster,
                &record.data.namespace,
                cluster,
                namespace,
            );
            if elsewhere.is_some() {
                self.health = None;
            }
            self.unusable.extend(elsewhere);
        }
        if let Some(record) = &self.baseline {
            let elsewhere = elsewhere::<Baseline>(
                &record.data.cluster,
                &record.data.namespace,
                cluster,
                namespace,
            );
            if elsewhere.is_some() {
                self.baseline = None;
            }
            self.unusable.extend(elsewhere);
        }
        self
    }
}

/// The last record of a kind from before the experiment; one made later says nothing of before.
fn pick<D: Data>(upstream: &Upstream, start: Option<Time>) -> Result<Record<D>, Box<Check>> {
    let (id, schema) = (id::<D>(), D::KIND.schema());
    if !upstream.present {
        let message = format!("no stream was handed in, so there is no {schema} record");
        return Err(Box::new(Check::unknown(&id, "", message).hint(HINT)));
    }
    let mut records = upstream.records::<D>();
    let mut which = "";
    if let Some(start) = start {
        records = records.until(start);
        which = " from before the experiment";
    }
    let unknown = |message: String| Check::unknown(&id, "standard input", message);
    match records.latest() {
        Ok(Some(record)) => Ok(record),
        Ok(None) => {
            let message = format!("the stream holds no {schema} record{which}");
            Err(Box::new(unknown(message).hint(HINT)))
        }
        Err(why) => Err(Box::new(unknown(why.to_string()))),
    }
}

fn elsewhere<D: Data>(
    was: &ClusterRef,
    was_namespace: &str,
    is: &ClusterRef,
    namespace: &str,
) -> Option<Check> {
    let why = if was.id != is.id {
        format!(
            "is of the cluster {} ({}), and this one is {} ({})",
            was.id, was.server, is.id, is.server
        )
    } else if was_namespace != namespace {
        format!("is of namespace {was_namespace}, and this one is {namespace}")
    } else {
        return None;
    };
    let check = Check::unknown(
        &id::<D>(),
        "standard input",
        format!("the {} record {why}", D::KIND.schema()),
    );
    Some(check.hint("look at the same cluster and namespace as before the experiment"))
}

fn id<D: Data>() -> String {
    D::KIND.name().replace("chaos.", "stream.")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use chaos_common::record::{SystemState, Verdict};

    /// A cluster with an id.
    pub(crate) fn cluster(id: &str) -> ClusterRef {
        ClusterRef {
            id: id.to_owned(),
            context: None,
            server: "https://there".to_owned(),
        }
    }

    /// A baseline that holds nothing.
    pub(crate) fn baseline() -> Baseline {
        Baseline {
            cluster: cluster("a"),
            namespace: "shop".to_owned(),
            checks: Vec::new(),
            database: None,
            configuration: Vec::new(),
            answers: Vec::new(),
            timings: Vec::new(),
            usage: Vec::new(),
        }
    }

    /// A health record that holds nothing.
    pub(crate) fn health() -> Health {
        let (cluster, namespace) = (cluster("a"), "shop".to_owned());
        Health {
            cluster,
            namespace,
            checks: Vec::new(),
            state: SystemState::default(),
            also: Vec::new(),
        }
    }

    fn record<D: Data>(data: D) -> Record<D> {
        Record {
            schema: D::KIND.schema(),
            id: "1".to_owned(),
            run: "r".to_owned(),
            time: Time::now(),
            tool: "t 1".to_owned(),
            verdict: Some(Verdict::Pass),
            summary: String::new(),
            data,
        }
    }

    fn complete() -> PipelineInput {
        PipelineInput {
            health: Some(record(health())),
            baseline: Some(record(baseline())),
            ..PipelineInput::default()
        }
    }

    #[test]
    fn records_of_this_place_are_kept() {
        let before = complete().of_cluster(&cluster("a"), "shop");
        assert!(before.health.is_some() && before.baseline.is_some());
        assert_eq!(before.unusable, []);
    }

    #[test]
    fn records_of_another_cluster_or_namespace_are_not_compared() {
        for before in [
            complete().of_cluster(&cluster("b"), "shop"),
            complete().of_cluster(&cluster("a"), "other"),
        ] {
            assert!(before.health.is_none() && before.baseline.is_none());
            let ids: Vec<_> = before
                .unusable
                .iter()
                .map(|check| check.id.as_str())
                .collect();
            assert_eq!(ids, ["stream.health", "stream.baseline"]);
        }
    }

    #[test]
    fn a_record_from_the_future_is_told() {
        let now = |ms: i64| Time(jiff::Timestamp::now() + jiff::SignedDuration::from_millis(ms));
        assert_eq!(complete().clock(now(0)), None);
        let check = complete().clock(now(-60_000)).expect("it is told");
        assert!(
            check.status == chaos_common::record::Status::Unknown
                && check.message.contains("from the future")
        );
    }

    #[test]
    fn without_a_stream_both_records_are_unusable_with_a_hint() {
        let before = PipelineInput::from_upstream(&Upstream::default());
        assert_eq!(before.unusable.len(), 2);
        assert!(before.unusable.iter().all(|check| check.hint.is_some()));
        assert_eq!(before.since(), None);
    }

    /// A time of day.
    fn at(time: &str) -> Time {
        Time(format!("2026-11-22T{time}Z").parse().expect("a time"))
    }

    fn made<D: Data>(id: &str, time: &str, data: D) -> String {
        let record = Record {
            id: id.to_owned(),
            time: at(time),
            ..record(data)
        };
        serde_json::to_string(&record).expect("a record is JSON") + "\n"
    }

    /// One that begins at 10:01 and is recorded at 10:03.
    fn experiment() -> String {
        let experiment = serde_json::from_value(serde_json::json!({
            "experiment": "pod-failure", "outcome": "completed", "namespace": "shop",
            "executor": "e", "targets": [], "started": at("10:01:00"), "ended": at("10:03:00"),
            "duration_ms": 120_000, "checks": [], "recoveries": [], "availability": [],
            "actions": [], "issues": [],
        }));
        let experiment: Experiment = experiment.expect("an experiment");
        made("experiment", "10:03:00", experiment)
    }

    fn read(lines: &[String]) -> PipelineInput {
        let upstream = Upstream::from_reader(lines.concat().as_bytes());
        PipelineInput::from_upstream(&upstream.expect("it is in memory"))
    }

    #[test]
    fn of_several_records_the_last_from_before_the_experiment_counts() {
        let input = read(&[
            made("h1", "10:00:00", health()),
            made("b1", "10:00:10", baseline()),
            made("h2", "10:00:20", health()),
            made("b2", "10:00:30", baseline()),
            experiment(),
            made("h3", "10:01:01", health()),
            made("b3", "10:04:00", baseline()),
        ]);
        let id = |id: &str| Some(id.to_owned());
        assert_eq!(input.health.map(|record| record.id), id("h2"));
        assert_eq!(input.baseline.map(|record| record.id), id("b2"));
        assert_eq!(input.unusable, []);
    }

    #[test]
    fn records_made_after_the_start_of_the_experiment_are_not_from_before() {
        let input = read(&[
            made("h", "10:01:01", health()),
            experiment(),
            made("b", "10:04:00", baseline()),
        ]);
        assert!(input.health().is_none() && input.baseline().is_none());
        assert_eq!(input.unusable.len(), 2, "{:?}", input.unusable);
        for check in &input.unusable {
            let message = &check.message;
            assert!(
                message.contains("record from before the experiment"),
                "{message}"
            );
        }
        // Errors in logs count from the start all the same.
        assert_eq!(input.since(), Some(at("10:01:00")));
    }
}
