//! `chaos.toml`: what the tools have to know of the application and its surroundings.
//!
//! Every key is documented here where it is defined, and stands in `scripts/ecommerce.toml` with
//! the runbook's value. An unknown key is an error. Secrets never stand in the file: it names a file
//! or an environment variable instead (see [`Secret`]). Relative paths count from the file's folder.

mod load;
mod secret;
mod span;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::load::{Loaded, load};
pub use self::secret::Secret;
pub use self::span::Span;
use crate::vantage::Vantage;

/// The whole of `chaos.toml`. Everything may be left out; what is left out is not checked.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The application under test.
    pub application: Application,
    /// Its Services and how they are asked: `[[service]]`.
    #[serde(rename = "service")]
    pub services: Vec<Service>,
    /// Its workloads and what each is for: `[[workload]]`.
    #[serde(rename = "workload")]
    pub workloads: Vec<Workload>,
    /// The monitoring systems.
    pub monitoring: Option<Monitoring>,
    /// The application's database.
    pub database: Option<Database>,
    /// The backups: `[[backup]]`.
    #[serde(rename = "backup")]
    pub backups: Vec<Backup>,
    /// The channels that notifications go to.
    pub notify: Notify,
    /// People to call: `[[contact]]`.
    #[serde(rename = "contact")]
    pub contacts: Vec<Contact>,
    /// Thresholds and safety limits.
    pub limits: Limits,
    /// How response times are measured and judged.
    pub performance: Performance,
    /// How experiments run.
    pub experiment: ExperimentSettings,
    /// Where reports go.
    pub report: ReportSettings,
}

/// `[application]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Application {
    /// Its name in messages and reports.
    pub name: String,
    /// Its namespace. The flag `--namespace` goes before it.
    pub namespace: Option<String>,
}

impl Default for Application {
    fn default() -> Application {
        Application { name: "the application".to_owned(), namespace: None }
    }
}

/// `[[service]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The Service's name.
    pub name: String,
    /// The port it is asked on.
    pub port: u16,
    /// Its namespace, if that is not the application's.
    #[serde(default)]
    pub namespace: Option<String>,
    /// From where it is asked: `auto` (default), `direct`, `api-proxy`, `port-forward` or
    /// `exec:deployment/NAME`.
    #[serde(default)]
    pub vantage: Vantage,
    /// Path that must answer with a status in the 200s. Without it the Service is not asked.
    #[serde(default)]
    pub health: Option<String>,
    /// Paths whose answers are data: status in the 200s and JSON, before and after.
    #[serde(default)]
    pub data: Vec<String>,
    /// Paths whose response times are measured before and after.
    #[serde(default)]
    pub timed: Vec<String>,
}

/// `[[workload]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// `Deployment` (default), `StatefulSet` or `DaemonSet`.
    #[serde(default = "deployment")]
    pub kind: String,
    /// What it is for: `frontend`, `backend`, `database` or another word. Shown in reports.
    #[serde(default)]
    pub role: String,
    /// Whether its logs are searched for ERROR lines after an experiment.
    #[serde(default)]
    pub logs: bool,
}

fn deployment() -> String {
    "Deployment".to_owned()
}

/// `[monitoring]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// Namespace of the monitoring systems.
    pub namespace: String,
    /// Prometheus: asked for `/-/ready` and the query `up`.
    #[serde(default)]
    pub prometheus: Option<MonitoringSystem>,
    /// Grafana: asked for `/api/health`.
    #[serde(default)]
    pub grafana: Option<MonitoringSystem>,
    /// Alertmanager: asked for `/-/ready`.
    #[serde(default)]
    pub alertmanager: Option<MonitoringSystem>,
}

/// `[monitoring.prometheus]`, `[monitoring.grafana]`, `[monitoring.alertmanager]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonitoringSystem {
    /// Its Deployment.
    pub deployment: String,
    /// Its Service.
    pub service: String,
    /// The Service's port.
    pub port: u16,
    /// From where it is asked, as for `[[service]]`.
    #[serde(default)]
    pub vantage: Vantage,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The Deployment that runs PostgreSQL.
    pub deployment: String,
    /// How it is reached: `exec` (`psql` inside its pod, as the runbook does), `port-forward` or
    /// `direct`.
    #[serde(default)]
    pub vantage: DatabaseVantage,
    /// Host for `direct`.
    #[serde(default)]
    pub host: Option<String>,
    /// PostgreSQL's port.
    #[serde(default = "postgres_port")]
    pub port: u16,
    /// The database.
    pub name: String,
    /// The user; with `exec` the pod's own default if left out.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password, for `port-forward` and `direct`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Tables whose rows are counted before and after.
    #[serde(default)]
    pub tables: Vec<String>,
}

fn postgres_port() -> u16 {
    5432
}

/// How a database is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseVantage {
    /// `psql` inside the database's pod.
    #[default]
    Exec,
    /// A connection through the API server to the pod.
    PortForward,
    /// A connection to `host`.
    Direct,
}

/// `[[backup]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Its name in records.
    pub name: String,
    /// What it is: `postgres`, `tar` or `kubernetes`.
    pub kind: BackupKind,
    /// The file; a symbolic link such as `latest.dump` is followed and named.
    pub path: PathBuf,
    /// Oldest age that passes.
    #[serde(default = "one_day")]
    pub max_age: Span,
}

