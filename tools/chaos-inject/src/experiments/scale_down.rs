//! Scale down: a workload has to do with fewer pods for a while, and then gets back those that it
//! had. Nothing is expected to suffer: whether the rest carries the load is the question.

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::config::{AlertSelector, Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, EventKind, Plan};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::experiments::support::steady_state::{SteadyState, own_pods};
use crate::observe::Observations;
use crate::observe::pod_watch;
use crate::observe::pod_watch::{Pods, in_words, settled};
use crate::permissions::need;
use crate::plan::Draft;
use crate::plan::blast_radius;
use crate::plan::limits;
use crate::plan::losses::Holdings;
use crate::plan::storage;
use crate::plan::target::Selection;
use crate::plan::workload::Workload;
use crate::run::experiment::{Effect, Experiment, Injection, Recovery, RunningExperiment};

const NAME: &str = "scale-down";

/// `[experiment.scale_down]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The workload that has to do with fewer pods, as `deployment/NAME`, `statefulset/NAME` or, of a
    /// custom resource, `KIND.GROUP/NAME`, when no flag names one.
    pub workload: Option<String>,
    /// How many of its pods go.
    pub count: u32,
    /// How long they stay away.
    pub duration: Span,
    /// Longest time for them to be gone.
    pub stop_limit: Span,
    /// Longest time for all to be ready again.
    pub recovery_limit: Span,
    /// Alerts that must fire.
    pub alerts: Vec<AlertSelector>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workload: None,
            count: 1,
            duration: Span::seconds(60),
            stop_limit: Span::seconds(60),
            recovery_limit: Span::seconds(120),
            alerts: Vec::new(),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct ScaleDown {
    settings: Settings,
    workload: String,
    /// Pods that go, of those that it wants.
    takes: Takes,
}

/// It runs.
#[derive(Debug)]
struct Running {
    settings: Settings,
    workload: String,
    /// Ready pods that are left.
    left: usize,
    steady: SteadyState,
    /// Whether it still had no more pods than that when the time was over; not known before.
    held: Option<Held>,
}

#[derive(Debug)]
enum Held {
    /// It had no more pods.
    UpToTheEnd,
    /// Somebody works against the fault: these pods were there.
    Not(String),
}

#[derive(Clone, Copy, Debug)]
enum Takes {
    Pods(u32),
    Percent(u8),
}

impl Takes {
    /// Of so many replicas: a share is rounded down, but one at least goes.
    fn of(self, replicas: i64) -> i64 {
        match self {
            Takes::Pods(count) => i64::from(count),
            Takes::Percent(percent) => (replicas * i64::from(percent) / 100).max(1),
        }
    }
}

impl Definition for ScaleDown {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Let a workload do with fewer pods for a while";
    const FLAGS: &'static [Flag] = &[
        Flag::Workload,
        Flag::Count,
        Flag::Share,
        Flag::AllowOutage,
        Flag::MaxShare,
    ];
    type Settings = Settings;

    fn new(selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        let named = Selection {
            count: None,
            share: None,
            ..selection.clone()
        };
        let workload = named
            .one_workload()?
            .or_else(|| settings.workload.clone())
            .ok_or_else(|| {
                Failure::usage("nothing names the workload to scale down")
                    .hint("give --workload, or set experiment.scale_down.workload in chaos.toml")
            })?;
        let takes = match (selection.count, selection.share) {
            (Some(count), _) => Takes::Pods(count),
            (None, Some(percent)) => Takes::Percent(percent),
            (None, None) => Takes::Pods(settings.count),
        };
        Ok(ScaleDown {
            settings,
            workload,
            takes,
        })
    }
}

