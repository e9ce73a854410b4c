//! Reading a credential, also one that is kept in a Secret of the cluster.

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;

use super::{Cluster, ReadError, ReadErrorKind};
use crate::config::Credential;

impl Cluster {
    /// The credential itself, without white space at its ends. A Secret is in `namespace` unless
    /// the credential names another. `key` is that of the configuration, for messages.
    ///
    /// # Errors
    /// It can't be read, is not there, or is empty. No error holds any part of it.
    pub async fn credential(
        &self,
        namespace: &str,
        (key, credential): (&str, &Credential),
    ) -> Result<String, ReadError> {
        let what = format!("read what {key} names");
        match credential {
            Credential::InCluster {
                secret,
                key: entry,
                namespace: other,
            } => {
                let namespace = other.as_deref().unwrap_or(namespace);
                if namespace.is_empty() {
                    let why = format!("nothing says which namespace secret/{secret} is in");
                    let hint = format!("add namespace = \"NAME\" to {key} in chaos.toml");
                    return Err(ReadError::other(&what, why).hint(hint));
                }
                self.secret_key((namespace, secret, entry), &what).await
            }
            Credential::Local(secret) => secret.read().map_err(|error| {
                ReadError::other(&what, error.to_string())
                    .hint(format!("{key} in chaos.toml names the secret"))
            }),
        }
    }

    async fn secret_key(
        &self,
        (namespace, name, key): (&str, &str, &str),
        what: &str,
    ) -> Result<String, ReadError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("{what}, key {key} of secret/{name} in namespace {namespace}");
        let secret = self.read(&what, || api.get(name)).await?;
        let data = secret.data.unwrap_or_default();
        let Some(value) = data.get(key) else {
            let keys: Vec<&str> = data.keys().map(String::as_str).collect();
            let why = format!("it has no such key; it has {}", keys.join(", "));
            return Err(ReadError::new(&what, ReadErrorKind::NotFound, why));
        };
        let value = std::str::from_utf8(&value.0)
            .map(str::trim)
            .unwrap_or_default();
        if value.is_empty() {
            return Err(ReadError::other(&what, "it is empty, or not text"));
        }
        Ok(value.to_owned())
    }
}