fn one_day() -> Span {
    Span::seconds(24 * 60 * 60)
}

/// What a backup file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupKind {
    /// A PostgreSQL dump in custom format (`pg_dump -Fc`).
    Postgres,
    /// A tar archive, plain or compressed with gzip.
    Tar,
    /// Exported Kubernetes objects in YAML or JSON.
    Kubernetes,
}

/// `[notify]`: each channel that is configured is used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Mail by SMTP.
    pub mail: Option<Mail>,
    /// A Slack incoming webhook.
    pub slack: Option<Slack>,
    /// A status page's API.
    pub status_page: Option<StatusPage>,
}

/// `[notify.mail]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The SMTP server.
    pub host: String,
    /// Its port; by default 465 for `tls`, 587 for `starttls`, 25 for `none`.
    #[serde(default)]
    pub port: Option<u16>,
    /// Encryption: `starttls` (default), `tls` or `none`.
    #[serde(default)]
    pub tls: MailTls,
    /// User to log in as; no login if left out.
    #[serde(default)]
    pub user: Option<String>,
    /// That user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Sender.
    pub from: String,
    /// Who gets all but `critical`.
    pub team: Vec<String>,
    /// Who gets `critical`, and `monthly` besides the team.
    #[serde(default)]
    pub management: Vec<String>,
}

/// How mail is encrypted on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Plain first, then encrypted; a server that doesn't offer it is refused.
    #[default]
    Starttls,
    /// Encrypted from the first byte.
    Tls,
    /// Not encrypted. For a server on the same machine.
    None,
}

/// `[notify.slack]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The incoming webhook's URL, which is a secret.
    pub webhook: Secret,
}

/// `[notify.status_page]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusPage {
    /// The URL that status changes are posted to.
    pub url: Secret,
    /// Sent as `Authorization: Bearer …`; left out, no such header is sent.
    #[serde(default)]
    pub token: Option<Secret>,
}

/// `[[contact]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// What the contact is for.
    pub role: String,
    /// Who it is.
    pub name: String,
    /// Telephone number.
    pub phone: String,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Processor use of a node above which it is not healthy, in per cent of what it can give.
    pub node_cpu_percent: f64,
    /// Memory use of a node above which it is not healthy, in per cent of what it can give.
    pub node_memory_percent: f64,
    /// Processor use of a pod above which it is not healthy, in per cent of its limit.
    pub pod_cpu_percent: f64,
    /// Memory use of a pod above which it is not healthy, in per cent of its limit.
    pub pod_memory_percent: f64,
    /// ERROR lines that a workload's logs may have gained since the experiment began.
    pub log_errors: u64,
    /// Oldest age of the health and backup records that let an experiment start.
    pub gate_max_age: Span,
    /// Namespaces that experiments may touch; the application's if left out.
    pub namespaces: Option<Vec<String>>,
    /// Largest share of a namespace's ready pods that an experiment may hit, in per cent.
    pub max_share_percent: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            node_cpu_percent: 90.0,
            node_memory_percent: 90.0,
            pod_cpu_percent: 95.0,
            pod_memory_percent: 90.0,
            log_errors: 0,
            gate_max_age: Span::seconds(15 * 60),
            namespaces: None,
            max_share_percent: 50.0,
        }
    }
}

/// `[performance]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Performance {
    /// Requests to each timed path, one after the other.
    pub requests: usize,
    /// How many times the baseline's 95th percentile a path may take afterwards.
    pub max_ratio: f64,
    /// Milliseconds that it may take longer whatever the ratio says: quick answers vary a lot.
    pub allowance_ms: f64,
}

impl Default for Performance {
    fn default() -> Performance {
        Performance { requests: 50, max_ratio: 1.5, allowance_ms: 20.0 }
    }
}

/// `[experiment]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentSettings {
    /// Time between two availability probes of a Service.
    pub probe_interval: Span,
    /// Time after which a probe counts as not answered.
    pub probe_timeout: Span,
    /// Share of probes that must be answered well through the whole run, in per cent.
    pub min_availability_percent: f64,
    /// How long the probes measure before the fault.
    pub warm_up: Span,
    /// How long they go on after everything has recovered.
    pub settle: Span,
    /// Settings of `pod-failure`.
    pub pod_failure: PodFailure,
}

impl Default for ExperimentSettings {
    fn default() -> ExperimentSettings {
        ExperimentSettings {
            probe_interval: Span::milliseconds(100),
            probe_timeout: Span::seconds(2),
            min_availability_percent: 99.0,
            warm_up: Span::seconds(2),
            settle: Span::seconds(3),
            pod_failure: PodFailure::default(),
        }
    }
}

/// `[experiment.pod_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PodFailure {
    /// Workloads that pods are taken from, as `deployment/NAME`, when no flag selects any.
    pub workloads: Vec<String>,
    /// How many pods of each.
    pub count: usize,
    /// Longest time that a pod may take to come back.
    pub recovery_limit: Span,
}

impl Default for PodFailure {
    fn default() -> PodFailure {
        PodFailure { workloads: Vec::new(), count: 1, recovery_limit: Span::seconds(120) }
    }
}

/// `[report]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSettings {
    /// Folder of reports and of the streams that they were made from.
    pub archive: PathBuf,
}

impl Default for ReportSettings {
    fn default() -> ReportSettings {
        ReportSettings { archive: PathBuf::from("experiment-reports") }
    }
}