#[async_trait(?Send)]
impl Experiment for ScaleDown {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let (cluster, namespace) = (&context.cluster, &context.namespace);
        let target = Workload::read(context, namespace, &self.workload).await?;
        let takes = self.takes.of(target.replicas);
        let radius = target.radius(takes);
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(cluster.client.clone(), namespace);
        let of_workload = ListParams::default().labels(&target.selector);
        let of_workload = cluster
            .list(&pods, &of_workload, "list the pods of the workload")
            .await?;
        let what = format!("list poddisruptionbudgets in namespace {namespace}");
        let budgets = cluster.list(&budgets, &ListParams::default(), what).await?;
        let ready = pod_watch::count_ready(cluster, namespace).await?;
        // Which of them go is the controller's choice; to a budget they are alike.
        let own = of_workload
            .iter()
            .filter(|pod| target.family.workload_of(pod).as_ref() == Some(&target.which));
        let hit: Vec<&Pod> = own.take(radius.hit).collect();
        let mut checks = target.checks.clone();
        checks.extend(limits::blast_radius(
            std::slice::from_ref(&radius),
            ready,
            &context.config.limits,
            context.choice.allow_outage,
        ));
        checks.extend(limits::budgets(&blast_radius::budgets(&budgets, &hit)));
        let mut permissions = target.permissions.clone();
        permissions.push(need(namespace, "list", "policy", "poddisruptionbudgets"));
        let left = (target.replicas - takes).max(0);
        let draft = Draft {
            experiment: NAME,
            targets: vec![target.target()],
            changes: vec![target.scale_to(left)],
            holdings: Holdings::of_workload(context, &target, left).await,
            affected: limits::outages(std::slice::from_ref(&radius)),
            blast_radius: vec![radius],
            hold: self.settings.duration.0,
            recovery_limit: self.settings.recovery_limit.0,
            stop_limit: Some(self.settings.stop_limit.0),
            slack: std::time::Duration::ZERO,
            undo: format!("the replicas go back to {}", target.replicas),
            alerts: self.settings.alerts.clone(),
            permissions,
            checks,
            ..Draft::default()
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, context: &Context, plan: &Plan) -> Result<bool, ReadError> {
        let target = Workload::read(context, &context.namespace, &self.workload).await?;
        let outage = storage::outage_of_data(&context.config, plan);
        Ok(outage || !target.claims().is_empty())
    }

    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        let target = Workload::read(context, &context.namespace, &self.workload).await?;
        let left = target.replicas - self.takes.of(target.replicas);
        Ok(Box::new(Running {
            settings: self.settings.clone(),
            workload: self.workload.clone(),
            left: usize::try_from(left).unwrap_or(0),
            steady: SteadyState::watch(context, plan, std::slice::from_ref(&target)).await?,
            held: None,
        }))
    }
}

#[async_trait(?Send)]
impl RunningExperiment for Running {
    async fn prove_effect(&mut self, _context: &mut Context, injection: &Injection) -> Effect {
        let (began, left) = (injection.began, self.left);
        let limit = self.settings.stop_limit.0;
        let (workload, watch) = self.steady.first();
        let is_down = |pods: &Pods| settled(&own_pods(pods, workload), left);
        match watch.until(began + limit, is_down).await {
            Ok(_) => Effect::Proven(format!(
                "{workload} has {left} ready pods and no other after {} ms",
                began.elapsed().as_millis()
            )),
            Err(pods) => Effect::NotSeen(format!(
                "after {} s {workload} has not come down to {left} ready pods: {}",
                limit.as_secs(),
                in_words(&own_pods(&pods, workload))
            )),
        }
    }

    async fn before_rollback(&mut self, context: &mut Context, _injection: &Injection) {
        let (workload, watch) = self.steady.first();
        if let Some(why) = watch.broken() {
            let summary = format!("its pods can't be seen now: {why}");
            context.issue(EventKind::Observed, None, summary);
            return;
        }
        let pods = own_pods(&watch.now(), workload);
        // Fewer are the fault's own doing gone too far; more are somebody's who works against it.
        self.held = Some(if pods.len() > self.left {
            let pods = in_words(&pods);
            let summary = format!("it did not stay at {} pods: {pods}", self.left);
            context.issue(EventKind::Observed, None, summary);
            Held::Not(pods)
        } else {
            Held::UpToTheEnd
        });
    }

    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        _injection: &Injection,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        self.steady.wait(context, limit).await
    }

    async fn confirm_steady_state(
        &mut self,
        context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        self.steady.wait(context, limit).await
    }

    fn judge(
        &self,
        _context: &Context,
        _injection: &Injection,
        _seen: &Observations,
    ) -> Vec<Check> {
        let id = format!("{NAME}.held");
        let left = self.left;
        vec![match &self.held {
            Some(Held::UpToTheEnd) => Check::pass(
                &id,
                &self.workload,
                format!("had no more than {left} pods up to the end"),
            ),
            Some(Held::Not(pods)) => Check::unknown(
                &id,
                &self.workload,
                format!("did not stay at {left} pods: {pods}"),
            )
            .hint("an autoscaler or somebody else worked against the fault"),
            None => Check::unknown(&id, &self.workload, "was not seen up to the end"),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_one_at_least_goes() {
        assert_eq!(Takes::Percent(50).of(3), 1);
        assert_eq!(Takes::Percent(10).of(3), 1);
        assert_eq!(Takes::Percent(50).of(4), 2);
        assert_eq!(Takes::Pods(2).of(3), 2);
    }
}
