//! The monitoring systems, wherever they are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::http_access::{HeaderText, HttpAccess, Identity, Login};
use super::misfit::Misfit;
use super::{Credential, Matcher};
use crate::record::{PodSource, Vantage};

/// `[monitoring]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Table")]
#[schemars(with = "Table")]
pub struct Monitoring {
    /// Namespace of the systems that are in the cluster; empty if none is.
    pub namespace: String,
    /// Which alerts are the application's: those that satisfy all of these. `None`: those of its
    /// namespace, and those that are of no namespace.
    pub alerts: Option<Vec<Matcher>>,
    /// Prometheus: asked for `/-/ready`, the query `up` and the alerts that fire.
    pub prometheus: Option<MonitoringSystem>,
    /// Grafana: asked for `/api/health`.
    pub grafana: Option<MonitoringSystem>,
    /// Alertmanager: asked for `/-/ready` and the alerts that are silenced.
    pub alertmanager: Option<MonitoringSystem>,
}

impl Monitoring {
    /// The systems that are configured, with the key of each.
    pub fn systems(&self) -> impl Iterator<Item = (&'static str, &MonitoringSystem)> {
        let systems = [
            ("prometheus", &self.prometheus),
            ("grafana", &self.grafana),
            ("alertmanager", &self.alertmanager),
        ];
        systems
            .into_iter()
            .filter_map(|(name, system)| Some((name, system.as_ref()?)))
    }

    /// All files that it names.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let systems = [
            &mut self.prometheus,
            &mut self.grafana,
            &mut self.alertmanager,
        ];
        let systems = systems.into_iter().flatten();
        systems.flat_map(|system| system.access.files_mut())
    }
}

/// `[monitoring.prometheus]`, `[monitoring.grafana]`, `[monitoring.alertmanager]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "SystemTable")]
#[schemars(with = "SystemTable")]
pub struct MonitoringSystem {
    /// What runs it. `None`: its pods are not looked at.
    pub workload: Option<PodSource>,
    /// Where it answers.
    pub place: Place,
    /// What is put before every path: empty, or `/prometheus`.
    pub prefix: String,
    /// How it is asked there.
    pub access: HttpAccess,
}

/// Where a system answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// A Service in the namespace of the monitoring.
    Service {
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
        /// It speaks https.
        https: bool,
        /// From where it is asked.
        vantage: Vantage,
    },
    /// A host, asked from where the tool runs.
    Host {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// It speaks https.
        https: bool,
    },
}

/// `[monitoring]` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Namespace of the systems that are in the cluster.
    #[serde(default)]
    namespace: String,
    /// Which alerts are the application's; others are warnings. By default those of its namespace
    /// and those without one.
    #[serde(default)]
    alerts: Option<Vec<Matcher>>,
    /// Prometheus.
    #[serde(default)]
    prometheus: Option<MonitoringSystem>,
    /// Grafana.
    #[serde(default)]
    grafana: Option<MonitoringSystem>,
    /// Alertmanager.
    #[serde(default)]
    alertmanager: Option<MonitoringSystem>,
}

/// A system as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SystemTable {
    /// What runs it: `statefulset/NAME`, `deployment/NAME`, `KIND.GROUP/NAME` or `selector=LABELS`.
    /// Without it its pods are not looked at.
    #[serde(default, alias = "deployment")]
    workload: Option<PodSource>,
    /// Its Service.
    #[serde(default)]
    service: Option<String>,
    /// The Service's port.
    #[serde(default)]
    port: Option<u16>,
    /// The Service speaks https.
    #[serde(default)]
    https: bool,
    /// What is put before every path, such as `/prometheus`.
    #[serde(default)]
    path: Option<String>,
    /// From where the Service is asked, as for `[[service]]`. What wants credentials or a
    /// certificate is asked by `port-forward` from outside the cluster: the API server keeps
    /// `Authorization` to itself.
    #[serde(default)]
    vantage: Option<Vantage>,
    /// Its address instead of a Service, asked from where the tool runs.
    #[serde(default)]
    url: Option<String>,
    /// PEM file of the authorities that may have signed its certificate; those that the system
    /// trusts if left out.
    #[serde(default)]
    ca: Option<PathBuf>,
    /// PEM file of our own certificate.
    #[serde(default)]
    certificate: Option<PathBuf>,
    /// PEM file of its key.
    #[serde(default)]
    key: Option<PathBuf>,
    /// Sent as `Authorization: Bearer`.
    #[serde(default)]
    token: Option<Credential>,
    /// Sent with the password as `Authorization: Basic`.
    #[serde(default)]
    user: Option<String>,
    /// See `user`.
    #[serde(default)]
    password: Option<Credential>,
    /// Headers of every request, such as the tenant's: a text or a secret each.
    #[serde(default)]
    headers: BTreeMap<String, HeaderText>,
}

