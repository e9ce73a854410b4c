//! While the workload has no pods: its pods, its volumes and, where it is the configured database,
//! its data are observed.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chaos_common::record::{Check, EventKind, Plan};
use tokio::time::Instant;

use super::data::{Data, Writing};
use super::volumes::{self, Volume};
use super::{NAME, Settings, StorageFailure};
use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::support::database_writer::Database;
use crate::experiments::support::steady_state::{SteadyState, own_pods};
use crate::observe::Observations;
use crate::observe::pod_watch::{Pods, in_words};
use crate::plan::workload::Workload;
use crate::run::experiment::{Effect, Injection, Recovery, RunningExperiment};

/// It runs.
#[derive(Debug)]
pub(super) struct Running {
    settings: Settings,
    workload: String,
    steady: SteadyState,
    claims: BTreeSet<String>,
    /// Where the workload is the configured database.
    data: Option<Data>,
    /// When its pods were seen to be gone.
    gone: Option<Instant>,
    /// The claims' and volumes' phases: before, while it is gone, afterwards.
    phases: Vec<(&'static str, anyhow::Result<Vec<Volume>>)>,
}

impl Running {
    /// Observes the workload, its volumes and, where it is the configured database, its data.
    pub(super) async fn start(
        context: &mut Context,
        plan: &Plan,
        (experiment, database): (&StorageFailure, Option<Database>),
    ) -> anyhow::Result<Running> {
        let target = Workload::read(context, &context.namespace, &experiment.workload).await?;
        let mut running = Running {
            settings: experiment.settings.clone(),
            workload: experiment.workload.clone(),
            steady: SteadyState::watch(context, plan, std::slice::from_ref(&target)).await?,
            claims: target.claims(),
            data: None,
            gone: None,
            phases: Vec::new(),
        };
        running.look_at_volumes(context, "before").await;
        if let (Some(database), Some(settings)) = (database, &context.config.database) {
            running.data = Some(Data::start(context, database, settings).await?);
        }
        Ok(running)
    }

    async fn look_at_volumes(&mut self, context: &mut Context, when: &'static str) {
        let found = volumes::read(context, &self.claims).await;
        match &found {
            Ok(volumes) => context.event(
                EventKind::Observed,
                None,
                format!("{when}: {}", volumes::describe(volumes)),
            ),
            Err(why) => context.issue(EventKind::Observed, None, format!("{when}: {why}")),
        }
        self.phases.push((when, found));
    }
}

#[async_trait(?Send)]
impl RunningExperiment for Running {
    async fn prove_effect(&mut self, context: &mut Context, injection: &Injection) -> Effect {
        let began = injection.began;
        let limit = self.settings.stop_limit.0;
        let (workload, watch) = self.steady.first();
        let workload = workload.clone();
        let is_gone = |pods: &Pods| own_pods(pods, &workload).is_empty();
        if let Err(pods) = watch.until(began + limit, is_gone).await {
            return Effect::NotSeen(format!(
                "after {} s the pods of {workload} are not gone: {}",
                limit.as_secs(),
                in_words(&own_pods(&pods, &workload))
            ));
        }
        self.gone = Some(Instant::now());
        let after = began.elapsed().as_millis();
        self.look_at_volumes(context, "while no pod has it mounted")
            .await;
        Effect::Proven(format!(
            "{workload} has no pod any more after {after} ms, and its storage is unmounted"
        ))
    }

    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        _injection: &Injection,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        let recovery = self.steady.wait(context, limit).await;
        if let (Recovery::SteadyState, Some(data)) = (&recovery, &mut self.data) {
            data.stop_writer(context).await;
            self.look_at_volumes(context, "afterwards").await;
        }
        recovery
    }

    async fn confirm_steady_state(
        &mut self,
        context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        self.steady.wait(context, limit).await
    }

    fn judge(&self, _context: &Context, injection: &Injection, _seen: &Observations) -> Vec<Check> {
        let id = |what: &str| format!("{NAME}.{what}");
        let mut checks = Vec::new();
        if let Some(gone) = self.gone {
            let (limit, after) = (self.settings.stop_limit, gone - injection.began);
            checks.push(Check::judge(
                after <= limit.0,
                &id("unmounted"),
                &self.workload,
                format!(
                    "its pods were gone after {} ms; limit {limit}",
                    after.as_millis()
                ),
            ));
        }
        for (when, found) in &self.phases {
            let object = format!("persistentvolumeclaims {when}");
            checks.push(match found {
                Ok(volumes) => Check::judge(
                    volumes.iter().all(|volume| volume.phase == "Bound"),
                    &id("volumes"),
                    object,
                    volumes::describe(volumes),
                ),
                Err(why) => Check::unknown(&id("volumes"), object, why.to_string()),
            });
        }
        match self.data.as_ref().map(Data::writing) {
            Some(Writing::Stopped(written, compared)) => {
                checks.extend(compared.iter().cloned());
                checks.extend(written.judge(self.gone));
            }
            Some(Writing::Running(_) | Writing::Stopping) => checks.push(Check::unknown(
                &id("writes"),
                "database",
                "what became of the writes was not asked: the database did not come back",
            )),
            None => checks.push(Check::skipped(
                &id("writes"),
                "",
                "the workload is not the configured database: nothing was written, \
                 and nothing is known of its data",
            )),
        }
        checks
    }
}
