//! Each rule with a run that it applies to, and one that it must not say a word of.

use chaos_common::record::{
    AlertSeen, ChannelOutcome, Check, EventKind, Loss, LossHolder, Outcome, Overridden, Status,
};

use super::{Lessons, RULES};
use crate::findings::examples::{self, Run, workload};

type Change = fn(&mut Run);

/// A rule, a change to a good run after which it says this, and one after which it must not speak.
struct Case {
    rule: &'static str,
    applies: Change,
    says: &'static str,
    silent: Change,
}

/// What a good run is already.
fn as_it_is(_: &mut Run) {}

fn alert(fired_ms: Option<f64>, delivered_ms: Option<f64>, expected: bool) -> Vec<AlertSeen> {
    vec![AlertSeen {
        name: "BackendDown".into(),
        expected,
        before: false,
        fired_ms,
        delivered_ms,
    }]
}

fn outage(run: &mut Run) {
    let seen = &mut run.experiment().availability[0];
    (seen.good, seen.longest_gap_ms) = (88, 1100.0);
}

fn refused(run: &mut Run) {
    let data = run.experiment();
    data.outcome = Outcome::Refused;
    (data.injected, data.restored) = (None, None);
    run.events.clear();
}

fn failed(run: &mut Run, hint: Option<&str>) {
    for object in ["orders", "users"] {
        let mut check = Check::fail("data.table", object, "rows are lost");
        check.hint = hint.map(str::to_owned);
        run.verification().checks.push(check);
    }
}

/// A check warns after the experiment, and before it where this says so.
fn warning(run: &mut Run, before: bool) {
    let check = |id: &str| Check::new(id, "node/a", Status::Warn, "its disk is nearly full");
    run.verification()
        .checks
        .push(check("recovery.node.conditions"));
    if before {
        let health = run.health.as_mut().expect("there");
        health.checks.push(check("node.conditions"));
    }
}

