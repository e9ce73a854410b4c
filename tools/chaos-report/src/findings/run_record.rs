//! What a stream tells of a run, record by record.

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{
    Backup, Baseline, Check, Data, Event, EventKind, Experiment, Health, Kind, Notification,
    Outcome, Plan, Record, Status, Time, Verification,
};
use chaos_common::stream::{Records, Upstream};

/// The latest record of each kind that a report is made of.
pub(crate) struct RunRecord {
    pub(crate) run: String,
    /// Why the stream can't be trusted.
    pub(crate) broken: Option<String>,
    /// Records that could not be read, each with the reason.
    pub(crate) unreadable: Vec<String>,
    pub(crate) conclusion: Conclusion,
    pub(crate) health: Option<Record<Health>>,
    pub(crate) backup: Option<Record<Backup>>,
    pub(crate) baseline: Option<Record<Baseline>>,
    pub(crate) plan: Option<Record<Plan>>,
    pub(crate) experiment: Option<Record<Experiment>>,
    /// The verification after the experiment.
    pub(crate) verification: Option<Record<Verification>>,
    pub(crate) notifications: Vec<Record<Notification>>,
    pub(crate) events: Vec<Record<Event>>,
    /// How many experiments the stream holds. The report is on the last.
    pub(crate) experiments: usize,
    /// How many runs its records are of: more than one were mixed up.
    pub(crate) runs: usize,
}

impl RunRecord {
    pub(crate) fn of(upstream: &Upstream, run: &str) -> RunRecord {
        let mut record = RunRecord::read(upstream, run);
        record.runs = record.count_runs();
        record
    }

    fn read(upstream: &Upstream, run: &str) -> RunRecord {
        let mut unreadable = Vec::new();
        let experiment: Option<Record<Experiment>> = latest(upstream.records(), &mut unreadable);
        let ended = experiment.as_ref().map(|record| record.time);
        let verifications = upstream.records();
        let verifications = ended.map_or(verifications, |ended| verifications.since(ended));
        RunRecord {
            run: run.to_owned(),
            broken: upstream.broken.clone(),
            conclusion: Conclusion::of(upstream),
            health: latest(upstream.records(), &mut unreadable),
            backup: latest(upstream.records(), &mut unreadable),
            baseline: latest(upstream.records(), &mut unreadable),
            plan: latest(upstream.records(), &mut unreadable),
            experiment,
            verification: latest(verifications, &mut unreadable),
            notifications: upstream.all(),
            events: upstream.all(),
            experiments: upstream.all::<Experiment>().len(),
            runs: 0,
            unreadable,
        }
    }

    /// How many runs the records name.
    fn count_runs(&self) -> usize {
        let mut runs = std::collections::HashSet::new();
        macro_rules! add {
            ($($records:ident),*) => { $( runs.extend(self.$records.iter().map(|r| &r.run)); )* };
        }
        add!(
            health,
            backup,
            baseline,
            plan,
            experiment,
            verification,
            notifications,
            events
        );
        runs.len()
    }

    /// The experiment's own data, if there was one.
    pub(crate) fn experiment_data(&self) -> Option<&Experiment> {
        self.experiment.as_ref().map(|record| &record.data)
    }

    /// The experiment's name, from its record or its plan.
    pub(crate) fn name(&self) -> Option<&str> {
        let planned = self.plan.as_ref().map(|plan| plan.data.experiment.as_str());
        let run = self.experiment_data().map(|data| data.experiment.as_str());
        run.or(planned)
    }

    /// The longest time that a recovery may take by the plan, in milliseconds; `None` where the
    /// plan does not record it.
    pub(crate) fn recovery_limit_ms(&self) -> Option<u64> {
        let limits = self.plan.as_ref()?.data.limits.as_ref()?;
        Some(limits.recovery_ms)
    }

    /// When it began: the experiment, else the first record that there is.
    pub(crate) fn began(&self) -> Option<Time> {
        let first = [
            self.health.as_ref().map(|record| record.time),
            self.backup.as_ref().map(|record| record.time),
            self.baseline.as_ref().map(|record| record.time),
            self.events.first().map(|record| record.time),
            self.verification.as_ref().map(|record| record.time),
        ];
        let started = self.experiment_data().map(|data| data.started);
        started.or(first.into_iter().flatten().min())
    }

