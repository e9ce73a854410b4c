//! The permissions that something needs, asked of the API server before it is done.

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::{Cluster, ReadError};
use crate::record::Permission;

/// A permission, not asked for yet.
pub fn need(namespace: &str, verb: &str, group: &str, resource: &str) -> Permission {
    Permission {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: None,
        allowed: false,
    }
}

/// The same for one object only.
pub fn need_one(
    namespace: &str,
    verb: &str,
    group: &str,
    resource: &str,
    name: &str,
) -> Permission {
    Permission {
        name: Some(name.to_owned()),
        ..need(namespace, verb, group, resource)
    }
}

/// Asks the API server for each of them.
///
/// # Errors
/// The API server does not answer.
pub async fn ask(
    cluster: &Cluster,
    permissions: Vec<Permission>,
) -> Result<Vec<Permission>, ReadError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let one = |permission: Permission| {
        let api = api.clone();
        async move {
            let (resource, subresource) = match permission.resource.split_once('/') {
                Some((resource, sub)) => (resource.to_owned(), Some(sub.to_owned())),
                None => (permission.resource.clone(), None),
            };
            let asked = permission.clone();
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(ResourceAttributes {
                        namespace: Some(asked.namespace).filter(|namespace| !namespace.is_empty()),
                        verb: Some(asked.verb),
                        group: Some(asked.group),
                        resource: Some(resource),
                        subresource,
                        name: asked.name,
                        ..ResourceAttributes::default()
                    }),
                    non_resource_attributes: None,
                },
                ..SelfSubjectAccessReview::default()
            };
            let what = format!(
                "ask whether we may {} {}",
                permission.verb, permission.resource
            );
            let answer = cluster
                .read(what, || async {
                    api.create(&PostParams::default(), &review).await
                })
                .await?;
            Ok(Permission {
                allowed: answer.status.is_some_and(|status| status.allowed),
                ..permission
            })
        }
    };
    join_all(permissions.into_iter().map(one))
        .await
        .into_iter()
        .collect()
}
