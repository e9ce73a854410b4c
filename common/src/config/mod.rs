//! `chaos.toml`: what the tools have to know of the application and its surroundings.
//!
//! Every key is documented here where it is defined, and stands in `scripts/ecommerce.toml` with
//! the runbook's value. An unknown key is an error. Secrets never stand in the file: it names a
//! file or an environment variable instead (see [`Secret`]). Relative paths count from the file's
//! folder.

mod backup;
mod data;
mod expectation;
mod experiment;
mod load;
mod logs;
mod secret;
mod source;
mod span;
mod table;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::backup::{Backup, BackupKind, DrillQuery, DrillSettings, Place, S3};
pub use self::data::DataPath;
pub use self::expectation::{Deviation, Expectation};
pub use self::experiment::{ExperimentSettings, ExperimentTables};
pub use self::load::{Loaded, load};
pub use self::logs::LogPatterns;
pub use self::secret::Secret;
pub use self::span::Span;
pub use self::table::Table;
use crate::record::Vantage;

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
    /// URLs outside of the cluster's Services that must answer: `[[url]]`.
    #[serde(rename = "url")]
    pub urls: Vec<Url>,
    /// How health is judged.
    pub health: HealthSettings,
    /// The monitoring systems.
    pub monitoring: Option<Monitoring>,
    /// The application's database.
    pub database: Option<Database>,
    /// The backups: `[[backup]]`.
    #[serde(rename = "backup")]
    pub backups: Vec<Backup>,
    /// The object storage of backups whose path is an `s3://` URL.
    pub s3: S3,
    /// How it is proven that they restore. Without it, that is not asked.
    pub drill: Option<DrillSettings>,
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
        Application {
            name: "the application".to_owned(),
            namespace: None,
        }
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
    /// It speaks https. Its certificate must be of the name `SERVICE.NAMESPACE`, from an authority
    /// that this machine trusts (or `SSL_CERT_FILE` names); through the API server it is not looked
    /// at.
    #[serde(default)]
    pub https: bool,
    /// From where it is asked: `auto` (default), `direct`, `api-proxy`, `port-forward` or
    /// `exec:deployment/NAME`.
    #[serde(default)]
    pub vantage: Vantage,
    /// Path that must answer with a status in the 200s. Without it the Service is not asked.
    #[serde(default)]
    pub health: Option<String>,
    /// What the answer of `health` must be besides.
    #[serde(default)]
    pub expect: Expectation,
    /// Paths whose answers are data: status in the 200s and JSON, before and after, and what else
    /// is expected of them.
    #[serde(default)]
    pub data: Vec<DataPath>,
    /// Paths whose response times are measured before and after.
    #[serde(default)]
    pub timed: Vec<String>,
}

/// `[[url]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Url {
    /// The address, `http://` or `https://`, asked from where the tool runs.
    pub url: String,
    /// What its answer must be.
    #[serde(default)]
    pub expect: Expectation,
    /// File with the certificates that are trusted instead of the system's, in PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// `[health]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSettings {
    /// Checks that are left out, by their ids (`chaos-health explain` lists them).
    pub skip: Vec<String>,
    /// How far back restarts, crashes and warning events count.
    pub window: Span,
    /// Time that a certificate must still be valid.
    pub certificate_left: Span,
    /// Share of a quota whose use is worth a warning, in per cent; all of it fails.
    pub quota_percent: f64,
}

impl Default for HealthSettings {
    fn default() -> HealthSettings {
        HealthSettings {
            skip: Vec::new(),
            window: Span::seconds(10 * 60),
            certificate_left: Span::seconds(14 * 24 * 60 * 60),
            quota_percent: 90.0,
        }
    }
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
    /// Whether its logs are searched for lines that tell of errors after an experiment, and for
    /// which.
    #[serde(default)]
    pub logs: LogPatterns,
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
    /// Prometheus: asked for `/-/ready`, the query `up` and the alerts that fire.
    #[serde(default)]
    pub prometheus: Option<MonitoringSystem>,
    /// Grafana: asked for `/api/health`.
    #[serde(default)]
    pub grafana: Option<MonitoringSystem>,
    /// Alertmanager: asked for `/-/ready` and the alerts that are silenced.
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
    /// Host for `direct`; a path is the folder of the server's socket. Also the name that the
    /// server's certificate must have.
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
    /// Encryption for `direct` (`verify` if left out) and `port-forward` (`none` if left out: the
    /// tunnel is encrypted by itself).
    #[serde(default)]
    pub tls: Option<DatabaseTls>,
    /// PEM file of the authorities that may have signed the server's certificate; those that the
    /// system trusts if left out.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Time that the server may take for one statement, such as the fingerprint of one table.
    #[serde(default = "one_minute")]
    pub statement_timeout: Span,
    /// Tables whose rows are counted and fingerprinted before and after.
    #[serde(default)]
    pub tables: Vec<Table>,
}

/// Encryption of the way to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseTls {
    /// Encrypted, and the server must show a certificate for its name that is trusted.
    Verify,
    /// Encrypted, whatever certificate the server shows.
    Require,
    /// Not encrypted.
    None,
}

fn one_minute() -> Span {
    Span::seconds(60)
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
    /// Lines that tell of errors that a workload's logs may have gained since the experiment began.
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
    /// Requests to each timed path, one after the other, where no load is asked for.
    pub requests: usize,
    /// How many times the baseline's median, 95th and 99th percentile may be afterwards, and the
    /// processor time and memory that a workload uses under load.
    pub max_ratio: f64,
    /// Milliseconds that they may be longer whatever the ratio says: quick answers vary a lot.
    pub allowance_ms: f64,
    /// Percentage points by which more requests may fail under load than in the baseline.
    pub max_error_points: f64,
    /// Image with `chaos-verify` in its `PATH`: load then comes from pods of a Job in the
    /// application's namespace. Left out, it comes from the tool itself, which must be where it
    /// reaches the Services directly.
    pub image: Option<String>,
    /// Kinds of load that `--load` names: `[[performance.profile]]`.
    #[serde(rename = "profile")]
    pub profiles: Vec<LoadProfile>,
}

impl Default for Performance {
    fn default() -> Performance {
        Performance {
            requests: 50,
            max_ratio: 1.5,
            allowance_ms: 20.0,
            max_error_points: 1.0,
            image: None,
            profiles: vec![LoadProfile::default()],
        }
    }
}

/// `[[performance.profile]]`
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadProfile {
    /// Its name.
    pub name: String,
    /// Requests to each timed path a second, whether or not earlier ones are answered.
    pub rate: f64,
    /// How long the load lasts that counts.
    pub duration: Span,
    /// How long load lasts before that, uncounted.
    pub warm_up: Span,
    /// Time that one request may take, from when it was due.
    pub timeout: Span,
    /// Connections to each Service from the start, all pods together. A Service gives each
    /// connection one of its pods, so there should be several times as many.
    pub connections: usize,
    /// Speak HTTP/2 rather than HTTP/1.1.
    pub http2: bool,
    /// Pods that share the load, where `image` is set.
    pub pods: u16,
}

impl Default for LoadProfile {
    fn default() -> LoadProfile {
        LoadProfile {
            name: "normal".to_owned(),
            rate: 20.0,
            duration: Span::seconds(5 * 60),
            warm_up: Span::seconds(5),
            timeout: Span::seconds(5),
            connections: 16,
            http2: false,
            pods: 1,
        }
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
        ReportSettings {
            archive: PathBuf::from("experiment-reports"),
        }
    }
}
