//! Network partition: a NetworkPolicy that allows nothing cuts a workload's pods off. That it is in the
//! cluster proves nothing; traffic from a peer pod does, beside a control route that stays open.

use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::config;
use chaos_common::exit::Failure;
use chaos_common::health::services::endpoint;
use chaos_common::record::{Change, Check, Plan};
use chaos_common::vantage::Endpoint;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::alarm::Abort;
use crate::apply::Made;
use crate::blast_radius;
use crate::context::Context;
use crate::fault::{End, Fault};
use crate::peer::{Asking, Route};
use crate::permissions::need;
use crate::plan::Draft;
use crate::script::EXPERIMENT_LABEL;
use crate::select::Selection;
use crate::traffic::{FIRST_ANSWERS, Traffic};
use crate::watching::{Seen, to_exec};
use crate::wholeness::Wholeness;
use crate::workload::{self, Workload};

const NAME: &str = "network-partition";

/// The experiment.
#[derive(Debug)]
pub struct NetworkPartition {
    settings: config::NetworkPartition,
    workload: String,
    peer: String,
    whole: Wholeness,
    traffic: Traffic,
}

impl NetworkPartition {
    /// With the workload that the operator names, or else the configuration.
    ///
    /// # Errors
    /// Neither names workload and peer.
    pub fn new(selection: &Selection, settings: &config::NetworkPartition) -> Result<NetworkPartition, Failure> {
        let workload = selection.one_workload()?.or_else(|| settings.workload.clone()).ok_or_else(|| {
            Failure::usage("nothing names the workload to cut off")
                .hint("give --workload, or set experiment.network_partition.workload in chaos.toml")
        })?;
        let peer = settings.peer.clone().ok_or_else(|| {
            Failure::usage("nothing names a peer, and only traffic from a peer proves a partition")
                .hint("set experiment.network_partition.peer in chaos.toml to a workload that calls the one to cut off")
        })?;
        Ok(NetworkPartition {
            settings: settings.clone(),
            workload,
            peer,
            whole: Wholeness::default(),
            traffic: Traffic::default(),
        })
    }

    /// The Service that leads to the workload, and one that does not, with their paths.
    fn routes(&self, context: &Context, services: &[String]) -> Result<[(Endpoint, String); 2], String> {
        let configured = || context.config.services.iter().filter(|service| service.health.is_some());
        let with_path = |service: &config::Service| {
            (endpoint(service, &context.namespace), service.health.clone().unwrap_or_default())
        };
        let target = configured().find(|service| services.contains(&service.name)).map(with_path).ok_or_else(|| {
            format!("no configured service with a health path leads to {}: nothing could be asked", self.workload)
        })?;
        let control = match &self.settings.control {
            Some(name) => configured().find(|service| &service.name == name),
            None => configured().find(|service| !services.contains(&service.name)),
        };
        let control = control.map(with_path).ok_or(
            "no configured service with a health path can serve as control route (experiment.network_partition.control)",
        )?;
        if services.contains(&control.0.service) {
            return Err(format!(
                "service {} leads to {} itself, so it is no control",
                control.0.service, self.workload
            ));
        }
        Ok([target, control])
    }

    fn peer_name(&self) -> Result<&str, String> {
        match workload::parse(&self.peer)? {
            ("Deployment", _, name) => Ok(name),
            _ => Err(format!("the peer {} is no Deployment", self.peer)),
        }
    }
}

/// The policy that allows nothing to or from pods with these labels.
fn deny_all(name: &str, namespace: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": namespace, "labels": { EXPERIMENT_LABEL: NAME } },
        "spec": { "podSelector": labels, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": [] },
    })
}

/// `limit.policies`: policies add up, so what another one allows a deny-all policy does not take away.
fn policies(others: &[NetworkPolicy], labels: &Value) -> Vec<Check> {
    const ID: &str = "limit.policies";
    let allows = |policy: &&NetworkPolicy| {
        let Some(spec) = &policy.spec else { return false };
        let selects = spec.pod_selector.as_ref().is_none_or(|selector| blast_radius::selects_labels(selector, labels));
        selects && (spec.ingress.iter().flatten().next().is_some() || spec.egress.iter().flatten().next().is_some())
    };
    let checks: Vec<Check> = others
        .iter()
        .filter(allows)
        .map(|policy| {
            let object = format!("networkpolicy/{}", policy.metadata.name.as_deref().unwrap_or_default());
            Check::fail(ID, object, "allows traffic of these pods, which a policy that denies does not take away").hint(
                "policies only add up; choose a workload that no policy allows anything, or take this one away first",
            )
        })
        .collect();
    if checks.is_empty() { vec![Check::pass(ID, "", "no other policy allows these pods anything")] } else { checks }
}

