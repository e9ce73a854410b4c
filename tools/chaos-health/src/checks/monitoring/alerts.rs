//! Do alerts fire, and could they?

use std::collections::BTreeSet;

use futures::join;

use super::super::answers;
use super::super::catalogue::Explanation;
use super::{first_of, from_vantage, insist, is_foreign};
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::config::Monitoring;
use chaos_common::prometheus::{
    ALERTS_PATH, Alert, AlertingRule, Alertmanager, ApiError, Prometheus, RULES_PATH, RoutedAlert,
    is_suppressed,
};
use chaos_common::record::{Check, Status};

/// `monitoring.alerts`
pub(in super::super) const ALERTS: Explanation = Explanation {
    id: "monitoring.alerts",
    asks: "Do alerts fire now, and could they?",
    judges: "Fails for an alert that fires; only warns if its severity is warning, Alertmanager \
             has it silenced, or its namespace is none that is looked at. Severities none and \
             info and alerts that fire all the time (Watchdog) don't count. Warns of alerting \
             rules that can't be evaluated; unknown if there are none, as no alert can fire then.",
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
/// Alerts that fire all the time to show that alerts arrive, whatever their severity.
const ALWAYS: [&str; 3] = ["Watchdog", "DeadMansSwitch", "DeadMansSnitch"];

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
    ours: &BTreeSet<&str>,
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
            let mut checks = judge(&said, ours, &url);
            checks.extend(judge_rules(&said, &prometheus.url(RULES_PATH)));
            checks
        }
        Err(error) => vec![Check::unknown(ID, url, error.to_string())],
    };
    from_vantage(checks, &prometheus)
}

/// The alerts that fire.
fn judge(said: &Said, ours: &BTreeSet<&str>, url: &str) -> Vec<Check> {
    let firing = said.alerts.iter().filter(|alert| alert.is_firing());
    let judge = |alert: &Alert| judge_alert(alert, is_suppressed(alert, &said.routed), ours);
    let mut checks: Vec<Check> = firing.filter_map(judge).collect();
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

/// The check of an alert that fires, unless it does not count.
fn judge_alert(alert: &Alert, silenced: bool, ours: &BTreeSet<&str>) -> Option<Check> {
    let severity = alert.label("severity");
    let name = alert.label("alertname");
    let foreign = is_foreign(&alert.labels, ours);
    let status = match severity {
        "none" | "info" => return None,
        _ if ALWAYS.contains(&name) => return None,
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
        message.push_str(", in a namespace that is not looked at");
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
    Some(Check::new(ID, object, status, message))
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

    fn status(alert: &Alert) -> Option<Status> {
        judge_alert(alert, false, &BTreeSet::from(["shop", "monitoring"])).map(|c| c.status)
    }

    #[test]
    fn an_alert_of_another_namespace_only_warns() {
        let of = |namespace| status(&alert("CrashLooping", "critical", namespace));
        assert_eq!(of(Some("shop")), Some(Status::Fail));
        assert_eq!(of(Some("monitoring")), Some(Status::Fail));
        assert_eq!(of(Some("other")), Some(Status::Warn));
        assert_eq!(
            of(None),
            Some(Status::Fail),
            "it is about the whole cluster"
        );
        let mut exported = alert("CrashLooping", "critical", Some("monitoring"));
        let name = "exported_namespace".to_owned();
        exported.labels.insert(name, "other".to_owned());
        assert_eq!(status(&exported), Some(Status::Warn));
    }

    #[test]
    fn an_alert_that_always_fires_does_not_count_whatever_its_severity() {
        for severity in ["none", "info", "critical", ""] {
            assert_eq!(
                status(&alert("Watchdog", severity, Some("monitoring"))),
                None
            );
        }
        assert_eq!(status(&alert("DeadMansSwitch", "critical", None)), None);
        assert_eq!(status(&alert("DiskFull", "", None)), Some(Status::Fail));
    }

    fn said(alerts: &[Alert], rules: Result<Vec<AlertingRule>, ApiError>) -> Vec<Status> {
        let said = Said {
            alerts: alerts.to_vec(),
            rules,
            routed: Vec::new(),
        };
        let mut checks = judge(&said, &BTreeSet::from(["shop"]), "url");
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
