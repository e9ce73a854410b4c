//! Monitoring failure: Prometheus, Grafana and Alertmanager go to no pods at all and back. While
//! they are blind the application is measured directly; afterwards the collection of data has to go
//! on, and the rules have to be those of before.

mod logs;
mod prometheus;
mod running;

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::probe::Endpoint;
use chaos_common::cluster::rights::to_ask;
use chaos_common::config::{Config, Monitoring, MonitoringSystem, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, Plan, PodSource};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Duration;

use self::running::Running;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::permissions::need;
use crate::plan::Draft;
use crate::plan::losses::Holdings;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::run::experiment::{Experiment, RunningExperiment};

const NAME: &str = "monitoring-failure";

/// `[experiment.monitoring_failure]`: the systems of `[monitoring]` go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long monitoring is blind.
    pub duration: Span,
    /// Longest time for its pods to be gone.
    pub stop_limit: Span,
    /// Longest time for it to be ready and collecting again.
    pub recovery_limit: Span,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            duration: Span::seconds(30),
            stop_limit: Span::seconds(60),
            recovery_limit: Span::seconds(120),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct MonitoringFailure {
    settings: Settings,
    monitoring: Monitoring,
}

/// The systems that can be taken away: what runs them is a workload of the cluster, and named.
fn systems(monitoring: &Monitoring) -> Vec<(&PodSource, &MonitoringSystem)> {
    let systems = monitoring.systems().map(|(_, system)| system);
    systems
        .filter_map(|system| Some((system.workload.as_ref()?, system)))
        .filter(|(named, _)| !matches!(named, PodSource::Labels(_)))
        .collect()
}

impl Definition for MonitoringFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Take Prometheus, Grafana and Alertmanager away";
    const FLAGS: &'static [Flag] = &[Flag::MaxShare];
    type Settings = Settings;

    fn new(_selection: &Selection, settings: Settings, config: &Config) -> Result<Self, Failure> {
        let monitoring = config
            .monitoring
            .clone()
            .filter(|monitoring| !systems(monitoring).is_empty());
        let monitoring = monitoring.ok_or_else(|| {
            Failure::usage("no workload of a monitoring system is configured")
                .hint("monitoring.prometheus.workload in chaos.toml names one")
        })?;
        Ok(MonitoringFailure {
            settings,
            monitoring,
        })
    }
}

#[async_trait(?Send)]
impl Experiment for MonitoringFailure {
    fn name(&self) -> &'static str {
        NAME
    }

    fn blinds_monitoring(&self) -> bool {
        true
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let namespace = &self.monitoring.namespace;
        let (mut targets, mut changes, mut radius) = (Vec::new(), Vec::new(), Vec::new());
        let (mut checks, mut permissions) = (Vec::new(), Vec::new());
        let mut holdings = Holdings::default();
        for (workload, system) in systems(&self.monitoring) {
            let text = workload.to_string();
            let target = Workload::read(context, namespace, &text).await?;
            permissions.extend(target.permissions.clone());
            permissions.extend(to_ask(
                &context.asker,
                &Endpoint::of_monitoring(&self.monitoring, system),
            ));
            checks.extend(target.checks.clone());
            if target.replicas == 0 {
                checks.push(Check::fail(
                    "limit.targets",
                    &text,
                    "has no replicas already: there is nothing to take away",
                ));
            }
            holdings = holdings.and(Holdings::of_workload(context, &target, 0).await);
            changes.push(target.scale_to(0));
            targets.push(target.target());
            radius.push(target.radius(target.ready));
        }
        checks.extend(workload::whole(context, &radius.iter().collect::<Vec<_>>()).await);
        let application = &context.namespace;
        let configured = context.config.workloads.iter();
        for logged in configured.filter(|workload| !workload.logs.is_empty()) {
            permissions.push(need(application, "get", "", "pods/log"));
            let source = logged.source();
            permissions.extend(workload::permissions(context, application, &source).await?);
        }
        let draft = Draft {
            experiment: NAME,
            targets,
            changes,
            blast_radius: radius,
            hold: self.settings.duration.0,
            recovery_limit: self.settings.recovery_limit.0,
            stop_limit: Some(self.settings.stop_limit.0),
            slack: Duration::ZERO,
            undo: "each goes back to the replicas that it had".to_owned(),
            affected: Vec::new(),
            alerts: Vec::new(),
            holdings,
            permissions,
            checks,
            ..Draft::default()
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        // No backup is made of what monitoring collected: what of it goes with its pods is among
        // the losses of the plan, which want consent each.
        Ok(false)
    }

    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        let running = Running::start(context, plan, self).await?;
        Ok(Box::new(running))
    }
}
