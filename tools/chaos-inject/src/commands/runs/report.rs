//! What the commands that see and stop runs find, and the record that they write.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chaos_common::cluster::ReadError;
use chaos_common::config::Config;
use chaos_common::exit::Exit;
use chaos_common::record::{Check, HeldRun, Rollback, RollbackCause, Status, Verdict, summarize};

use crate::context::Context;
use crate::run::record::executor;
use crate::safety::active_runs::{self, ActiveRuns};
use crate::safety::intent::Intent;
use crate::safety::leftovers::Leftovers;

/// The namespaces that runs may hold something in: the configuration's and the flag's.
pub fn namespaces(context: &Context) -> Vec<String> {
    let Config {
        application,
        limits,
        monitoring,
        ..
    } = &context.config;
    let all: BTreeSet<String> = [context.namespace.clone()]
        .into_iter()
        .chain(application.namespace.clone())
        .chain(limits.namespaces.iter().flatten().cloned())
        .chain(
            monitoring
                .as_ref()
                .map(|monitoring| monitoring.namespace.clone())
                .filter(|namespace| !namespace.is_empty()),
        )
        .collect();
    all.into_iter().collect()
}

/// A command's record while it is being made.
pub(super) struct Report {
    pub(super) cause: RollbackCause,
    pub(super) namespaces: Vec<String>,
    pub(super) reason: Option<String>,
    pub(super) found: ActiveRuns,
    /// What no Lease tells of.
    pub(super) leftovers: Leftovers,
    pub(super) runs: Vec<HeldRun>,
    pub(super) checks: Vec<Check>,
}

impl Report {
    /// Lists the runs that have Leases.
    pub(super) async fn begin(
        context: &Context,
        cause: RollbackCause,
        reason: Option<String>,
    ) -> Result<Report, ReadError> {
        let namespaces = namespaces(context);
        let found = ActiveRuns::list(&context.cluster, &namespaces).await?;
        let runs = found.to_record(|_| None);
        Ok(Report {
            cause,
            namespaces,
            reason,
            found,
            leftovers: Leftovers::default(),
            runs,
            checks: Vec::new(),
        })
    }

    /// All runs: also those whose Leases are gone.
    pub(super) async fn with_all(
        context: &Context,
        cause: RollbackCause,
    ) -> Result<Report, ReadError> {
        let report = Report::with_living(context, cause).await?;
        report.with_leftovers(context).await
    }

    /// Looks also for what runs left whose Leases are gone.
    pub(super) async fn with_leftovers(mut self, context: &Context) -> Result<Report, ReadError> {
        let (cluster, namespaces) = (&context.cluster, &self.namespaces);
        let journals = context.journals.as_ref().ok().map(PathBuf::as_path);
        let mut known: BTreeSet<String> = self.runs.iter().map(|run| run.run.clone()).collect();
        let mut found = Leftovers::find(cluster, namespaces, journals, &known).await;
        if !found.runs().is_empty() {
            // A run that began or ended between two looks has its Lease at one of them, or nothing.
            known.extend(
                ActiveRuns::list(cluster, namespaces)
                    .await?
                    .runs()
                    .into_keys(),
            );
            let again = Leftovers::find(cluster, namespaces, journals, &known).await;
            found = again.only(&found.runs());
        }
        for run in found.runs() {
            let intent = found.intent(&run);
            self.runs.push(HeldRun {
                experiment: intent
                    .as_ref()
                    .map_or_else(String::new, |one| one.experiment.clone()),
                executor: intent
                    .as_ref()
                    .map_or_else(String::new, |one| one.executor.clone()),
                since: None,
                alive: None,
                changes: intent.map_or_else(Vec::new, |one| one.changes),
                undone: false,
                run,
            });
        }
        self.leftovers = found;
        Ok(self)
    }

    /// Warns of what may not be listed, which is no sign of something left.
    pub(super) fn warn_of_unseen(&mut self) {
        let unseen = self.leftovers.unseen.iter();
        self.checks.extend(unseen.map(|error| Check {
            status: Status::Warn,
            ..error.check("runs.objects", "")
        }));
    }

    /// What a run is undone by: its Lease, else its journal or its labels.
    pub(super) fn intent(&self, run: &str) -> Option<Intent> {
        let of_lease = self.found.runs().remove(run).and_then(|found| found.intent);
        of_lease.or_else(|| self.leftovers.intent(run))
    }

    /// Whether no Lease tells of a run.
    pub(super) fn without_lease(&self, run: &str) -> bool {
        !self.found.runs().contains_key(run)
    }

    /// As [`Report::begin`], and tells which of the runs live.
    pub(super) async fn with_living(
        context: &Context,
        cause: RollbackCause,
    ) -> Result<Report, ReadError> {
        let mut report = Report::begin(context, cause, None).await?;
        if !report.runs.is_empty() {
            let living =
                active_runs::alive(&context.cluster, &report.namespaces, &report.found).await?;
            for run in &mut report.runs {
                run.alive = Some(living.contains(&run.run));
            }
        }
        Ok(report)
    }

    /// Writes the record.
    pub(super) async fn end(self, context: &mut Context, exit: Option<Exit>) -> Exit {
        let locks = match ActiveRuns::list(&context.cluster, &self.namespaces).await {
            Ok(found) => found.locks(),
            Err(_) => self.found.locks(),
        };
        let verdict = Verdict::of(&self.checks);
        let summary = match (
            self.checks.len(),
            self.checks.iter().find(|check| check.is_bad()),
        ) {
            (_, Some(bad)) => format!(
                "{} {}",
                bad.object.as_deref().unwrap_or(&bad.id),
                bad.message
            ),
            (0 | 1, None) => self
                .checks
                .first()
                .map(|check| check.message.clone())
                .unwrap_or_default(),
            _ => summarize(&self.checks),
        };
        let record = Rollback {
            cause: self.cause,
            cluster: context.cluster.identity().await.ok(),
            namespaces: self.namespaces,
            executor: executor(),
            reason: self.reason,
            dry_run: false,
            runs: self.runs,
            locks,
            checks: self.checks,
            actions: std::mem::take(&mut context.actions),
            issues: std::mem::take(&mut context.issues),
        };
        context
            .stream
            .result(verdict, summary, record, exit.unwrap_or(verdict.into()))
    }
}

/// The record of a command that could not list the runs.
pub(super) fn cannot(context: &mut Context, cause: RollbackCause, error: &ReadError) -> Exit {
    let record = Rollback {
        cause,
        cluster: None,
        namespaces: namespaces(context),
        executor: executor(),
        reason: None,
        dry_run: false,
        runs: Vec::new(),
        locks: Vec::new(),
        checks: vec![error.check("runs.readable", "")],
        actions: Vec::new(),
        issues: Vec::new(),
    };
    context
        .stream
        .result(Verdict::Unknown, error.to_string(), record, Exit::Unknown)
}