impl TryFrom<Table> for Monitoring {
    type Error = Misfit;

    fn try_from(table: Table) -> Result<Monitoring, Misfit> {
        let monitoring = Monitoring {
            namespace: table.namespace,
            alerts: table.alerts,
            prometheus: table.prometheus,
            grafana: table.grafana,
            alertmanager: table.alertmanager,
        };
        let inside = |system: &MonitoringSystem| {
            system.workload.is_some() || matches!(system.place, Place::Service { .. })
        };
        if monitoring.namespace.is_empty()
            && let Some((name, _)) = monitoring.systems().find(|(_, system)| inside(system))
        {
            return Err(Misfit::new(format!(
                "missing field `namespace`: monitoring.{name} is in the cluster, and nothing says \
                 where"
            )));
        }
        Ok(monitoring)
    }
}

impl TryFrom<SystemTable> for MonitoringSystem {
    type Error = Misfit;

    fn try_from(table: SystemTable) -> Result<MonitoringSystem, Misfit> {
        let identity = Identity::of(table.certificate, table.key)?;
        let access = HttpAccess {
            ca: table.ca,
            identity,
            login: Login::of(table.token, table.user, table.password)?,
            headers: table.headers,
        };
        let (place, prefix) = match (table.url, table.service) {
            (Some(url), None) => {
                if table.port.is_some() || table.path.is_some() || table.vantage.is_some() {
                    let why = "port, path and vantage go with a service: a url says all of it";
                    return Err(Misfit::new(why));
                }
                host(&url)?
            }
            (None, Some(name)) => {
                let port = table.port;
                let port =
                    port.ok_or_else(|| Misfit::new("missing field `port`: the Service's"))?;
                let vantage = table.vantage.unwrap_or_default();
                carries(&vantage, &access)?;
                let place = Place::Service {
                    name,
                    port,
                    https: table.https,
                    vantage,
                };
                (place, prefix(&table.path.unwrap_or_default())?)
            }
            (None, None) => return Err(Misfit::new("missing field `service`, or `url`")),
            (Some(_), Some(_)) => {
                let why = "service and url exclude each other: it is asked at one of them";
                return Err(Misfit::new(why));
            }
        };
        Ok(MonitoringSystem {
            workload: table.workload,
            place,
            prefix,
            access,
        })
    }
}

/// Whether a vantage can carry what is to be shown on the way.
fn carries(vantage: &Vantage, access: &HttpAccess) -> Result<(), Misfit> {
    let own = access.wants_own_connection();
    match vantage {
        Vantage::ApiProxy if own => Err(Misfit::new(
            "the API server keeps credentials and certificates to itself: use the vantage \
             port-forward, or direct inside the cluster",
        )),
        Vantage::Exec(_) if own || !access.headers.is_empty() => Err(Misfit::new(
            "credentials and headers would stand in the arguments of a command: use the vantage \
             port-forward, or direct inside the cluster",
        )),
        _ => Ok(()),
    }
}