#[async_trait(?Send)]
impl Fault for NetworkPartition {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let namespace = &context.namespace;
        let target = Workload::read(context, namespace, &self.workload).await?;
        let selector = target.now["spec"]["selector"].clone();
        let mut checks = target.checks.clone();
        let api: Api<NetworkPolicy> = Api::namespaced(context.cluster.client.clone(), namespace);
        let what = format!("list networkpolicies in namespace {namespace}");
        match context.cluster.list(&api, &ListParams::default(), what).await {
            Ok(others) => checks.extend(policies(&others, &target.now["spec"]["template"]["metadata"]["labels"])),
            Err(error) => checks.push(error.check("limit.policies", "")),
        }
        let mut permissions = workload::permissions(namespace, &self.workload);
        permissions.push(need(namespace, "list", "networking.k8s.io", "networkpolicies"));
        match (self.routes(context, &target.services), self.peer_name()) {
            (Ok(_), Ok(peer)) => permissions.extend(to_exec(namespace, peer)),
            (Err(why), _) | (_, Err(why)) => checks.push(Check::fail("limit.observable", "", why)),
        }
        let radius = target.radius(target.ready);
        checks.extend(workload::whole(context, &[&radius]).await);
        let name = format!("chaos-{NAME}-{}", target.which.name);
        let object = context.own_object("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", name);
        let manifest = deny_all(&object.name, namespace, &selector);
        let draft = Draft {
            experiment: NAME,
            targets: vec![target.target()],
            changes: vec![Change::Make { object, manifest }],
            affected: [target.services.clone(), self.settings.affected.clone()].concat(),
            blast_radius: vec![radius],
            hold: self.settings.duration.0,
            recovery: self.settings.recovery_limit.0,
            undo: "the policy is deleted".to_owned(),
            alerts: self.settings.alerts.clone(),
            permissions,
            checks,
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        // A partition is what databases have to live with; nothing is written or taken away.
        Ok(false)
    }

    async fn prepare(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String> {
        let target = Workload::read(context, &context.namespace, &self.workload).await.map_err(|e| e.to_string())?;
        self.whole = Wholeness::of(context, plan, std::slice::from_ref(&target)).await?;
        let [target, control] = self.routes(context, &target.services)?;
        let peer = context.cluster.ready_pod(&context.namespace, self.peer_name()?).await.map_err(|e| e.to_string())?;
        let most = Duration::from_millis(plan.worst_case_ms) + FIRST_ANSWERS + context.config.experiment.warm_up.0;
        let route = Route::start(&context.cluster, &peer, Asking::kept(&target.0.url(&target.1), most));
        let control = Route::start(&context.cluster, &peer, Asking::kept(&control.0.url(&control.1), most));
        self.traffic = Traffic::start(&self.peer, route, control).await?;
        Ok(())
    }

    fn made(&mut self, _change: &Change, made: Made) {
        self.traffic.made(made.sent);
    }

    async fn effect(&mut self, _context: &mut Context, _plan: &Plan) -> Result<Option<String>, String> {
        self.traffic.cut_off().await.map(Some)
    }

    async fn before_undo(&mut self, _context: &mut Context, _plan: &Plan) {
        self.traffic.still_cut();
    }

    async fn restored(&mut self, context: &mut Context, _plan: &Plan, _abort: &mut Abort) -> End {
        self.traffic.restored(context, &mut self.whole, self.settings.recovery_limit.0).await
    }

    fn judge(&self, _context: &Context, _plan: &Plan, _seen: &Seen) -> Vec<Check> {
        let mut checks = self.traffic.judge(NAME);
        checks.push(self.traffic.established(NAME));
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    #[test]
    fn a_policy_that_allows_the_pods_anything_defeats_a_partition() {
        let labels = json!({ "app": "shop" });
        let judged = |yaml: &str| {
            let policy: NetworkPolicy = serde_saphyr::from_str(yaml).expect("a policy");
            policies(&[policy], &labels)[0].status
        };
        assert_eq!(judged("{spec: {podSelector: {matchLabels: {app: shop}}, ingress: [{}]}}"), Status::Fail);
        assert_eq!(judged("{spec: {podSelector: {}, egress: [{ports: [{port: 53}]}]}}"), Status::Fail);
        assert_eq!(judged("{spec: {podSelector: {matchLabels: {app: other}}, ingress: [{}]}}"), Status::Pass);
        assert_eq!(judged("{spec: {podSelector: {}, policyTypes: [Ingress]}}"), Status::Pass, "it denies as well");
    }
}
