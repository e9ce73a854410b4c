//! Whether we hold the permissions that fault and undo need, asked before anything is written.

use chaos_common::cluster::ReadError;
use chaos_common::record::Permission;
use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};

use crate::context::Context;

/// What the engine itself needs for any experiment, as verb, API group and resource.
const ENGINE: [(&str, &str, &str); 3] = [
    ("list", "coordination.k8s.io", "leases"),
    ("create", "coordination.k8s.io", "leases"),
    ("delete", "coordination.k8s.io", "leases"),
];

/// Asks the API server for each of the permissions of a fault, and of the engine.
///
/// # Errors
/// The API server does not answer.
pub async fn ask(context: &Context, fault: &[(&str, &str, &str)]) -> Result<Vec<Permission>, ReadError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(context.cluster.client.clone());
    let one = |(verb, group, resource): (&str, &str, &str)| {
        let permission = Permission {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: context.namespace.clone(),
            allowed: false,
        };
        let api = api.clone();
        async move {
            let asked = permission.clone();
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(ResourceAttributes {
                        namespace: Some(asked.namespace),
                        verb: Some(asked.verb),
                        group: Some(asked.group),
                        resource: Some(asked.resource),
                        ..ResourceAttributes::default()
                    }),
                    non_resource_attributes: None,
                },
                ..SelfSubjectAccessReview::default()
            };
            let what = format!("ask whether we may {} {}", permission.verb, permission.resource);
            let answer =
                context.cluster.read(what, || async { api.create(&PostParams::default(), &review).await }).await?;
            Ok(Permission { allowed: answer.status.is_some_and(|status| status.allowed), ..permission })
        }
    };
    join_all(fault.iter().copied().chain(ENGINE).map(one)).await.into_iter().collect()
}
