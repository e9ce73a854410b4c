//! Resource exhaustion: a pod that burns processor time and holds memory beside the application's,
//! with requests, limits and a deadline of its own, and no rights. That it runs proves nothing;
//! what its own cgroup counts does.

mod running;
mod usage;

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::metrics::quantity;
use chaos_common::config::{AlertSelector, Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Change, Check, Plan, Target, WorkloadRef};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::running::Running;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::labels::EXPERIMENT_LABEL;
use crate::permissions::{need, need_one};
use crate::plan::Draft;
use crate::plan::target::Selection;
use crate::run::experiment::{Experiment, RunningExperiment};

const NAME: &str = "resource-exhaustion";
/// Name of the container that burns.
const CONTAINER: &str = "stress";
/// Time for the pod to run.
const START: Duration = Duration::from_secs(60);
/// A cluster-side deadline on top of the duration, for a pod that nobody can delete.
const SLACK: Duration = Duration::from_secs(30);

/// `[experiment.resource_exhaustion]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Image whose entry point understands `stress`'s arguments, or in which `command` names it.
    pub image: String,
    /// Program that is run in it; the image's entry point if left out.
    pub command: Vec<String>,
    /// Processes that burn processor time.
    pub cpu_workers: u32,
    /// Processes that hold memory.
    pub memory_workers: u32,
    /// Memory that each of them holds, in MiB.
    pub memory_mib: u32,
    /// The pod's request for processor time, in Kubernetes' notation.
    pub cpu_request: String,
    /// Its limit.
    pub cpu_limit: String,
    /// The pod's request for memory.
    pub memory_request: String,
    /// Its limit.
    pub memory_limit: String,
    /// How long it lasts. The pod has this as a deadline of its own.
    pub duration: Span,
    /// How many times the median answer of a Service may take while the stress is on.
    pub max_slowdown: f64,
    /// Longest time from its end until all is at its steady state again.
    pub recovery_limit: Span,
    /// Alerts that must fire.
    pub alerts: Vec<AlertSelector>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            image: "stress:latest".to_owned(),
            command: Vec::new(),
            // They fit a node of two cores and 4 GiB: it is the limits that let the pod burn.
            cpu_workers: 2,
            memory_workers: 1,
            memory_mib: 256,
            cpu_request: "250m".to_owned(),
            cpu_limit: "2".to_owned(),
            memory_request: "256Mi".to_owned(),
            memory_limit: "512Mi".to_owned(),
            duration: Span::seconds(60),
            max_slowdown: 10.0,
            recovery_limit: Span::seconds(120),
            alerts: Vec::new(),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct ResourceExhaustion {
    settings: Settings,
}

impl Definition for ResourceExhaustion {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Burn processor time and hold memory beside the application";
    const FLAGS: &'static [Flag] = &[];
    type Settings = Settings;

    fn new(_selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        Ok(ResourceExhaustion { settings })
    }
}

impl ResourceExhaustion {
    fn manifest(&self, name: &str, namespace: &str) -> Value {
        let s = &self.settings;
        let (cpu, memory) = (s.cpu_workers.to_string(), s.memory_workers.to_string());
        let mut args = Vec::new();
        if s.cpu_workers > 0 {
            args.extend(["-c".to_owned(), cpu]);
        }
        if s.memory_workers > 0 {
            let bytes = format!("{}M", s.memory_mib);
            args.extend([
                "-m".to_owned(),
                memory,
                "--vm-bytes".to_owned(),
                bytes,
                "--vm-keep".to_owned(),
            ]);
        }
        let mut container = json!({
            "name": CONTAINER, "image": s.image, "imagePullPolicy": "IfNotPresent", "args": args,
            "resources": {
                "requests": { "cpu": s.cpu_request, "memory": s.memory_request },
                "limits": { "cpu": s.cpu_limit, "memory": s.memory_limit },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                "runAsUser": 65534, "runAsGroup": 65534, "capabilities": { "drop": ["ALL"] },
                "seccompProfile": { "type": "RuntimeDefault" },
            },
        });
        if !s.command.is_empty() {
            container["command"] = json!(s.command);
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": namespace, "labels": { EXPERIMENT_LABEL: NAME } },
            "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                "activeDeadlineSeconds": (s.duration.0 + START + SLACK).as_secs(), "containers": [container],
            },
        })
    }
}

