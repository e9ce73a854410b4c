//! The monitoring systems and where they run.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::record::Vantage;

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