fn notified(run: &mut Run, outcome: ChannelOutcome) {
    let notification = run.notification.as_mut().expect("there");
    notification.channels[0].outcome = outcome;
    notification.channels[0].detail = "connection refused".into();
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case {
        rule: "effect-proven",
        applies: |run| run.experiment().checks.push(Check::pass("x.effect", "", "it is gone")),
        says: "The fault had its effect: it is gone",
        silent: |run| run.experiment().checks.push(Check::unknown("x.effect", "", "not seen")),
    },
    Case {
        rule: "recovered-in-time",
        applies: as_it_is,
        says: "1 pod was replaced in at most 4.2 s of the 120.0 s that are allowed",
        silent: |run| run.experiment().recoveries[0].recovery_ms = Some(121_000.0),
    },
    Case {
        rule: "callers-unharmed",
        applies: as_it_is,
        says: "Callers of 1 path went on being served: all 100 requests were answered well",
        silent: |run| run.experiment().availability[0].missed = 1,
    },
    Case {
        rule: "withstood",
        applies: |run| run.experiment().affected = vec!["backend-service".into()],
        says: "Withstood, though expected to suffer: backend-service/health",
        silent: |run| {
            run.experiment().affected = vec!["backend-service".into()];
            outage(run);
        },
    },
    Case {
        rule: "data-kept",
        applies: |run| run.verification().checks.push(Check::pass("data.table", "orders", "same")),
        says: "No data was lost in 1 table that was compared with the baseline (orders)",
        silent: |run| {
            run.verification().checks.push(Check::pass("data.table", "orders", "same"));
            run.verification().checks.push(Check::unknown("data.table", "users", "no right"));
        },
    },
    Case {
        rule: "writes-kept",
        applies: |run| {
            let check = Check::pass("x.writes", "database", "0 of 13 acknowledged writes are lost");
            run.experiment().checks.push(check);
        },
        says: "Writes while it was broken: 0 of 13 acknowledged writes are lost",
        silent: |run| run.experiment().checks.push(Check::fail("x.writes", "database", "1 of 13")),
    },
    Case {
        rule: "alert-heard",
        applies: |run| run.experiment().alerts = alert(Some(2000.0), Some(3000.0), true),
        says: "The alert BackendDown fired 2.0 s after the injection, \
               and Alertmanager had it after 3.0 s",
        silent: |run| run.experiment().alerts = alert(Some(2000.0), None, true),
    },
    Case {
        rule: "failed-check",
        applies: |run| failed(run, None),
        says: "data.table orders and users: rows are lost",
        silent: |run| warning(run, false),
    },
    Case {
        rule: "data-lost",
        applies: |run| run.experiment().losses.push(Loss {
            name: "claim/data".into(),
            holder: LossHolder::Claim,
            workload: workload("backend"),
            message: "the claim is deleted with its pod".into(),
            accepted: true,
        }),
        says: "Lost, accepted beforehand: claim/data (the claim is deleted with its pod)",
        silent: as_it_is,
    },
    Case {
        rule: "failed-before",
        applies: |run| {
            refused(run);
            let health = run.health.as_mut().expect("there");
            health.checks.push(Check::fail("pods.ready", "pod/x", "it crashes"));
        },
        says: "pods.ready pod/x: it crashes",
        silent: |run| {
            let health = run.health.as_mut().expect("there");
            health.checks.push(Check::fail("pods.ready", "pod/x", "it crashes"));
        },
    },
    Case {
        rule: "slow-recovery",
        applies: |run| run.experiment().recoveries[0].recovery_ms = Some(70_000.0),
        says: "Make deployment/backend recover faster: 70.0 s of the 120.0 s that are allowed",
        silent: |run| {
            run.experiment().recoveries[0].recovery_ms = Some(70_000.0);
            run.plan().limits = None;
        },
    },
    Case {
        rule: "restarted",
        applies: |run| run.verification().state.workloads[0].restarts = 2,
        says: "Find out why containers of deployment/backend restarted (2 more than before)",
        silent: |run| {
            run.verification().state.workloads[0].restarts = 2;
            refused(run);
        },
    },
    Case {
        rule: "gap",
        applies: outage,
        says: "Close the gap that callers saw: those of backend-service/health went 1.1 s (±100 ms) \
               without a good answer at the longest; 12 of 100 requests failed",
        // It is the fault that was ordered.
        silent: |run| {
            outage(run);
            run.experiment().affected = vec!["backend-service/health".into()];
        },
    },
    Case {
        rule: "alert-unexpected",
        applies: |run| run.experiment().alerts = alert(Some(2000.0), None, false),
        says: "Expect the alert BackendDown of this experiment (alerts in chaos.toml), \
               or find out why it fired 2.0 s after the injection",
        silent: |run| run.experiment().alerts = alert(Some(2000.0), Some(3000.0), true),
    },
    Case {
        rule: "warned",
        applies: |run| warning(run, false),
        says: "Look at recovery.node.conditions node/a: its disk is nearly full",
        // It warned of the same before: the experiment did not bring it.
        silent: |run| warning(run, true),
    },
    Case {
        rule: "backup-warned",
        applies: |run| {
            let backup = run.backup.as_mut().expect("there");
            backup.checks.push(Check::new("backup.size", "db", Status::Warn, "half the size"));
        },
        says: "Look at backup.size db: half the size",
        silent: |run| warning(run, false),
    },
    Case {
        rule: "recommended",
        applies: as_it_is,
        says: "Run pod-failure again after the next change to deployment/backend, \
               and hold it against the 5.0 s until the steady state of this one",
        silent: |_| unreachable!("there is always one recommendation"),
    },
    Case {
        rule: "follow-up",
        applies: |run| failed(run, Some("restore them from the dump")),
        says: "For data.table: restore them from the dump",
        silent: |run| warning(run, false),
    },
    Case {
        rule: "missed-probes",
        applies: |run| run.experiment().availability[0].missed = 3,
        says: "Run from a machine with time to spare: \
               3 requests to backend-service/health could not be sent in time",
        silent: outage,
    },
    Case {
        rule: "unmeasured",
        applies: |run| {
            let check = Check::unknown("data.role", "db", "no right").hint("grant it");
            run.verification().checks.push(check);
        },
        says: "Make measurable: data.role db: no right (grant it)",
        // Requests that could not be sent have a rule of their own.
        silent: |run| {
            run.experiment().availability[0].missed = 30;
            let object = "service/backend-service /health";
            run.experiment().checks.push(Check::unknown("x.available", object, "30 of 100"));
        },
    },
    Case {
        rule: "overridden",
        applies: |run| run.experiment().overridden.push(Overridden {
            gate: "gate.backup".into(),
            reason: "drill is tomorrow".into(),
        }),
        says: "Make the gate pass before the next run that was overridden in this one \
               (gate.backup: drill is tomorrow)",
        silent: as_it_is,
    },
    Case {
        rule: "step-missing",
        applies: |run| run.backup = None,
        says: "Have the backup check (chaos-backup-check) in the pipeline: \
               the stream holds no record of it",
        // What was refused has nothing to verify.
        silent: |run| {
            refused(run);
            run.verification = None;
        },
    },
    Case {
        rule: "notice-undelivered",
        applies: |run| notified(run, ChannelOutcome::Unknown),
        says: "Repair the channel mail: connection refused",
        silent: |run| notified(run, ChannelOutcome::Sent),
    },
    Case {
        rule: "document-failures",
        applies: |run| failed(run, None),
        says: "Add to troubleshooting-guide.md: 1 failure of this run, and the remedy",
        silent: |run| {
            refused(run);
            run.experiment().checks.push(Check::fail("gate.health", "", "stale"));
        },
    },
    Case {
        rule: "document-recovery",
        applies: as_it_is,
        says: "Note in chaos-runbook.md that a pod of deployment/backend was replaced in 4.2 s",
        silent: |run| run.experiment().recoveries[0].recovery_ms = None,
    },
];

