//! The proxy on the way to the API server, as kubectl chooses it.
//!
//! kube holds `NO_PROXY` against the proxy's own address instead of the API server's, so this is
//! decided here.

use http::Uri;
use http::uri::InvalidUri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::Kubeconfig;

use super::Access;

/// What the environment says of proxies.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// For `https` addresses.
    https: Option<String>,
    /// For `http` addresses.
    http: Option<String>,
    /// Hosts, domains and address ranges that are reached without one.
    except: Option<String>,
}

impl Environment {
    /// That of this process. A variable that is empty is not set.
    pub(super) fn of_process() -> Environment {
        let one = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let either = |name: &str| one(name).or_else(|| one(&name.to_lowercase()));
        Environment {
            https: either("HTTPS_PROXY"),
            http: either("HTTP_PROXY"),
            except: either("NO_PROXY"),
        }
    }

    fn proxy_for(&self, server: &Uri) -> Option<&str> {
        let proxy = match server.scheme_str() {
            Some("http") => self.http.as_deref()?,
            _ => self.https.as_deref()?,
        };
        let except = self.except.as_deref().unwrap_or("");
        // The matcher takes this for every name, and not for addresses.
        if except.split(',').any(|one| one.trim() == "*") {
            return None;
        }
        let matcher = Matcher::builder().all("http://proxy").no(except).build();
        matcher.intercept(server).map(|_| proxy)
    }
}

/// The proxy to take: that of the kubeconfig, whatever else is said; else that of the environment.
///
/// # Errors
/// What names it is no URL.
pub(super) fn choose(
    named: Option<&str>,
    server: &Uri,
    environment: &Environment,
) -> Result<Option<Uri>, InvalidUri> {
    let named = named.filter(|text| !text.is_empty());
    let Some(proxy) = named.or_else(|| environment.proxy_for(server)) else {
        return Ok(None);
    };
    // As curl and Go's programs take it.
    let url = if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    };
    url.parse().map(Some)
}

/// What a kubeconfig says of the proxy to its cluster.
pub(super) fn named(kubeconfig: &Kubeconfig, access: &Access) -> Option<String> {
    let context = super::kubeconfig::context(kubeconfig, access)?;
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = clusters.find(|cluster| cluster.name == context.cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(named: Option<&str>, except: &str, server: &str) -> Option<String> {
        let environment = Environment {
            https: Some("proxy.corp:3128".to_owned()),
            http: None,
            except: Some(except.to_owned()),
        };
        let server = server.parse().expect("a URL");
        let proxy = choose(named, &server, &environment).expect("a URL");
        proxy.map(|proxy| proxy.to_string())
    }

    #[test]
    fn what_the_kubeconfig_names_goes_before_the_environment_and_its_exceptions() {
        let named = chosen(Some("socks5://a:1080"), "*", "https://10.0.0.1:6443");
        assert_eq!(named.as_deref(), Some("socks5://a:1080/"));
        let of_environment = chosen(None, "", "https://10.0.0.1:6443");
        assert_eq!(of_environment.as_deref(), Some("http://proxy.corp:3128/"));
        assert_eq!(chosen(None, "", "http://10.0.0.1:8080"), None);
    }

    #[test]
    fn an_exception_is_of_the_server_and_not_of_the_proxy() {
        for except in ["10.0.0.1", "10.0.0.0/8", "*"] {
            assert_eq!(
                chosen(None, except, "https://10.0.0.1:6443"),
                None,
                "{except}"
            );
        }
        assert_eq!(chosen(None, ".east.corp", "https://k8s.east.corp"), None);
        let other = chosen(None, "proxy.corp,10.1.0.0/16", "https://10.0.0.1:6443");
        assert!(other.is_some());
    }
}
