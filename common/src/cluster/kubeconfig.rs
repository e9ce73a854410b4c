//! Kubeconfig files, as kubectl finds and merges them.
//!
//! The rules are those of
//! <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>: a file that
//! `KUBECONFIG` names and that is missing is left out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use kube::client::AuthError;
use kube::config::{AuthInfo, Context, Kubeconfig, KubeconfigError};

use super::{Access, error_chain};

/// Where a pod finds the namespace of its service account.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Why there is no kubeconfig.
#[derive(Debug, thiserror::Error)]
pub(super) enum FindError {
    /// Nothing names one, and there is none in the usual place.
    #[error("there is no kubeconfig: KUBECONFIG is not set, and there is no ~/.kube/config")]
    Absent,
    /// `KUBECONFIG` names files, and none of them exists.
    #[error("none of the files that KUBECONFIG names exists: {0}")]
    Missing(String),
    /// One can't be read or understood.
    #[error("{}", error_chain(.0))]
    Unusable(#[from] KubeconfigError),
}

/// The kubeconfig to use; nothing inside a cluster, where the service account is the way.
///
/// # Errors
/// There is none, or it can't be used.
pub(super) fn find(access: &Access) -> Result<Option<Kubeconfig>, FindError> {
    if let Some(path) = &access.kubeconfig {
        return Ok(Some(Kubeconfig::read_from(path)?));
    }
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    match read(&named, std::env::home_dir().as_deref()) {
        Err(FindError::Absent) if access.context.is_none() && is_inside_cluster() => Ok(None),
        found => found.map(Some),
    }
}

/// Whether anything names a cluster: a flag, `KUBECONFIG`, a file at home, or the service account of
/// a pod. What it names may be wrong.
pub(super) fn is_named(access: &Access) -> bool {
    let flag = access.context.is_some() || access.kubeconfig.is_some();
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let found = read(&named, std::env::home_dir().as_deref());
    flag || is_inside_cluster() || !matches!(found, Err(FindError::Absent))
}

fn is_inside_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// What the files that `KUBECONFIG` names say together; where it names none, the file at home.
fn read(named: &OsStr, home: Option<&Path>) -> Result<Kubeconfig, FindError> {
    let named: Vec<PathBuf> = std::env::split_paths(named)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if named.is_empty() {
        let usual = home.map(|home| home.join(".kube/config"));
        let usual = usual.filter(|path| path.exists());
        return Ok(Kubeconfig::read_from(usual.ok_or(FindError::Absent)?)?);
    }
    let present: Vec<&PathBuf> = named.iter().filter(|path| path.exists()).collect();
    if present.is_empty() {
        let paths: Vec<String> = named.iter().map(|p| p.display().to_string()).collect();
        return Err(FindError::Missing(paths.join(", ")));
    }
    let mut merged = Kubeconfig::default();
    for path in present {
        merged = merged.merge(Kubeconfig::read_from(path)?)?;
    }
    Ok(merged)
}

/// The namespace that the context names, or that of the pod's service account.
pub(super) fn namespace(access: &Access) -> Option<String> {
    let namespace = match find(access).ok()? {
        Some(kubeconfig) => context(&kubeconfig, access)?.namespace.clone(),
        None => std::fs::read_to_string(OWN_NAMESPACE).ok(),
    };
    namespace
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

pub(super) fn context<'k>(kubeconfig: &'k Kubeconfig, access: &Access) -> Option<&'k Context> {
    let current = kubeconfig.current_context.as_ref();
    let name = access.context.as_ref().or(current)?;
    let named = kubeconfig.contexts.iter().find(|it| it.name == *name)?;
    named.context.as_ref()
}

/// Why no client could be made, with the name of the credential plugin where that is to blame.
pub(super) fn client_error(error: &kube::Error, user: &AuthInfo) -> String {
    let plugin = user.exec.as_ref().and_then(|exec| exec.command.as_deref());
    match (error, plugin) {
        (kube::Error::Auth(AuthError::AuthExecStart(why)), Some(plugin)) => {
            format!("the credential plugin {plugin:?} of the kubeconfig can't be run: {why}")
        }
        _ => error_chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAST: &str = "{apiVersion: v1, kind: Config, current-context: east, contexts: [{name: east,
        context: {cluster: east, user: u, namespace: shop}}], clusters: [{name: east, cluster: {server: 'https://east'}}]}";
    const WEST: &str =
        "{apiVersion: v1, kind: Config, current-context: west, contexts: [{name: west,
        context: {cluster: west, user: u}}]}";

    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        for (name, text) in [("east", EAST), ("west", WEST)] {
            std::fs::write(place.path().join(name), text).expect("a file can be written");
        }
        place
    }

    fn joined(place: &Path, names: &[&str]) -> std::ffi::OsString {
        std::env::join_paths(names.iter().map(|name| place.join(name))).expect("joinable")
    }

    #[test]
    fn files_are_merged_and_the_missing_ones_left_out() {
        let place = place();
        let named = joined(place.path(), &["gone", "east", "west"]);
        let both = read(&named, None).expect("two of them can be read");
        assert_eq!(both.current_context.as_deref(), Some("east"));
        assert_eq!(both.contexts.len(), 2);
        let gone = joined(place.path(), &["gone", "lost"]);
        let error = read(&gone, None).expect_err("there is none").to_string();
        assert!(error.contains("gone") && error.contains("lost"), "{error}");
    }

    #[test]
    fn without_a_name_the_one_at_home_is_taken() {
        let place = place();
        let none = read(OsStr::new(""), Some(place.path()));
        assert!(matches!(none, Err(FindError::Absent)));
        std::fs::create_dir(place.path().join(".kube")).expect("a folder can be made");
        std::fs::copy(place.path().join("west"), place.path().join(".kube/config"))
            .expect("a file can be copied");
        let usual = read(OsStr::new(""), Some(place.path())).expect("it can be read");
        assert_eq!(usual.current_context.as_deref(), Some("west"));
    }

    #[test]
    fn the_namespace_is_that_of_the_context() {
        let place = place();
        let of = |file: &str, context: Option<&str>| {
            namespace(&Access {
                context: context.map(str::to_owned),
                kubeconfig: Some(place.path().join(file)),
                ..Access::default()
            })
        };
        assert_eq!(of("east", None).as_deref(), Some("shop"));
        assert_eq!(of("east", Some("nowhere")), None);
        assert_eq!(of("west", None), None);
    }
}
