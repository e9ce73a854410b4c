//! DNS failure: a NetworkPolicy that lets a workload's pods reach everything but name servers. Names have to
//! fail in one of these pods while the same Service, asked by its address, goes on answering.

use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cluster::{ReadError, ReadErrorKind};
use chaos_common::config;
use chaos_common::exit::Failure;
use chaos_common::health::services::endpoint;
use chaos_common::record::{Change, Check, Plan};
use chaos_common::vantage::Endpoint;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::alarm::Abort;
use crate::apply::Made;
use crate::blast_radius;
use crate::context::Context;
use crate::fault::{End, Fault};
use crate::peer::{Asking, Route};
use crate::permissions::{need, need_one};
use crate::plan::Draft;
use crate::script::EXPERIMENT_LABEL;
use crate::select::Selection;
use crate::traffic::{FIRST_ANSWERS, Traffic};
use crate::watching::{Seen, to_exec};
use crate::wholeness::Wholeness;
use crate::workload::{self, Workload};

const NAME: &str = "dns-failure";
/// Ports that name servers listen on: 53, and behind a Service also 5353 (CoreDNS of OpenShift).
const NAME_SERVERS: [u16; 2] = [53, 5353];

/// The experiment.
#[derive(Debug)]
pub struct DnsFailure {
    settings: config::DnsFailure,
    workload: String,
    whole: Wholeness,
    traffic: Traffic,
}

impl DnsFailure {
    /// With the workload that the operator names, or else the configuration.
    ///
    /// # Errors
    /// Neither names one.
    pub fn new(selection: &Selection, settings: &config::DnsFailure) -> Result<DnsFailure, Failure> {
        let workload = selection.one_workload()?.or_else(|| settings.workload.clone()).ok_or_else(|| {
            Failure::usage("nothing names the workload whose pods shall find no names")
                .hint("give --workload, or set experiment.dns_failure.workload in chaos.toml")
        })?;
        Ok(DnsFailure {
            settings: settings.clone(),
            workload,
            whole: Wholeness::default(),
            traffic: Traffic::default(),
        })
    }

    /// The Service whose name is looked up, with the path that is asked.
    fn asked(&self, context: &Context) -> Result<(Endpoint, String), String> {
        let mut configured = context.config.services.iter().filter(|service| service.health.is_some());
        let found = match &self.settings.service {
            Some(name) => configured.find(|service| &service.name == name),
            None => configured.next(),
        };
        found
            .map(|service| (endpoint(service, &context.namespace), service.health.clone().unwrap_or_default()))
            .ok_or_else(|| "no configured service with a health path can be asked by its name".to_owned())
    }

    /// Its Deployment, in one of whose pods the proof is made.
    fn deployment(&self) -> Result<&str, String> {
        match workload::parse(&self.workload)? {
            ("Deployment", _, name) => Ok(name),
            _ => Err(format!("{} is no Deployment, in whose pods names could be asked for", self.workload)),
        }
    }
}

/// Every port but those of name servers, as ranges.
fn other_ports() -> Vec<(u16, u16)> {
    let mut ranges = Vec::new();
    let mut from = 1;
    for port in NAME_SERVERS {
        ranges.push((from, port - 1));
        from = port + 1;
    }
    ranges.push((from, u16::MAX));
    ranges
}

/// The policy that allows pods with these labels everything but name servers.
fn no_names(name: &str, namespace: &str, labels: &Value) -> Value {
    let port = |protocol: &'static str| {
        other_ports().into_iter().map(move |(from, to)| json!({ "protocol": protocol, "port": from, "endPort": to }))
    };
    let ports: Vec<Value> = ["TCP", "UDP", "SCTP"].into_iter().flat_map(port).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": namespace, "labels": { EXPERIMENT_LABEL: NAME } },
        "spec": { "podSelector": labels, "policyTypes": ["Egress"], "egress": [{ "ports": ports }] },
    })
}