/// Host, port and path of an address.
fn host(url: &str) -> Result<(Place, String), Misfit> {
    let wrong = || {
        Misfit::new(format!(
            "{url:?} is no address of a server: write https://HOST[:PORT][/PATH]"
        ))
    };
    let parsed: http::Uri = url.parse().map_err(|_| wrong())?;
    let https = match parsed.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(wrong()),
    };
    let authority = parsed.authority().ok_or_else(wrong)?;
    if authority.as_str().contains('@') {
        let why = "a secret does not stand in this file: name it as user and password";
        return Err(Misfit::new(why));
    }
    if parsed.query().is_some() {
        return Err(wrong());
    }
    let place = Place::Host {
        host: authority.host().to_owned(),
        port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
        https,
    };
    Ok((place, prefix(parsed.path())?))
}

/// A prefix begins with a slash and does not end with one; a slash alone is none.
fn prefix(path: &str) -> Result<String, Misfit> {
    let path = path.trim_end_matches('/');
    if path.is_empty() || path.starts_with('/') {
        return Ok(path.to_owned());
    }
    let why = format!("{path:?} is no path: it begins with a slash");
    Err(Misfit::new(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn read(text: &str) -> Result<Monitoring, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn prometheus(keys: &str) -> Result<MonitoringSystem, String> {
        let text = format!("namespace = \"m\"\n[prometheus]\n{keys}");
        read(&text).map(|monitoring| monitoring.prometheus.expect("it is there"))
    }

    #[test]
    fn a_service_of_any_workload() {
        let system = prometheus(
            "workload = \"sts/prometheus-kps\"\nservice = \"kps\"\nport = 9090\npath = \"/prometheus/\"\n\
             user = \"u\"\npassword = { secret = \"s\", key = \"k\" }",
        )
        .expect("good");
        let workload = system.workload.expect("named");
        assert_eq!(workload.to_string(), "statefulset/prometheus-kps");
        assert_eq!(system.prefix, "/prometheus");
        assert!(system.access.wants_own_connection());
        let old = prometheus("deployment = \"p\"\nservice = \"p\"\nport = 9090").expect("good");
        assert_eq!(old.workload.expect("named").to_string(), "deployment/p");
    }

    #[test]
    fn an_address_outside_needs_no_namespace() {
        let text = "[prometheus]\nurl = \"https://thanos.example.com/team/\"\ntoken = { env = \"T\" }\n\
                    headers = { \"X-Scope-OrgID\" = \"shop\" }";
        let system = read(text).expect("good").prometheus.expect("it is there");
        let place = Place::Host {
            host: "thanos.example.com".to_owned(),
            port: 443,
            https: true,
        };
        assert_eq!((system.place, system.prefix.as_str()), (place, "/team"));
        let token = Credential::Local(Secret::Env("T".to_owned()));
        assert_eq!(system.access.login, Some(Login::Bearer(token)));
    }

    #[test]
    fn what_does_not_fit_together_is_refused_by_name() {
        let refused = |keys: &str| prometheus(keys).expect_err(keys);
        let service = "service = \"p\"\nport = 9090\n";
        assert!(refused("service = \"p\"").contains("`port`"));
        assert!(refused("workload = \"p\"").contains("`service`, or `url`"));
        assert!(refused(&format!("{service}url = \"http://p\"")).contains("exclude"));
        assert!(refused(&format!("{service}user = \"u\"")).contains("go together"));
        assert!(refused(&format!("{service}certificate = \"c\"")).contains("go together"));
        assert!(refused(&format!("{service}path = \"x\"")).contains("slash"));
        let proxied = format!("{service}vantage = \"api-proxy\"\ntoken = {{ env = \"T\" }}");
        assert!(refused(&proxied).contains("port-forward"));
        let secret = refused("url = \"http://u:hunter2@p/\"");
        assert!(!secret.contains("hunter2"), "{secret}");
        assert!(refused("url = \"p:9090\"").contains("no address"));
        assert!(refused("url = \"http://p\"\nport = 1").contains("a url says all"));
        let nowhere = read("[prometheus]\nservice = \"p\"\nport = 9090").expect_err("nowhere");
        assert!(nowhere.contains("`namespace`"), "{nowhere}");
    }
}