    /// The events of a sort, in order.
    pub(crate) fn events_of(&self, kind: EventKind) -> impl Iterator<Item = &Record<Event>> {
        let events = self.events.iter();
        events.filter(move |event| event.data.event == kind)
    }

    /// Every check in the stream, each behind the kind of its record.
    pub(crate) fn checks(&self) -> Vec<(Kind, &Check)> {
        fn of<D: Data>(record: &Record<D>) -> impl Iterator<Item = (Kind, &Check)> {
            record.data.checks().iter().map(|check| (D::KIND, check))
        }
        let mut checks = Vec::new();
        checks.extend(self.health.iter().flat_map(of));
        checks.extend(self.backup.iter().flat_map(of));
        checks.extend(self.baseline.iter().flat_map(of));
        checks.extend(self.plan.iter().flat_map(of));
        checks.extend(self.experiment.iter().flat_map(of));
        checks.extend(self.verification.iter().flat_map(of));
        checks.extend(self.notifications.iter().flat_map(of));
        checks
    }

    /// The checks of the experiment and of the verification after it.
    pub(crate) fn judged(&self) -> Vec<&Check> {
        let experiment = self.experiment.iter().flat_map(|r| r.data.checks());
        let verification = self.verification.iter().flat_map(|r| r.data.checks());
        experiment.chain(verification).collect()
    }

    /// Where a check of the stream stands: `check ID in the KIND record`.
    pub(crate) fn place(&self, check: &Check) -> String {
        let all = self.checks();
        let found = all.iter().find(|(_, one)| std::ptr::eq(*one, check));
        let kind = found.map_or("stream's", |(kind, _)| kind.name());
        format!("check {} in the {kind} record", check.id)
    }

    /// The judged checks that have this answer.
    pub(crate) fn judged_as(&self, status: Status) -> impl Iterator<Item = &Check> {
        let judged = self.judged().into_iter();
        judged.filter(move |check| check.status == status)
    }

    /// Whether the experiment wrote anything to the cluster.
    pub(crate) fn touched(&self) -> bool {
        self.experiment_data()
            .is_some_and(|data| data.outcome != Outcome::Refused)
    }

    /// What the experiment noted while it ran.
    pub(crate) fn noted(&self) -> &[String] {
        self.experiment_data().map_or(&[], |data| &data.issues)
    }

    /// What the experiment noted and neither a check nor a loss tells.
    pub(crate) fn untold(&self) -> Vec<String> {
        let judged = self.judged();
        let bad = judged.iter().filter(|check| check.status == Status::Fail);
        let mut messages: Vec<&str> = bad.map(|check| check.message.as_str()).collect();
        let losses = self.experiment_data().map_or(&[][..], |data| &data.losses);
        messages.extend(losses.iter().map(|loss| loss.message.as_str()));
        let told = |issue: &&String| messages.iter().any(|message| issue.contains(message));
        self.noted()
            .iter()
            .filter(|issue| !told(issue))
            .cloned()
            .collect()
    }

    /// What went wrong: the issues that the experiment noted, and the failed checks that none of
    /// them tells of.
    pub(crate) fn issues(&self) -> Vec<String> {
        let noted = self.experiment_data();
        let mut issues = noted.map_or_else(Vec::new, |data| data.issues.clone());
        // An issue may repeat a check's message with more around it. It is listed once then.
        let told = |check: &&Check| issues.iter().any(|issue| issue.contains(&check.message));
        let failed = self.judged_as(Status::Fail);
        let untold: Vec<String> = failed.filter(|c| !told(c)).map(describe).collect();
        issues.extend(untold);
        issues
    }
}

fn latest<D: Data>(records: Records<D>, unreadable: &mut Vec<String>) -> Option<Record<D>> {
    records.latest().unwrap_or_else(|error| {
        unreadable.push(error.to_string());
        None
    })
}

/// A check in words: what was asked of what, and the answer.
pub(crate) fn describe(check: &Check) -> String {
    match &check.object {
        Some(object) => format!("{} {object}: {}", check.id, check.message),
        None => format!("{}: {}", check.id, check.message),
    }
}
