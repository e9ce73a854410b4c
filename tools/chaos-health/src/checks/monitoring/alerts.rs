//! Do alerts fire, and could they?

use futures::join;

use super::super::answers;
use super::super::catalogue::Explanation;
use super::{first_of, from_vantage, insist};
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::config::Monitoring;
use chaos_common::prometheus::{
    ALERTS_PATH, Alert, AlertScope, AlertingRule, Alertmanager, ApiError, Prometheus, RULES_PATH,
    RoutedAlert, counts, is_suppressed,
};
use chaos_common::record::{Check, Status};

/// `monitoring.alerts`
pub(in super::super) const ALERTS: Explanation = Explanation {
    id: "monitoring.alerts",
    asks: "Do alerts fire now, and could they?",
    judges: "Fails for an alert that fires; only warns if its severity is warning, Alertmanager \
             has it silenced, or it is not the application's: by the matchers of monitoring.alerts, \
             else by its namespace. Severities none and info and alerts that fire by design \
             (Watchdog, InfoInhibitor) don't count. Warns of alerting rules that can't be \
             evaluated; unknown if there are none, as no alert can fire then.",
    reads: "/api/v1/alerts and /api/v1/rules of Prometheus, /api/v2/alerts of Alertmanager",
    remedy: "the runbook that the alert names",
};

const ID: &str = ALERTS.id;
/// Labels that say what an alert is about; the first two that it has are shown.
const SUBJECTS: [&str; 6] = [
    "namespace",
    "pod",
    "deployment",
    "service",
    "job",
    "instance",
];

/// What Prometheus and Alertmanager say of alerts.
struct Said {
    alerts: Vec<Alert>,
    rules: Result<Vec<AlertingRule>, ApiError>,
    routed: Vec<RoutedAlert>,
}

/// `monitoring.alerts`: every alert that fires now and that nobody has silenced, and whether any
/// could fire.
pub(super) async fn examine(
    probe: &HttpProbe,
    monitoring: &Monitoring,
    scope: &AlertScope,
) -> Vec<Check> {
    let Some(prometheus) = Prometheus::of(probe, monitoring, answers::LIMIT) else {
        return vec![Check::skipped(ID, "", "Prometheus is not configured")];
    };
    let url = prometheus.url(ALERTS_PATH);
    let routed = async {
        match Alertmanager::of(probe, monitoring, answers::LIMIT) {
            // That it does not answer fails in `monitoring.alertmanager`.
            Some(alertmanager) => insist(probe, || alertmanager.alerts())
                .await
                .unwrap_or_default(),
            None => Vec::new(),
        }
    };
    let (alerts, rules, routed) = join!(
        insist(probe, || prometheus.alerts()),
        insist(probe, || prometheus.alerting_rules()),
        routed
    );
    let checks = match alerts {
        Ok(alerts) => {
            let said = Said {
                alerts,
                rules,
                routed,
            };
            let mut checks = judge(&said, scope, &url);
            checks.extend(judge_rules(&said, &prometheus.url(RULES_PATH)));
            checks
        }
        Err(error) => vec![Check::unknown(ID, url, error.to_string())],
    };
    from_vantage(checks, &prometheus)
}

/// The alerts that fire.
fn judge(said: &Said, scope: &AlertScope, url: &str) -> Vec<Check> {
    let firing = said.alerts.iter().filter(|alert| counts(alert));
    let judge = |alert: &Alert| judge_alert(alert, is_suppressed(alert, &said.routed), scope);
    let mut checks: Vec<Check> = firing.map(judge).collect();
    checks.sort_by_key(|check| check.status != Status::Fail);
    if !checks.is_empty() {
        return first_of(checks, ID, url);
    }
    let could_fire = said.rules.as_ref().is_ok_and(|rules| !rules.is_empty());
    // An alert that is there comes of a rule.
    if could_fire || !said.alerts.is_empty() {
        return vec![Check::pass(ID, url, "no alert fires")];
    }
    Vec::new()
}

/// Could an alert fire at all?
fn judge_rules(said: &Said, url: &str) -> Option<Check> {
    let rules = match &said.rules {
        Ok(rules) => rules,
        Err(_) if !said.alerts.is_empty() => return None,
        Err(error) => {
            let why = format!("no alert fires, and whether any could is not known: {error}");
            return Some(Check::unknown(ID, url, why));
        }
    };
    if rules.is_empty() && said.alerts.is_empty() {
        let why = "Prometheus has no alerting rules: no alert can fire, whatever happens";
        let hint = "load alerting rules, or leave this out with --skip monitoring.alerts";
        return Some(Check::unknown(ID, url, why).hint(hint));
    }
    let broken = |rule: &AlertingRule| Some((rule.name.clone(), rule.error.clone()?));
    let broken: Vec<(String, String)> = rules.iter().filter_map(broken).collect();
    let (name, why) = broken.first()?;
    let (number, all) = (broken.len(), rules.len());
    let message = format!(
        "{number} of {all} alerting rules can't be evaluated, so that they can't fire; {name}: {why}"
    );
    Some(Check::new(ID, url, Status::Warn, message))
}

