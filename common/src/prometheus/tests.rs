use super::*;

#[test]
fn a_vector_and_a_matrix_are_series_with_samples() {
    let vector = br#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"job":"a"},"value":[1.5,"1"]}]}}"#;
    let answer: Envelope<QueryResult> = parse(200, vector).expect("a vector");
    let series = &answer.data.result[0];
    assert_eq!(series.labels["job"], "a");
    assert_eq!(series.samples, [(1.5, "1".to_owned())]);
    let matrix = br#"{"data":{"result":[{"metric":{},"values":[[1,"1"],[2,"0"]]}]}}"#;
    let answer: Envelope<QueryResult> = parse(200, matrix).expect("a matrix");
    assert_eq!(answer.data.result[0].samples.len(), 2);
}

#[test]
fn refusals_and_other_pages_are_errors() {
    let refusal = br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let said = parse::<Envelope<QueryResult>>(400, refusal).err();
    let words = said.map(|error| error.to_string());
    assert_eq!(words.as_deref(), Some("answers 400: parse error"));
    let page = parse::<Envelope<AlertList>>(200, b"<html>");
    assert!(matches!(page, Err(ApiError::Malformed)));
    let page = parse::<Envelope<AlertList>>(200, b"{}");
    assert!(matches!(page, Err(ApiError::Malformed)));
}

#[test]
fn only_firing_alerts_fire() {
    let body = br#"{"data":{"alerts":[{"labels":{"alertname":"A"},"state":"firing"},
        {"labels":{"alertname":"B"},"state":"pending"}]}}"#;
    let answer: Envelope<AlertList> = parse(200, body).expect("alerts");
    let alerts = answer.data.alerts;
    assert_eq!(alerts[0].label("alertname"), "A");
    assert_eq!(
        (alerts[0].is_firing(), alerts[1].is_firing()),
        (true, false)
    );
}

fn labels(text: &str) -> Labels {
    let pairs = text
        .split(' ')
        .map(|pair| pair.split_once('=').expect("NAME=VALUE"));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Whether an alert is suppressed, where Alertmanager has those others; one whose labels begin
/// with a `!` is.
fn silent(alert: &str, there: &[&str]) -> bool {
    let alert = Alert {
        labels: labels(alert),
        annotations: Labels::new(),
        active_at: None,
        state: AlertState::Firing,
    };
    let routed = |text: &&str| {
        let state = match text.strip_prefix('!') {
            Some(_) => "suppressed",
            None => "active",
        };
        RoutedAlert {
            labels: labels(text.trim_start_matches('!')),
            status: RoutedStatus {
                state: state.to_owned(),
            },
        }
    };
    is_suppressed(&alert, &there.iter().map(routed).collect::<Vec<_>>())
}

#[test]
fn a_silenced_alert_is_known_though_labels_are_added_and_left_out_on_the_way() {
    let one = "alertname=A pod=1 replica=x";
    assert!(silent(one, &["!alertname=A pod=1 replica=x cluster=c"]));
    assert!(silent(one, &["!alertname=A pod=1 cluster=c"]));
    assert!(!silent(one, &["alertname=A pod=1 cluster=c"]));
    assert!(!silent(one, &["!alertname=B pod=1"]));
    assert!(!silent(one, &[]));
    let two = [
        "!alertname=A pod=1 cluster=c",
        "alertname=A pod=2 cluster=c",
    ];
    assert!(silent("alertname=A pod=1", &two));
    assert!(!silent("alertname=A pod=2", &two));
    // The likest counts, and not any that might be it.
    let other = ["!alertname=A", "alertname=A pod=2"];
    assert!(!silent("alertname=A pod=2", &other));
}

#[test]
fn a_silenced_alert_is_known_though_its_severity_is_rewritten_on_the_way() {
    let page = "alertname=A severity=page pod=1";
    assert!(silent(page, &["!alertname=A severity=critical pod=1"]));
    assert!(!silent(page, &["alertname=A severity=critical pod=1"]));
    // Another pod's is another alert, of which this one says nothing.
    assert!(!silent(page, &["!alertname=A severity=critical pod=2"]));
    let both = [
        "!alertname=A severity=critical pod=1",
        "alertname=A severity=warning pod=1",
    ];
    assert!(!silent(page, &both), "either may be it");
}

#[test]
fn rules_that_raise_alerts_are_told_from_those_that_record() {
    let body = br#"{"data":{"groups":[{"rules":[
        {"name":"Down","type":"alerting","health":"ok"},
        {"name":"Slow","type":"alerting","health":"err","lastError":"many-to-many"},
        {"name":"job:up","type":"recording","health":"ok"}]},{}]}}"#;
    let answer: Envelope<RuleGroups> = parse(200, body).expect("rules");
    let rules = answer.data.groups.into_iter().flat_map(|group| group.rules);
    let rules = alerting(rules.collect());
    let names: Vec<_> = rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.error.as_deref()))
        .collect();
    assert_eq!(names, [("Down", None), ("Slow", Some("many-to-many"))]);
}

#[test]
fn queries_are_encoded() {
    let path = Prometheus::query_path("up[60s]");
    assert_eq!(path, "/api/v1/query?query=up%5B60s%5D");
}