/// `limit.policies`: policies add up. Beside one that restricts what these pods may reach, ours would allow them
/// more than they have now.
fn policies(others: &[NetworkPolicy], labels: &Value) -> Vec<Check> {
    const ID: &str = "limit.policies";
    let restricts = |policy: &&NetworkPolicy| {
        let Some(spec) = &policy.spec else { return false };
        let selects = spec.pod_selector.as_ref().is_none_or(|selector| blast_radius::selects_labels(selector, labels));
        let egress = spec.policy_types.iter().flatten().any(|kind| kind == "Egress") || spec.egress.is_some();
        selects && egress
    };
    let checks: Vec<Check> = others
        .iter()
        .filter(restricts)
        .map(|policy| {
            let object = format!("networkpolicy/{}", policy.metadata.name.as_deref().unwrap_or_default());
            Check::fail(
                ID,
                object,
                "says already what these pods may reach: a second policy could only allow them more",
            )
            .hint("choose a workload whose egress no policy governs")
        })
        .collect();
    if checks.is_empty() { vec![Check::pass(ID, "", "no other policy governs what these pods reach")] } else { checks }
}

#[async_trait(?Send)]
impl Fault for DnsFailure {
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
        match (self.asked(context), self.deployment()) {
            (Ok((asked, _)), Ok(name)) => {
                permissions.extend(to_exec(namespace, name));
                permissions.push(need_one(&asked.namespace, "get", "", "services", &asked.service));
            }
            (Err(why), _) | (_, Err(why)) => checks.push(Check::fail("limit.observable", "", why)),
        }
        let radius = target.radius(target.ready);
        checks.extend(workload::whole(context, &[&radius]).await);
        let name = format!("chaos-{NAME}-{}", target.which.name);
        let object = context.own_object("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", name);
        let manifest = no_names(&object.name, namespace, &selector);
        let draft = Draft {
            experiment: NAME,
            targets: vec![target.target()],
            changes: vec![Change::Make { object, manifest }],
            affected: self.settings.affected.clone(),
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
        Ok(false)
    }

    async fn prepare(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String> {
        let cluster = &context.cluster;
        let target = Workload::read(context, &context.namespace, &self.workload).await.map_err(|e| e.to_string())?;
        self.whole = Wholeness::of(context, plan, std::slice::from_ref(&target)).await?;
        let (asked, path) = self.asked(context)?;
        let services: Api<Service> = Api::namespaced(cluster.client.clone(), &asked.namespace);
        let what = format!("read service {} in namespace {}", asked.service, asked.namespace);
        let service = cluster.read(&what, || services.get(&asked.service)).await.map_err(|error| match error.kind {
            ReadErrorKind::NotFound => format!("there is no service {} to ask", asked.service),
            _ => error.to_string(),
        })?;
        let address =
            service.spec.and_then(|spec| spec.cluster_ip).filter(|address| address != "None").ok_or_else(|| {
                format!("service {} has no address of its own, so names can't be told from traffic", asked.service)
            })?;
        let pod = cluster.ready_pod(&context.namespace, self.deployment()?).await.map_err(|error| error.to_string())?;
        let most = Duration::from_millis(plan.worst_case_ms) + FIRST_ANSWERS + context.config.experiment.warm_up.0;
        let url = asked.url(&path);
        let route = Route::start(cluster, &pod, Asking::anew(&url, None, most));
        let control = Route::start(cluster, &pod, Asking::anew(&url, Some(&address), most));
        self.traffic = Traffic::start(&self.workload, route, control).await?;
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
        self.traffic.judge(NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    #[test]
    fn every_port_but_those_of_name_servers_stays_open() {
        assert_eq!(other_ports(), [(1, 52), (54, 5352), (5354, 65535)]);
        let policy = no_names("x", "prod", &json!({ "matchLabels": { "app": "shop" } }));
        let policy: NetworkPolicy = serde_json::from_value(policy).expect("a policy");
        let spec = policy.spec.expect("a spec");
        assert_eq!(spec.policy_types.as_deref(), Some(&["Egress".to_owned()][..]));
        assert_eq!(spec.egress.expect("one rule")[0].ports.as_ref().map(Vec::len), Some(9));
    }

    #[test]
    fn a_policy_that_restricts_egress_already_would_be_widened() {
        let labels = json!({ "app": "shop" });
        let judged = |yaml: &str| {
            let policy: NetworkPolicy = serde_saphyr::from_str(yaml).expect("a policy");
            policies(&[policy], &labels)[0].status
        };
        assert_eq!(judged("{spec: {podSelector: {}, policyTypes: [Egress]}}"), Status::Fail);
        assert_eq!(judged("{spec: {podSelector: {}, egress: [{ports: [{port: 80}]}]}}"), Status::Fail);
        assert_eq!(judged("{spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}}"), Status::Pass);
        assert_eq!(judged("{spec: {podSelector: {matchLabels: {app: other}}, policyTypes: [Egress]}}"), Status::Pass);
    }
}