/// The check of an alert that fires.
fn judge_alert(alert: &Alert, silenced: bool, scope: &AlertScope) -> Check {
    let severity = alert.label("severity");
    let name = alert.label("alertname");
    let foreign = !scope.holds(&alert.labels);
    let status = match severity {
        "warning" => Status::Warn,
        _ if silenced || foreign => Status::Warn,
        _ => Status::Fail,
    };
    let mut message = match severity {
        "" => "fires".to_owned(),
        severity => format!("fires ({severity})"),
    };
    if silenced {
        message.push_str(", and is silenced");
    }
    if foreign {
        message.push_str(", and is not the application's");
    }
    let annotation = |name: &str| alert.annotations.get(name);
    let text = annotation("summary").or_else(|| annotation("description"));
    message.extend(text.map(|text| format!(": {text}")));
    let mut object = format!("alert/{name}");
    let about = SUBJECTS.iter().filter(|name| !alert.label(name).is_empty());
    object.extend(
        about
            .take(2)
            .map(|name| format!(" {name}={}", alert.label(name))),
    );
    Check::new(ID, object, status, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(name: &str, severity: &str, namespace: Option<&str>) -> Alert {
        let mut labels = serde_json::json!({"alertname": name, "severity": severity});
        if let Some(namespace) = namespace {
            labels["namespace"] = namespace.into();
        }
        let value = serde_json::json!({"labels": labels, "state": "firing"});
        serde_json::from_value(value).expect("an alert")
    }

    fn scope() -> AlertScope {
        AlertScope::default().and(["shop"])
    }

    #[test]
    fn an_alert_of_another_namespace_only_warns() {
        let of = |namespace| {
            let alert = alert("CrashLooping", "critical", namespace);
            judge_alert(&alert, false, &scope()).status
        };
        assert_eq!(of(Some("shop")), Status::Fail);
        assert_eq!(of(Some("other")), Status::Warn);
        assert_eq!(of(None), Status::Fail, "it is about the whole cluster");
    }

    #[test]
    fn an_alert_that_always_fires_does_not_count_whatever_its_severity() {
        let of = |name: &str, severity: &str| {
            let rule = AlertingRule {
                name: name.to_owned(),
                error: None,
            };
            said(&[alert(name, severity, Some("shop"))], Ok(vec![rule]))
        };
        for severity in ["none", "info", "critical", ""] {
            assert_eq!(of("Watchdog", severity), [Status::Pass]);
        }
        assert_eq!(of("InfoInhibitor", "critical"), [Status::Pass]);
        assert_eq!(of("DiskFull", "info"), [Status::Pass]);
        assert_eq!(of("DiskFull", ""), [Status::Fail]);
    }

    fn said(alerts: &[Alert], rules: Result<Vec<AlertingRule>, ApiError>) -> Vec<Status> {
        let said = Said {
            alerts: alerts.to_vec(),
            rules,
            routed: Vec::new(),
        };
        let mut checks = judge(&said, &scope(), "url");
        checks.extend(judge_rules(&said, "url"));
        checks.iter().map(|check| check.status).collect()
    }

    #[test]
    fn that_no_alert_fires_says_nothing_where_none_could() {
        let rule = |error: Option<&str>| AlertingRule {
            name: "Down".to_owned(),
            error: error.map(str::to_owned),
        };
        let (pass, unknown, warn) = (Status::Pass, Status::Unknown, Status::Warn);
        assert_eq!(said(&[], Ok(vec![rule(None)])), [pass]);
        assert_eq!(said(&[], Ok(vec![])), [unknown]);
        assert_eq!(said(&[], Err(ApiError::Malformed)), [unknown]);
        assert_eq!(
            said(&[], Ok(vec![rule(None), rule(Some("x"))])),
            [pass, warn]
        );
        // An alert that is there shows that there are rules.
        let watchdog = alert("Watchdog", "none", None);
        assert_eq!(said(&[watchdog], Err(ApiError::Malformed)), [pass]);
    }
}
