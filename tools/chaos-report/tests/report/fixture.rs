//! Streams made from the typed records, so that they stay in step with them. The tool's unit tests
//! use them as well.

#![allow(dead_code, reason = "each of the two users leaves something unused")]

use chaos_common::record::{
    Availability, Backup, BackupAction, Baseline, Change, ChannelOutcome, ChannelResult, Check,
    ClusterRef, Data, Event, EventKind, Experiment, Health, NodeState, Notification, ObjectRef,
    Occasion, Outcome, Plan, PlanLimits, PodRecovery, PodRef, Record, RecoveryPhases, SystemState,
    Target, Time, Verdict, Verification, WorkloadRef, WorkloadState, summarize,
};

pub(crate) const RUN: &str = "01981f3e-0000-7000-8000-0123456789ab";

/// A run whose parts a test may change before it becomes a stream.
pub(crate) struct Run {
    pub(crate) day: String,
    pub(crate) id: String,
    pub(crate) health: Option<Health>,
    pub(crate) backup: Option<Backup>,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) notification: Option<Notification>,
    pub(crate) plan: Option<Plan>,
    pub(crate) events: Vec<Event>,
    pub(crate) experiment: Option<Experiment>,
    pub(crate) verification: Option<Verification>,
    /// What stands behind all that.
    pub(crate) tail: Vec<u8>,
}

/// An event of a run, two seconds after its fault or at it.
pub(crate) fn event(kind: EventKind) -> Event {
    let after = match kind {
        EventKind::Started | EventKind::Intent | EventKind::Injected => 0.0,
        EventKind::Restored => 5000.0,
        _ => 2000.0,
    };
    event_after(kind, after)
}

/// An event so many milliseconds after the injection.
pub(crate) fn event_after(event: EventKind, milliseconds: f64) -> Event {
    Event {
        event,
        object: (event == EventKind::Injected).then(|| "pod/backend-old".into()),
        since_injection_ms: Some(milliseconds),
    }
}

