//! What workloads there are, for whoever named one that is not there.

use futures::join;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::Resource;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, NamespaceResourceScope};

use super::{Cluster, ReadError, ReadErrorKind};

/// So many are named.
const MOST: usize = 20;

impl Cluster {
    /// The failure of looking for a workload that a namespace does not have; its next step names
    /// those that it has. `named` is in kubectl's words: `deployment/shop`.
    pub async fn no_such_workload(&self, what: &str, namespace: &str, named: &str) -> ReadError {
        let known = self.known_workloads(namespace).await;
        none(what, (namespace, named), known)
    }

    /// The same for a custom resource.
    pub(super) async fn no_such_resource(
        &self,
        what: &str,
        namespace: &str,
        (named, resource): (&str, &ApiResource),
    ) -> ReadError {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, resource);
        let kind = format!("{}.{}", resource.kind.to_lowercase(), resource.group);
        let (own, known) = join!(self.names(&api, &kind), self.known_workloads(namespace));
        let all = [own, known].into_iter().flatten().flatten();
        none(what, (namespace, named), Some(all.collect()))
    }

    /// The workloads of a namespace, as `deployment/shop`; `None` if they can't be listed.
    pub async fn known_workloads(&self, namespace: &str) -> Option<Vec<String>> {
        let deployments = of_namespace::<Deployment>(self, namespace);
        let sets = of_namespace::<StatefulSet>(self, namespace);
        let daemons = of_namespace::<DaemonSet>(self, namespace);
        let (deployments, sets, daemons) = join!(
            self.names(&deployments, "deployment"),
            self.names(&sets, "statefulset"),
            self.names(&daemons, "daemonset"),
        );
        let lists: Vec<_> = [deployments, sets, daemons].into_iter().flatten().collect();
        (!lists.is_empty()).then(|| lists.concat())
    }

    async fn names<K>(&self, api: &Api<K>, kind: &str) -> Option<Vec<String>>
    where
        K: Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let what = format!("list what there is of {kind}");
        let params = ListParams::default().limit(500);
        let listed = self.read(what, || api.list_metadata(&params)).await.ok()?;
        let names = listed.items.into_iter().filter_map(|one| one.metadata.name);
        Some(names.map(|name| format!("{kind}/{name}")).collect())
    }
}

fn of_namespace<K>(cluster: &Cluster, namespace: &str) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(cluster.client.clone(), namespace)
}

fn none(what: &str, (namespace, named): (&str, &str), known: Option<Vec<String>>) -> ReadError {
    let why = format!("there is no {named} in namespace {namespace}");
    let hint = match known {
        Some(known) => next_step(namespace, named, &known),
        None => format!(
            "kubectl get deployments,statefulsets,daemonsets -n {namespace} shows what is there"
        ),
    };
    ReadError::new(what, ReadErrorKind::NotFound, why).hint(hint)
}

/// What there is instead; first what has the same name.
pub fn next_step(namespace: &str, named: &str, known: &[String]) -> String {
    let name = |text: &str| text.split_once('/').map(|(_, name)| name.to_owned());
    let same = known.iter().find(|one| name(one) == name(named));
    let meant = same.map_or_else(String::new, |same| format!("did you mean {same}? "));
    if known.is_empty() {
        return format!("namespace {namespace} has no workload: is it the right one? see -n");
    }
    let shown = known.iter().take(MOST).cloned().collect::<Vec<_>>();
    let more = match known.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{meant}namespace {namespace} has {}{more}",
        shown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_is_named_and_the_same_name_first() {
        let known = ["deployment/web", "statefulset/db"].map(str::to_owned);
        let step = next_step("shop", "deployment/db", &known);
        let expected = "did you mean statefulset/db? \
                        namespace shop has deployment/web, statefulset/db";
        assert_eq!(step, expected);
        let step = next_step("shop", "deployment/x", &known);
        assert_eq!(step, "namespace shop has deployment/web, statefulset/db");
        assert!(next_step("shop", "deployment/x", &[]).contains("has no workload"));
        let many: Vec<String> = (0..22).map(|n| format!("deployment/{n}")).collect();
        let step = next_step("shop", "deployment/x", &many);
        assert!(step.ends_with("deployment/19 and 2 more"), "{step}");
    }
}