fn said(rule: &str, change: Change) -> Vec<String> {
    let lessons = Lessons::of(&examples::changed(change));
    let of_rule = lessons.0.into_iter().map(|(_, lesson)| lesson);
    let of_rule = of_rule.filter(|lesson| lesson.rule == rule);
    of_rule.map(|lesson| lesson.text).collect()
}

#[test]
fn each_rule_speaks_where_it_applies_and_is_silent_where_it_must_not() {
    for case in CASES {
        assert_eq!(said(case.rule, case.applies), [case.says], "{}", case.rule);
        if case.rule != "recommended" {
            assert_eq!(said(case.rule, case.silent), [""; 0], "{}", case.rule);
        }
    }
}

#[test]
fn each_rule_has_a_case_and_stands_in_the_documentation() {
    let documentation = include_str!("../../../../../docs/reports.md");
    let cases: Vec<&str> = CASES.iter().map(|case| case.rule).collect();
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(cases, rules);
    for rule in rules {
        assert!(documentation.contains(&format!("| `{rule}` |")), "{rule}");
    }
}

#[test]
fn the_recommendation_is_that_of_the_conclusion() {
    let of = |change: Change| said("recommended", change).concat();
    assert!(of(|run| failed(run, None)).starts_with("Resolve what failed"));
    assert!(of(|run| run.verification = None).ends_with("its answer is unknown"));
    assert!(of(refused).starts_with("Clear what pod-failure was refused for"));
    assert!(of(|run| run.experiment().outcome = Outcome::Aborted).starts_with("Find out what"));
    let recover = "Run chaos-inject status and chaos-inject recover now";
    assert!(of(|run| run.experiment().outcome = Outcome::NotRestored).starts_with(recover));
    // Killed with the fault on: the stream ends without a record of the experiment.
    let killed = |run: &mut Run| {
        (run.experiment, run.verification) = (None, None);
        run.events = vec![examples::event(EventKind::Injected)];
    };
    assert!(of(killed).starts_with(recover), "{}", of(killed));
}

#[test]
fn an_alert_that_fired_is_never_to_be_made_heard_and_no_finding_stands_twice() {
    let run = examples::changed(|run| {
        run.experiment().alerts = alert(Some(2000.0), Some(3000.0), true);
        let text = "BackendDown fires (warning)";
        let check = Check::fail("recovery.monitoring.alerts", "alert/BackendDown", text);
        run.verification().checks.push(check);
        run.experiment()
            .issues
            .push("recovery.monitoring.alerts: BackendDown fires".into());
    });
    let lessons = Lessons::of(&run);
    let texts: Vec<String> = lessons
        .0
        .into_iter()
        .map(|(_, lesson)| lesson.text)
        .collect();
    assert!(
        !texts.iter().any(|text| text.contains("heard")),
        "{texts:?}"
    );
    let told = texts
        .iter()
        .filter(|text| text.contains("fires (warning)"))
        .count();
    assert_eq!(told, 1, "{texts:?}");
}