fn summary_of(event: &Event) -> String {
    match event.event {
        EventKind::Injected => "deleted pod/backend-old".to_owned(),
        EventKind::Restored => "everything that was hit is at its steady state again".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

pub(crate) fn time(text: &str) -> Time {
    serde_json::from_value(text.into()).expect("RFC 3339")
}

fn cluster() -> ClusterRef {
    ClusterRef {
        id: "c1".into(),
        context: Some("shop".into()),
        server: "https://127.0.0.1:6443/".into(),
    }
}

pub(crate) fn workload(name: &str) -> WorkloadRef {
    WorkloadRef {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn state(restarts: i64) -> SystemState {
    SystemState {
        workloads: vec![WorkloadState {
            workload: workload("backend"),
            wants: 2,
            ready: 2,
            images: vec!["shop:1".into()],
            restarts,
            nodes: Vec::new(),
            cpu_cores: Some(0.2),
            memory_bytes: Some(64 << 20),
        }],
        services: Vec::new(),
        nodes: vec![NodeState {
            name: "node-a".into(),
            ready: true,
            cpu_allocatable_cores: 4.0,
            memory_allocatable_bytes: 8 << 30,
            cpu_cores: Some(0.52),
            memory_bytes: Some(2 << 30),
        }],
    }
}

fn plan() -> Plan {
    Plan {
        choice: serde_json::Value::Null,
        digest: None,
        experiment: "pod-failure".into(),
        cluster: cluster(),
        namespace: "shop".into(),
        targets: Vec::new(),
        probe_pods: Vec::new(),
        overridden: Vec::new(),
        changes: vec![Change::Delete {
            object: ObjectRef {
                api_version: "v1".into(),
                kind: "Pod".into(),
                resource: "pods".into(),
                namespace: Some("shop".into()),
                name: "backend-old".into(),
                uid: Some("u1".into()),
            },
        }],
        calls: Vec::new(),
        hold_ms: 0,
        affected: Vec::new(),
        alerts: Vec::new(),
        blast_radius: Vec::new(),
        claims: Vec::new(),
        losses: Vec::new(),
        undo: "the controller makes other pods".into(),
        undo_commands: Vec::new(),
        worst_case_ms: 125_000,
        limits: Some(PlanLimits {
            recovery_ms: 120_000,
            min_availability_percent: 99.0,
            alert_wait_ms: None,
        }),
        permissions: Vec::new(),
        checks: vec![Check::pass("limit.permissions", "", "all are held")],
    }
}

pub(crate) fn recovery(name: &str, ms: Option<f64>) -> PodRecovery {
    PodRecovery {
        deleted: PodRef {
            name: format!("{name}-old"),
            uid: "u1".into(),
        },
        replacement: ms.map(|_| PodRef {
            name: format!("{name}-new"),
            uid: "u2".into(),
        }),
        owner: workload(name),
        phases: RecoveryPhases {
            out_of_endpoints_ms: Some(41.0),
            created_ms: Some(30.0),
            ready_ms: ms.map(|ms| ms - 100.0),
            ..RecoveryPhases::default()
        },
        recovery_ms: ms,
        error_bound_ms: 112.0,
    }
}

pub(crate) fn availability(good: u64, longest_gap_ms: f64) -> Availability {
    Availability {
        service: "backend-service".into(),
        path: "/health".into(),
        vantage: "api-proxy".into(),
        interval_ms: 100,
        requests: 100,
        good,
        missed: 0,
        #[allow(clippy::cast_precision_loss)]
        percent: good as f64,
        longest_gap_ms,
        p50_ms: Some(3.25),
        max_ms: Some(18.0),
        errors: Vec::new(),
        windows: Vec::new(),
    }
}

impl Run {
    /// A run of pod-failure on this day that went well in every part.
    pub(crate) fn good(day: &str) -> Run {
        let at = |clock: &str| time(&format!("{day}T{clock}Z"));
        let health = Health {
            cluster: cluster(),
            namespace: "shop".into(),
            checks: vec![
                Check::pass(
                    "workload.ready",
                    "deployment/backend",
                    "2 of 2 pods are ready",
                ),
                Check::pass("monitoring.prometheus", "service/prometheus", "ready"),
            ],
            state: state(0),
            also: vec![],
        };
        let experiment = Experiment {
            experiment: "pod-failure".into(),
            outcome: Outcome::Completed,
            reason: None,
            cluster: Some(cluster()),
            namespace: "shop".into(),
            executor: "ops@laptop".into(),
            targets: vec![Target {
                kind: "Pod".into(),
                namespace: "shop".into(),
                name: "backend-old".into(),
                uid: "u1".into(),
                owner: workload("backend"),
                node: Some("node-a".into()),
            }],
            affected: Vec::new(),
            started: at("16:00:10.000"),
            injected: Some(at("16:00:12.000")),
            restored: Some(at("16:00:17.000")),
            ended: at("16:00:22.345"),
            duration_ms: 12_345,
            checks: vec![Check::pass(
                "criterion.recovery",
                "deployment/backend",
                "recovered in 4.2 s of 120 s",
            )],
            recoveries: vec![recovery("backend", Some(4200.0))],
            availability: vec![availability(100, 0.0)],
            alerts: Vec::new(),
            losses: Vec::new(),
            timings: chaos_common::record::Timings::default(),
            overridden: Vec::new(),
            actions: vec![
                "deleted pod/backend-old".into(),
                "watched pod/backend-new become ready".into(),
            ],
            issues: Vec::new(),
        };
        let verification = Verification {
            cluster: cluster(),
            namespace: "shop".into(),
            since: at("16:00:12.000"),
            checks: vec![
                Check::pass(
                    "recovery.workload.ready",
                    "deployment/backend",
                    "2 of 2 pods are ready",
                ),
                Check::pass(
                    "recovery.monitoring.prometheus",
                    "service/prometheus",
                    "ready",
                ),
                Check::pass("data.rows", "orders", "120 rows, as before"),
            ],
            state: state(0),
            database: None,
            configuration: Vec::new(),
            answers: Vec::new(),
            log_errors: Vec::new(),
            timings: Vec::new(),
            usage: Vec::new(),
            judgements: Vec::new(),
        };
        let checks = vec![Check::pass("backup.read", "database", "read in full")];
        let backup = Backup {
            namespace: "shop".into(),
            action: BackupAction::Check,
            checks,
            items: Vec::new(),
        };
        let baseline = Baseline {
            cluster: cluster(),
            namespace: "shop".into(),
            checks: vec![Check::pass("data.rows", "orders", "120 rows")],
            database: None,
            configuration: Vec::new(),
            answers: Vec::new(),
            timings: Vec::new(),
            usage: Vec::new(),
        };
        let channel = ChannelResult {
            channel: "mail".into(),
            to: "team@company.com".into(),
            outcome: ChannelOutcome::Sent,
            attempts: 1,
            detail: "250 OK".into(),
            receipt: None,
            recipients: Vec::new(),
            spooled: false,
        };
        let notification = Notification {
            occasion: Occasion::Scheduled,
            event: None,
            subject: "Chaos Engineering Experiment Notification".into(),
            text: "text".into(),
            contacts: Vec::new(),
            channels: vec![channel],
            escalation: None,
            checks: vec![Check::pass("notify.mail", "team@company.com", "250 OK")],
        };
        Run {
            day: day.into(),
            id: RUN.into(),
            health: Some(health),
            backup: Some(backup),
            baseline: Some(baseline),
            notification: Some(notification),
            plan: Some(plan()),
            events: vec![event(EventKind::Injected), event(EventKind::Restored)],
            experiment: Some(experiment),
            verification: Some(verification),
            tail: Vec::new(),
        }
    }

    pub(crate) fn plan(&mut self) -> &mut Plan {
        self.plan.as_mut().expect("a run with a plan")
    }

    pub(crate) fn experiment(&mut self) -> &mut Experiment {
        self.experiment.as_mut().expect("a run with an experiment")
    }

    pub(crate) fn verification(&mut self) -> &mut Verification {
        self.verification
            .as_mut()
            .expect("a run with a verification")
    }

    /// The stream of the run.
    pub(crate) fn stream(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let out_of = &mut out;
        self.line(out_of, "16:00:01.000", "chaos-health", self.health.clone());
        self.line(
            out_of,
            "16:00:02.000",
            "chaos-backup-check",
            self.backup.clone(),
        );
        self.line(
            out_of,
            "16:00:03.000",
            "chaos-verify",
            self.baseline.clone(),
        );
        self.line(
            out_of,
            "16:00:04.000",
            "chaos-notify",
            self.notification.clone(),
        );
        self.line(out_of, "16:00:10.000", "chaos-inject", self.plan.clone());
        for event in &self.events {
            let seconds = 12.0 + event.since_injection_ms.unwrap_or(0.0) / 1000.0;
            let clock = format!("16:00:{seconds:06.3}");
            self.event(
                out_of,
                &clock,
                "chaos-inject",
                &summary_of(event),
                event.clone(),
            );
        }
        self.line(
            out_of,
            "16:00:22.345",
            "chaos-inject",
            self.experiment.clone(),
        );
        self.line(
            out_of,
            "16:00:30.000",
            "chaos-verify",
            self.verification.clone(),
        );
        out.extend_from_slice(&self.tail);
        out
    }

    fn line<D: Data>(&self, out: &mut Vec<u8>, clock: &str, tool: &str, data: Option<D>) {
        let Some(data) = data else { return };
        let verdict = Verdict::of(data.checks());
        let summary = summarize(data.checks());
        self.write(out, clock, tool, Some(verdict), &summary, data);
    }

    fn event(&self, out: &mut Vec<u8>, clock: &str, tool: &str, summary: &str, event: Event) {
        self.write(out, clock, tool, None, summary, event);
    }

    fn write<D: Data>(
        &self,
        out: &mut Vec<u8>,
        clock: &str,
        tool: &str,
        verdict: Option<Verdict>,
        summary: &str,
        data: D,
    ) {
        let record = Record {
            schema: D::KIND.schema(),
            id: format!("{}-{}-{clock}", self.id, self.day),
            run: self.id.clone(),
            time: time(&format!("{}T{clock}Z", self.day)),
            tool: format!("{tool} 0.1.0"),
            verdict,
            summary: summary.to_owned(),
            data,
        };
        serde_json::to_writer(&mut *out, &record).expect("records can be written");
        out.push(b'\n');
    }
}
