//! A policy that is in the way of a fault, set aside for the pods that are hit while the fault is
//! on: its selector is narrowed by a term that leaves these pods out, and widened again by the undo.
//! The policy keeps its identity and its rules, and goes on as before for all other pods.

use chaos_common::cluster::ReadError;
use chaos_common::record::{Change, ObjectRef};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::observe::pod_watch;
use crate::plan::blast_radius::selects_labels;
use crate::plan::workload::Workload;

/// A label that all pods that are hit bear, and no other pod of the namespace.
pub type OwnLabel = (String, String);

/// The label by which a policy can leave out the pods of a workload and no others; `None` if none
/// of those in their template is theirs alone.
///
/// # Errors
/// The pods of the namespace can't be listed.
pub async fn own_label(
    context: &Context,
    target: &Workload,
) -> Result<Option<OwnLabel>, ReadError> {
    let namespace = &target.which.namespace;
    let selector: LabelSelector =
        serde_json::from_value(target.pod_selector.clone().unwrap_or_default()).unwrap_or_default();
    let mut candidates = labels_of(target, &selector);
    let what = format!("list pods in namespace {namespace}");
    pod_watch::each(
        &context.cluster,
        namespace,
        &ListParams::default(),
        &what,
        |pod| {
            let labels = pod.metadata.labels.unwrap_or_default();
            let hit = selects_labels(&selector, &json!(labels));
            candidates.retain(|(key, value)| hit || labels.get(key) != Some(value));
        },
    )
    .await?;
    Ok(candidates.into_iter().next())
}

/// The labels of a workload's template, those of its selector first.
fn labels_of(target: &Workload, selector: &LabelSelector) -> Vec<OwnLabel> {
    let labels = &target.template["metadata"]["labels"];
    let labels: Map<String, Value> = serde_json::from_value(labels.clone()).unwrap_or_default();
    let selected = selector.match_labels.clone().unwrap_or_default();
    let mut all: Vec<OwnLabel> = labels
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
        .collect();
    all.sort_by_key(|(key, _)| !selected.contains_key(key));
    all
}

/// The change that leaves the pods with this label out of a policy.
pub fn change(policy: &NetworkPolicy, (key, value): &OwnLabel) -> Change {
    let spec = policy.spec.as_ref();
    let selector = spec.and_then(|spec| spec.pod_selector.as_ref());
    let terms = selector.and_then(|selector| selector.match_expressions.as_ref());
    let term = json!({ "key": key, "operator": "NotIn", "values": [value] });
    let terms = terms.filter(|terms| !terms.is_empty());
    let (original, mut faulted) = match terms {
        Some(terms) => (json!(terms), terms.iter().map(|one| json!(one)).collect()),
        None => (Value::Null, Vec::new()),
    };
    faulted.push(term);
    let path = ["spec", "podSelector", "matchExpressions"];
    Change::Patch {
        object: ObjectRef {
            api_version: "networking.k8s.io/v1".to_owned(),
            kind: "NetworkPolicy".to_owned(),
            resource: "networkpolicies".to_owned(),
            namespace: policy.metadata.namespace.clone(),
            name: policy.metadata.name.clone().unwrap_or_default(),
            uid: policy.metadata.uid.clone(),
        },
        field: path.map(str::to_owned).to_vec(),
        original,
        faulted: faulted.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::application::{application, with};
    use crate::testing::test_bed::TestBed;

    async fn found(others: Vec<Value>) -> Option<String> {
        let bed = TestBed::with(application("Deployment", "shop", 2));
        let labels = json!({ "app": "shop", "tier": "web" });
        let template = json!({ "spec": { "template": { "metadata": { "labels": labels } } } });
        bed.server.edit("deployment/shop", &template);
        for pod in ["pod/shop-0", "pod/shop-1"] {
            bed.server
                .edit(pod, &json!({ "metadata": { "labels": labels } }));
        }
        bed.server.add_all(others);
        let context = bed.context();
        let target = Workload::read(&context, "prod", "deployment/shop").await;
        let label = own_label(&context, &target.expect("it is there")).await;
        label
            .expect("listed")
            .map(|(key, value)| format!("{key}={value}"))
    }

    /// A Deployment whose pods have other labels besides.
    fn labelled(name: &str, labels: &Value) -> Vec<Value> {
        let labelled = |object: Value| {
            let patch = json!({ "metadata": { "labels": labels } });
            let is_pod = object["kind"] == "Pod";
            if is_pod { with(object, &patch) } else { object }
        };
        let objects = application("Deployment", name, 1).into_iter();
        objects.map(labelled).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_label_is_one_that_no_other_pod_bears() {
        assert_eq!(found(vec![]).await.as_deref(), Some("app=shop"));
        let same_tier = labelled("other", &json!({ "tier": "web" }));
        assert_eq!(found(same_tier).await.as_deref(), Some("app=shop"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_the_fault_hits_too_may_bear_it() {
        let canary = labelled("canary", &json!({ "app": "shop" }));
        assert_eq!(found(canary).await.as_deref(), Some("app=shop"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_of_the_selector_that_another_pod_bears_is_not_taken() {
        let bed = TestBed::with(application("Deployment", "shop", 1));
        let labels = json!({ "app": "shop", "tier": "web" });
        let both = json!({ "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels } },
        } });
        bed.server.edit("deployment/shop", &both);
        bed.server
            .edit("pod/shop-0", &json!({ "metadata": { "labels": labels } }));
        let context = bed.context();
        let target = Workload::read(&context, "prod", "deployment/shop").await;
        let target = target.expect("it is there");
        let found = async || own_label(&context, &target).await.expect("listed");
        // One of the same name in another tier is not hit, and must not be left out either.
        bed.server
            .add_all(labelled("other", &json!({ "app": "shop" })));
        assert_eq!(found().await, Some(("tier".to_owned(), "web".to_owned())));
        bed.server
            .add_all(labelled("third", &json!({ "tier": "web" })));
        assert_eq!(found().await, None);
    }

    #[test]
    fn a_selector_gets_one_term_more_and_back_what_it_had() {
        let changed = |spec: &str| {
            let yaml = format!("{{metadata: {{name: allow, uid: u}}, spec: {spec}}}");
            let policy = serde_saphyr::from_str(&yaml).expect("a policy");
            match change(&policy, &("app".to_owned(), "shop".to_owned())) {
                Change::Patch {
                    original, faulted, ..
                } => (original, faulted),
                other => panic!("{other:?}"),
            }
        };
        let term = json!({ "key": "app", "operator": "NotIn", "values": ["shop"] });
        let (original, faulted) = changed("{podSelector: {}}");
        assert_eq!((original, faulted), (Value::Null, json!([term])));
        let (original, faulted) =
            changed("{podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}");
        let tier = json!({ "key": "tier", "operator": "Exists" });
        assert_eq!(original, json!([tier]));
        assert_eq!(faulted, json!([tier, term]));
    }
}
