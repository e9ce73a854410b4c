//! Who works against a fault: autoscalers and controllers that set a field back while the fault is
//! on, named by what the API server notes of every write, and by who owns them.

use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::record::{Change, Check, ObjectRef};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::change::{apply, fields, ownership};
use crate::run::experiment::Injection;

/// Field managers of controllers that people know by another name.
const KNOWN: [(&str, &str); 6] = [
    ("argocd", "Argo CD"),
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("keda", "KEDA"),
    ("terraform", "Terraform"),
    ("vpa", "the vertical autoscaler"),
];

/// Who wrote a field last, as the API server notes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Writer {
    manager: String,
    subresource: Option<String>,
    time: String,
}

/// The last writer of a field, by the object's `managedFields`.
fn writer(object: &Value, field: &[String]) -> Option<Writer> {
    let text = |entry: &Value, field: &str| entry[field].as_str().map(str::to_owned);
    let writers = ownership::entries(object, field).filter_map(|entry| {
        Some(Writer {
            manager: text(entry, "manager")?,
            subresource: text(entry, "subresource"),
            time: text(entry, "time").unwrap_or_default(),
        })
    });
    writers.max_by(|a, b| a.time.cmp(&b.time))
}

impl Writer {
    fn in_words(&self) -> String {
        let manager = &self.manager;
        let lower = manager.to_lowercase();
        let known = KNOWN.iter().find(|(part, _)| lower.contains(part));
        let by = match known {
            Some((_, name)) => format!("{name} (field manager {manager})"),
            None => format!("field manager {manager}"),
        };
        match &self.subresource {
            Some(subresource) => format!("{by}, through its {subresource}"),
            None => by,
        }
    }
}

/// The controller that an object belongs to, as kubectl names it: `KIND/NAME`, of a custom resource
/// `KIND.GROUP/NAME`.
pub fn owner(object: &Value) -> Option<String> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let text = |field: &str| owner[field].as_str().map(str::to_owned);
    let owner = ObjectRef {
        api_version: text("apiVersion").unwrap_or_default(),
        kind: text("kind")?,
        resource: String::new(),
        namespace: None,
        name: text("name")?,
        uid: None,
    };
    Some(owner.to_string())
}

/// An autoscaler, with whom it belongs to, in words.
pub fn scaler_in_words(scaler: &HorizontalPodAutoscaler) -> String {
    let name = scaler.metadata.name.as_deref().unwrap_or_default();
    let object = serde_json::to_value(scaler).expect("an object is JSON");
    match owner(&object) {
        Some(owner) => format!("the autoscaler {name} (of {owner})"),
        None => format!("the autoscaler {name}"),
    }
}

/// How an autoscaler is kept from it: only KEDA's can be told to.
pub fn pause(scaler: &HorizontalPodAutoscaler) -> Option<String> {
    let mut owners = scaler.metadata.owner_references.iter().flatten();
    let keda = owners.find(|owner| owner.api_version.starts_with("keda.sh/"))?;
    Some(format!(
        "kubectl annotate scaledobject {} autoscaling.keda.sh/paused=true, and take it off afterwards",
        keda.name
    ))
}

/// What an autoscaler will do to a fault that takes pods away.
pub fn prediction(scaler: &HorizontalPodAutoscaler) -> String {
    let spec = scaler.spec.as_ref();
    let least = spec.and_then(|spec| spec.min_replicas).unwrap_or(1);
    let most = spec.map_or(least, |spec| spec.max_replicas);
    format!(
        "{} keeps {least} to {most} replicas: it will set back a fault that leaves fewer than \
         {least}, may add pods to one that leaves more, and rests at 0; what it sets meanwhile stays",
        scaler_in_words(scaler)
    )
}

/// The autoscaler that sets the replicas of a workload of this kind and name, if there is one.
///
/// # Errors
/// They can't be read.
pub async fn scaler_of(
    cluster: &Cluster,
    namespace: &str,
    (kind, name): (&str, &str),
) -> Result<Option<HorizontalPodAutoscaler>, ReadError> {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("list horizontalpodautoscalers in namespace {namespace}");
    let all = cluster.list(&api, &ListParams::default(), what).await?;
    Ok(all.into_iter().find(|scaler| {
        let target = scaler.spec.as_ref().map(|spec| &spec.scale_target_ref);
        target.is_some_and(|target| target.kind == kind && target.name == name)
    }))
}

/// What is said of a field that does not hold the fault any more.
fn contest(
    (object, field): (&ObjectRef, &[String]),
    (faulted, now): (&Value, &Value),
    scaler: Option<&HorizontalPodAutoscaler>,
) -> Option<String> {
    let value = fields::get(now, field);
    if value == *faulted {
        return None;
    }
    let who = writer(now, field);
    let by_scaler = who
        .as_ref()
        .is_some_and(|who| who.subresource.as_deref() == Some("scale"));
    let mut by = match &who {
        Some(who) => who.in_words(),
        None => "somebody".to_owned(),
    };
    if let Some(scaler) = scaler.filter(|_| by_scaler || who.is_none()) {
        by = format!("{}, by {by}", scaler_in_words(scaler));
    }
    if let Some(owner) = owner(now) {
        by = format!("{by}; {object} belongs to {owner}");
    }
    let path = fields::path(field);
    Some(format!(
        "the fault did not last: {path} of {object} was {faulted}, and is {value} now, set by {by}"
    ))
}

