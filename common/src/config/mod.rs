//! `chaos.toml`: what the tools have to know of the application and its surroundings.
//!
//! Every key is documented here where it is defined, and stands in `scripts/ecommerce.toml` with
//! the runbook's value. An unknown key is an error. Secrets never stand in the file: it names a
//! file or an environment variable instead (see [`Secret`]). Relative paths count from the file's
//! folder.

mod backup;
mod backup_kind;
mod backup_tool;
mod condition;
mod credential;
mod data;
mod database;
mod expectation;
mod experiment;
mod http_access;
mod load;
mod logs;
mod matcher;
mod misfit;
mod monitoring;
mod notify;
mod performance;
mod probe;
mod report;
mod secret;
mod service;
mod setting;
mod source;
mod span;
mod table;
mod wanted;
mod workload;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::backup::{
    Backup, ClaimReader, DrillSettings, DrillSql, DumpHolds, Location, LocationError, S3,
};
pub use self::backup_kind::{BackupKind, BackupTool};
pub use self::backup_tool::{CloudNativePg, PgBackRest, Restic, Velero};
pub use self::condition::{Condition, NotACondition, NotComparable};
pub use self::credential::Credential;
pub use self::data::{DataDeviation, DataPath, LONGEST_ANSWER};
pub use self::database::{Database, DatabaseTls, DatabaseVantage};
pub use self::expectation::{Deviation, Expectation};
pub use self::experiment::{ExperimentSettings, ExperimentTables};
pub use self::http_access::{HeaderText, HttpAccess, Identity, Login};
pub use self::load::{Loaded, load, load_with};
pub use self::logs::LogPatterns;
pub use self::matcher::{AlertSelector, Matcher, MatcherError};
pub use self::misfit::Misfit;
pub use self::monitoring::{Monitoring, MonitoringSystem, Place};
pub use self::notify::NotifyTable;
pub use self::performance::{LoadProfile, Performance};
pub use self::probe::{During, Probe, Question};
pub use self::report::{ReportDatabase, ReportGoals, ReportSettings};
pub use self::secret::{Secret, SecretError};
pub use self::service::{Service, Url};
pub use self::setting::{NotASetting, Setting};
pub use self::span::{NotASpan, Span};
pub use self::table::Table;
pub use self::wanted::{NotWanted, Wanted};
pub use self::workload::Workload;

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
    /// The steady state in the user's own terms: `[[probe]]`.
    #[serde(rename = "probe")]
    pub probes: Vec<Probe>,
    /// How health is judged.
    pub health: HealthSettings,
    /// The monitoring systems.
    pub monitoring: Option<Monitoring>,
    /// The application's database.
    pub database: Option<Database>,
    /// What of the ConfigMaps and Secrets is held against the baseline.
    pub configuration: ConfigurationSettings,
    /// The backups: `[[backup]]`.
    #[serde(rename = "backup")]
    pub backups: Vec<Backup>,
    /// The object storage of backups whose path is an `s3://` URL.
    pub s3: S3,
    /// How it is proven that they restore. Without it, that is not asked.
    pub drill: Option<DrillSettings>,
    /// `[notify]`: the channels that notifications go to.
    #[serde(skip)]
    pub notify: NotifyTable,
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

/// `[configuration]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigurationSettings {
    /// ConfigMaps and Secrets that change by themselves and are not compared, as `configmap/NAME`
    /// or `secret/NAME`; `*` stands for any characters.
    pub ignore: Vec<String>,
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
    /// How long after an outage that was expected such lines may still come, of requests that began
    /// in it, without being counted.
    pub log_quiet: Span,
    /// Oldest age of the health and backup records that let an experiment start.
    pub gate_max_age: Span,
    /// Namespaces that experiments may touch; the application's if left out.
    pub namespaces: Option<Vec<String>>,
    /// Largest share of a namespace's ready pods that an experiment may hit, in per cent.
    pub max_share_percent: f64,
    /// Whether an experiment needs a watcher in the cluster (`chaos-inject watch`), which undoes what
    /// is left behind.
    pub watch: Watch,
}

/// What it means that nobody in the cluster is on watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Watch {
    /// A plan warns.
    #[default]
    Advised,
    /// A plan is refused.
    Required,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            node_cpu_percent: 90.0,
            node_memory_percent: 90.0,
            pod_cpu_percent: 95.0,
            pod_memory_percent: 90.0,
            log_errors: 0,
            log_quiet: Span::seconds(30),
            gate_max_age: Span::seconds(15 * 60),
            namespaces: None,
            max_share_percent: 50.0,
            watch: Watch::Advised,
        }
    }
}