#[async_trait(?Send)]
impl Experiment for ResourceExhaustion {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let namespace = &context.namespace;
        let object = context.own_object("v1", "Pod", "pods", format!("chaos-{NAME}"));
        let manifest = self.manifest(&object.name, namespace);
        let mut checks = Vec::new();
        let s = &self.settings;
        for text in [
            &s.cpu_request,
            &s.cpu_limit,
            &s.memory_request,
            &s.memory_limit,
        ] {
            if quantity(text).is_none() {
                let why = format!("{text:?} is not a quantity that Kubernetes knows");
                checks.push(Check::fail(
                    "limit.targets",
                    "experiment.resource_exhaustion",
                    why,
                ));
            }
        }
        if s.cpu_workers + s.memory_workers == 0 {
            let why = "neither cpu_workers nor memory_workers: nothing would be exhausted";
            checks.push(Check::fail(
                "limit.targets",
                "experiment.resource_exhaustion",
                why,
            ));
        }
        let owner = WorkloadRef {
            kind: "Namespace".to_owned(),
            namespace: namespace.clone(),
            name: namespace.clone(),
        };
        let target = Target {
            kind: "Namespace".to_owned(),
            namespace: namespace.clone(),
            name: namespace.clone(),
            uid: String::new(),
            owner,
            node: None,
        };
        let draft = Draft {
            experiment: NAME,
            targets: vec![target],
            permissions: vec![
                need(namespace, "list", "", "pods"),
                need(namespace, "watch", "", "pods"),
                need_one(namespace, "get", "", "pods", &object.name),
                need_one(namespace, "get", "", "pods/exec", &object.name),
                need_one(namespace, "create", "", "pods/exec", &object.name),
                need(namespace, "list", "metrics.k8s.io", "pods"),
                need(namespace, "list", "autoscaling", "horizontalpodautoscalers"),
            ],
            changes: vec![Change::Create { object, manifest }],
            blast_radius: Vec::new(),
            hold: s.duration.0,
            recovery_limit: s.recovery_limit.0,
            slack: Duration::ZERO,
            undo: "the pod is deleted; its own deadline would end it, too".to_owned(),
            affected: Vec::new(),
            alerts: s.alerts.clone(),
            checks,
            ..Draft::default()
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        Ok(false)
    }

    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        let pod = plan.changes.first().context("the plan creates no pod")?;
        let running = Running::start(context, &pod.object().name, &self.settings).await?;
        Ok(Box::new(running))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;

    #[test]
    fn the_pod_has_limits_a_deadline_and_no_rights() {
        let (nothing, config) = (Selection::default(), Config::default());
        let fault = ResourceExhaustion::new(&nothing, Settings::default(), &config)
            .expect("it needs no selection");
        let pod: Pod = serde_json::from_value(fault.manifest("x", "prod")).expect("a pod");
        let spec = pod.spec.expect("a spec");
        assert_eq!(spec.active_deadline_seconds, Some(150));
        assert_eq!(spec.automount_service_account_token, Some(false));
        let container = &spec.containers[0];
        assert_eq!(
            container.args.as_deref().unwrap_or_default().join(" "),
            "-c 2 -m 1 --vm-bytes 256M --vm-keep"
        );
        let security = container.security_context.clone().expect("one");
        assert_eq!(
            (
                security.run_as_non_root,
                security.allow_privilege_escalation
            ),
            (Some(true), Some(false))
        );
        assert!((fault.settings.cores() - 2.0).abs() < 1e-9);
    }
}