/// `ID`: one check for each change that somebody has undone while the fault was to be on.
pub async fn look(cluster: &Cluster, injection: &Injection, id: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    for applied in &injection.applied {
        let object = applied.change.object();
        let said = match &applied.change {
            Change::Delete { .. } => None,
            Change::Create { .. } => match apply::read_object(cluster, object).await {
                Ok(None) => Some(format!(
                    "the fault did not last: somebody deleted {object}, which was made for it"
                )),
                // What can't be read is for others to tell.
                Ok(Some(_)) | Err(_) => None,
            },
            Change::Patch { field, faulted, .. } => {
                match apply::read_object(cluster, object).await {
                    Ok(Some(now)) if fields::get(&now, field) != *faulted => {
                        let namespace = object.namespace.as_deref().unwrap_or_default();
                        let named = (object.kind.as_str(), object.name.as_str());
                        // Without it the field's writer is named alone.
                        let scaler = scaler_of(cluster, namespace, named).await.ok().flatten();
                        contest((object, field), (faulted, &now), scaler.as_ref())
                    }
                    Ok(_) | Err(_) => None,
                }
            }
        };
        let hint = "take it off this object for the time of the experiment, or choose another";
        let check = said.map(|said| Check::unknown(id, object.to_string(), said).hint(hint));
        checks.extend(check);
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::testing::objects::scale_to_zero;

    fn managed(manager: &str, subresource: Option<&str>, time: &str) -> Value {
        json!({
            "manager": manager, "subresource": subresource, "operation": "Update", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:replicas": {} } },
        })
    }

    fn shop(replicas: u32, managers: &[Value]) -> Value {
        json!({
            "metadata": { "name": "shop", "managedFields": managers },
            "spec": { "replicas": replicas },
        })
    }

    fn scaler(owner: Option<&str>) -> HorizontalPodAutoscaler {
        let owners = owner.map(|name| {
            json!([{ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": name,
                "uid": "u", "controller": true }])
        });
        let scaler = json!({
            "metadata": { "name": "keda-hpa-shop", "ownerReferences": owners },
            "spec": { "minReplicas": 2, "maxReplicas": 9,
                "scaleTargetRef": { "kind": "Deployment", "name": "shop" } },
        });
        serde_json::from_value(scaler).expect("an autoscaler")
    }

    fn said(now: &Value, scaler: Option<&HorizontalPodAutoscaler>) -> Option<String> {
        let Change::Patch {
            object,
            field,
            faulted,
            ..
        } = scale_to_zero("shop", 3)
        else {
            unreachable!()
        };
        contest((&object, &field), (&faulted, now), scaler)
    }

    const THE_FAULT: &str =
        "the fault did not last: spec.replicas of deployment/shop was 0, and is 3 now, set by ";

    #[test]
    fn a_fault_that_lasts_has_no_contender() {
        assert_eq!(said(&shop(0, &[]), None), None);
    }

    #[test]
    fn an_autoscaler_is_named_with_its_owner() {
        let managers = [
            managed("chaos-runbook", None, "2026-11-22T16:00:00Z"),
            managed(
                "kube-controller-manager",
                Some("scale"),
                "2026-11-22T16:00:09Z",
            ),
        ];
        let words = said(&shop(3, &managers), Some(&scaler(Some("shop")))).expect("contested");
        let by = "the autoscaler keda-hpa-shop (of scaledobject.keda.sh/shop), by field manager \
                  kube-controller-manager, through its scale";
        assert_eq!(words, format!("{THE_FAULT}{by}"));
    }

    #[test]
    fn a_controller_is_named_by_its_field_manager_and_the_object_by_its_owner() {
        let managers = [managed("argocd-controller", None, "2026-11-22T16:00:09Z")];
        let words = said(&shop(3, &managers), Some(&scaler(None))).expect("contested");
        let by = "Argo CD (field manager argocd-controller)";
        assert_eq!(words, format!("{THE_FAULT}{by}"), "not the autoscaler");
        let mut owned = shop(3, &managers);
        owned["metadata"]["ownerReferences"] =
            json!([{ "kind": "Postgresql", "name": "main", "controller": true }]);
        let words = said(&owned, None).expect("contested");
        assert!(
            words.ends_with("; deployment/shop belongs to postgresql/main"),
            "{words}"
        );
        let words = said(&shop(3, &[]), None).expect("contested");
        assert_eq!(words, format!("{THE_FAULT}somebody"));
    }

    #[test]
    fn what_an_autoscaler_will_do_is_predicted() {
        let words = prediction(&scaler(Some("shop")));
        assert!(
            words.contains("(of scaledobject.keda.sh/shop) keeps 2 to 9 replicas"),
            "{words}"
        );
        assert!(words.contains("leaves fewer than 2"), "{words}");
        let pause = pause(&scaler(Some("shop"))).expect("KEDA's");
        assert!(pause.starts_with("kubectl annotate scaledobject shop "));
        assert_eq!(super::pause(&scaler(None)), None);
    }
}
