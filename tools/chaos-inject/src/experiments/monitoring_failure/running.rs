//! While monitoring has no pods: its pods are observed; afterwards Prometheus has to collect again,
//! with the rules of before.

use anyhow::anyhow;
use async_trait::async_trait;
use chaos_common::prometheus::Prometheus;
use chaos_common::record::{Check, EventKind, Plan, Time};
use tokio::time::Instant;

use super::logs::{self, LogErrors};
use super::prometheus::{self, Gap, NoGap};
use super::{MonitoringFailure, Settings, systems};
use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::support::steady_state::{SteadyState, own_pods};
use crate::observe::Observations;
use crate::observe::pod_watch::{Pods, in_words};
use crate::plan::workload::Workload;
use crate::run::experiment::{Effect, Injection, Recovery, RunningExperiment};

/// It runs.
#[derive(Debug)]
pub(super) struct Running {
    settings: Settings,
    /// Where one is configured.
    prometheus: Option<Prometheus>,
    steady: SteadyState,
    rules_before: prometheus::Rules,
    /// What was measured once the systems were back.
    afterwards: Option<Afterwards>,
}

/// What the systems show when they are back.
#[derive(Debug)]
struct Afterwards {
    /// The scrape gap and the rules, where a Prometheus is configured.
    prometheus: Option<(Result<Gap, NoGap>, prometheus::Rules)>,
    /// Lines of errors of each workload since the injection.
    logs: anyhow::Result<Vec<LogErrors>>,
}

impl Running {
    /// Observes the systems' pods, and reads Prometheus's rules.
    pub(super) async fn start(
        context: &mut Context,
        plan: &Plan,
        experiment: &MonitoringFailure,
    ) -> anyhow::Result<Running> {
        let monitoring = &experiment.monitoring;
        let mut workloads = Vec::new();
        for (workload, _) in systems(monitoring) {
            let text = workload.to_string();
            workloads.push(Workload::read(context, &monitoring.namespace, &text).await?);
        }
        let prometheus = prometheus::configured(context, monitoring);
        let steady = SteadyState::watch(context, plan, &workloads).await?;
        let rules_before = match &prometheus {
            Some(prometheus) => prometheus::rule_names(prometheus).await,
            None => Err(anyhow!("no Prometheus is configured")),
        };
        Ok(Running {
            settings: experiment.settings.clone(),
            prometheus,
            steady,
            rules_before,
            afterwards: None,
        })
    }
}

#[async_trait(?Send)]
impl RunningExperiment for Running {
    async fn prove_effect(&mut self, _context: &mut Context, injection: &Injection) -> Effect {
        let began = injection.began;
        let limit = self.settings.stop_limit.0;
        let mut named = Vec::new();
        for (workload, watch) in &mut self.steady.pods {
            let is_gone = |pods: &Pods| own_pods(pods, workload).is_empty();
            if let Err(pods) = watch.until(began + limit, is_gone).await {
                return Effect::NotSeen(format!(
                    "after {} s the pods of {workload} are not gone: {}",
                    limit.as_secs(),
                    in_words(&own_pods(&pods, workload))
                ));
            }
            named.push(workload.name.clone());
        }
        let silence = match &self.prometheus {
            None => String::new(),
            Some(prometheus) => match prometheus.is_ready().await {
                Ok(true) => {
                    let why = "Prometheus answers although its pods are gone: \
                               is it another one that is asked?";
                    return Effect::NotSeen(why.to_owned());
                }
                Ok(false) => ", and Prometheus does not answer".to_owned(),
                Err(closed) => {
                    let why = closed.to_string();
                    format!(", and whether Prometheus answers could not be asked: {why}")
                }
            },
        };
        Effect::Proven(format!(
            "{} have no pods after {} ms{silence}",
            named.join(", "),
            began.elapsed().as_millis()
        ))
    }

    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        injection: &Injection,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        let (undone, deadline) = (Time::now(), Instant::now() + limit);
        let recovery = self.steady.wait(context, limit).await;
        if recovery != Recovery::SteadyState {
            return recovery;
        }
        let prometheus = if let Some(prometheus) = &self.prometheus {
            let gap = prometheus::measure_gap(prometheus, injection, (undone, deadline)).await;
            if let Err(why) = &gap {
                context.issue(EventKind::Observed, None, why.summary());
            }
            Some((gap, prometheus::rule_names(prometheus).await))
        } else {
            None
        };
        self.afterwards = Some(Afterwards {
            prometheus,
            logs: logs::errors(context, injection.began_at).await,
        });
        Recovery::SteadyState
    }

    async fn confirm_steady_state(
        &mut self,
        context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        self.steady.wait(context, limit).await
    }

    fn judge(&self, context: &Context, _injection: &Injection, _seen: &Observations) -> Vec<Check> {
        let afterwards = self.afterwards.as_ref();
        let prometheus = afterwards.and_then(|after| after.prometheus.as_ref());
        let mut checks = vec![
            prometheus::collecting(prometheus.map(|(gap, _)| gap)),
            prometheus::rules(&self.rules_before, prometheus.map(|(_, rules)| rules)),
        ];
        let most = context.config.limits.log_errors;
        checks.extend(logs::checks(afterwards.map(|after| &after.logs), most));
        checks
    }
}
