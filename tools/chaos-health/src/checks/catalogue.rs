//! What each check asks, and what to do about its answer.

/// A check and its explanation.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// Its stable id.
    pub id: &'static str,
    /// The question.
    pub asks: &'static str,
    /// When it passes, warns, fails and is unknown.
    pub judges: &'static str,
    /// What it reads, so that one knows which permission it needs.
    pub reads: &'static str,
    /// What to do when it is not well.
    pub remedy: &'static str,
}

impl Explanation {
    /// The explanation of a check.
    pub fn of(id: &str) -> Option<&'static Explanation> {
        CATALOGUE.iter().find(|explanation| explanation.id == id)
    }

    /// Whether it may be left out: nothing can be said without the first two.
    pub fn may_be_skipped(&self) -> bool {
        !matches!(self.id, "cluster.reachable" | "namespace.exists")
    }
}

/// Every check of `chaos-health`, in the order in which they are made.
pub const CATALOGUE: &[Explanation] = &[
    Explanation {
        id: "cluster.reachable",
        asks: "Does the API server answer, and does it know us?",
        judges: "Unknown if it does not. Can't be left out.",
        reads: "get namespace kube-system (its UID is the cluster's identity; not allowed is no failure)",
        remedy: "kubectl cluster-info; kubectl auth whoami",
    },
    Explanation {
        id: "namespace.exists",
        asks: "Is there such a namespace, and does it stay?",
        judges: "Fails while the namespace is being deleted; unknown if it is not there or can't be seen. Can't be left out.",
        reads: "get namespace",
        remedy: "kubectl get namespaces",
    },
    Explanation {
        id: "cluster.clock",
        asks: "Do this machine and the API server agree on the time?",
        judges: "Warns if they are more than 3 seconds apart. Restarts, events and pods that terminate are counted by the API \
                 server's clock in any case.",
        reads: "the Date of the API server's answer to /version",
        remedy: "timedatectl; chronyc tracking",
    },
    Explanation {
        id: "cluster.certificate",
        asks: "How long are the API server's certificate and our own still valid?",
        judges: "Warns below health.certificate_left, or below a tenth of its life if it lives shortly by design.",
        reads: "the TLS handshake with the API server; the kubeconfig",
        remedy: "renew it: kubeadm certs renew, or as your provider does",
    },
    Explanation {
        id: "workload.ready",
        asks: "Has every Deployment, StatefulSet and DaemonSet the ready pods of the latest version that it wants?",
        judges: "Fails if pods are missing or not ready, during a roll-out, if the controller has not seen the latest change, \
                 and if one that [[workload]] names is not there or scaled to 0. Warns if another is scaled to 0, is paused, or \
                 a DaemonSet runs where it should not. A StatefulSet's partition and the strategy OnDelete are respected.",
        reads: "list deployments, statefulsets, daemonsets",
        remedy: "kubectl describe the workload; kubectl rollout status",
    },
    Explanation {
        id: "pods.ready",
        asks: "Is every pod running and ready, or done?",
        judges: "Fails for a pod that is Pending (with the scheduler's reason), can't get its image, is in a crash loop, is not \
                 ready, has failed or was evicted, or is stuck in Terminating. Unknown if its node does not report, or there are \
                 no pods. Warns of one that terminates within its grace period, and of a Job's failed pod (see job.complete).",
        reads: "list pods",
        remedy: "kubectl describe pod; kubectl logs --previous",
    },
    Explanation {
        id: "pods.restarts",
        asks: "Have containers restarted lately?",
        judges: "Warns for each workload with restarts within health.window. A crash loop fails in pods.ready.",
        reads: "list pods",
        remedy: "kubectl logs --previous",
    },
    Explanation {
        id: "job.complete",
        asks: "Did the Jobs do their work?",
        judges: "Fails for a Job that has failed; of a CronJob's Jobs only the latest that ended counts. Warns of one that goes on \
                 though pods of it have failed.",
        reads: "list jobs, cronjobs",
        remedy: "kubectl describe job; delete a failed Job once it is understood",
    },
    Explanation {
        id: "volume.bound",
        asks: "Has every volume claim its volume?",
        judges: "Fails for a claim that a pod uses and that is missing, Pending, Lost, or waits to be deleted. Warns of a Pending \
                 one that no pod uses.",
        reads: "list persistentvolumeclaims, pods",
        remedy: "kubectl describe persistentvolumeclaim",
    },
    Explanation {
        id: "disruption.budget",
        asks: "Could the disruption budgets lose a pod?",
        judges: "Fails if fewer pods are healthy than a budget wants; warns if it lets none go, or matches none.",
        reads: "list poddisruptionbudgets",
        remedy: "kubectl describe poddisruptionbudget",
    },
    Explanation {
        id: "autoscaler.room",
        asks: "Could the autoscalers add a pod?",
        judges: "Fails if one is at its maximum and wants more, or can't scale (no metrics, no such target); warns at the maximum.",
        reads: "list horizontalpodautoscalers",
        remedy: "kubectl describe horizontalpodautoscaler",
    },
    Explanation {
        id: "quota.room",
        asks: "Is there room in the quotas?",
        judges: "Fails for a resource that is used up, warns from health.quota_percent on.",
        reads: "list resourcequotas",
        remedy: "kubectl describe resourcequota",
    },
    Explanation {
        id: "events.warning",
        asks: "What has the cluster warned of lately?",
        judges: "Warns once for each reason within health.window, with number, objects and the latest message.",
        reads: "list events",
        remedy: "kubectl get events",
    },
    Explanation {
        id: "service.endpoints",
        asks: "Does somebody stand behind every Service?",
        judges: "Fails for a configured Service (or each that selects pods, if none is configured) that is not there, has no ready \
                 endpoint, selects nobody, has a port that leads to none of its pods' ports, or a ready endpoint whose pod is gone.",
        reads: "list services, endpointslices, pods",
        remedy: "kubectl get endpointslices; compare the Service's selector with the pods' labels",
    },
    Explanation {
        id: "service.http",
        asks: "Does the health path of every configured Service answer as expected?",
        judges: "Fails for another status than expected (200s), a body without the expected text, an answer that is too slow, too \
                 long or does not come. Unknown if the way to the Service (the vantage) is not open.",
        reads: "a GET from the configured vantage",
        remedy: "kubectl logs of the pods behind it",
    },
    Explanation {
        id: "url.http",
        asks: "Do the configured URLs answer as expected?",
        judges: "As service.http, asked from where the tool runs. Redirects are answers and not followed.",
        reads: "a GET of each [[url]]",
        remedy: "curl -v the URL",
    },
    Explanation {
        id: "url.certificate",
        asks: "How long are the certificates of the configured URLs still valid?",
        judges: "Fails below health.certificate_left, or below a tenth of its life if it lives shortly by design. One that has \
                 expired or is not trusted fails in url.http.",
        reads: "the TLS handshake",
        remedy: "renew it",
    },
    Explanation {
        id: "node.conditions",
        asks: "Are the nodes ready, without pressure?",
        judges: "Fails for a node that is not ready or under pressure, unknown for one that does not report, warns of a cordoned one.",
        reads: "list nodes",
        remedy: "kubectl describe node",
    },
    Explanation {
        id: "node.usage",
        asks: "Is there room on the nodes?",
        judges: "Fails above limits.node_cpu_percent or limits.node_memory_percent of what a node can give; unknown without figures.",
        reads: "list nodes, and nodes of metrics.k8s.io",
        remedy: "kubectl top pods -A --sort-by=cpu",
    },
    Explanation {
        id: "pods.usage",
        asks: "Is every pod within its limits?",
        judges: "Fails above limits.pod_cpu_percent or limits.pod_memory_percent of its limit; unknown without figures.",
        reads: "list pods, and pods of metrics.k8s.io",
        remedy: "kubectl top pods",
    },
    Explanation {
        id: "monitoring",
        asks: "Is any monitoring configured?",
        judges: "Skipped if there is no [monitoring].",
        reads: "the configuration",
        remedy: "name Prometheus, Grafana and Alertmanager under [monitoring]",
    },
    Explanation {
        id: "monitoring.prometheus",
        asks: "Does Prometheus run, answer, and scrape anything?",
        judges: "Fails if its Deployment lacks pods, /-/ready does not answer, or the query up has no result.",
        reads: "list deployments of monitoring.namespace; GETs from the configured vantage",
        remedy: "kubectl logs of its pod",
    },
    Explanation {
        id: "monitoring.grafana",
        asks: "Does Grafana run and reach its database?",
        judges: "Fails if its Deployment lacks pods or /api/health is not ok.",
        reads: "list deployments of monitoring.namespace; a GET from the configured vantage",
        remedy: "kubectl logs of its pod",
    },
    Explanation {
        id: "monitoring.alertmanager",
        asks: "Does Alertmanager run and answer?",
        judges: "Fails if its Deployment lacks pods or /-/ready does not answer.",
        reads: "list deployments of monitoring.namespace; a GET from the configured vantage",
        remedy: "kubectl logs of its pod",
    },
    Explanation {
        id: "monitoring.targets",
        asks: "Can Prometheus scrape its targets?",
        judges: "Fails for a target that is down with all of its job, warns if only a part is, or if it is of another namespace.",
        reads: "the query up",
        remedy: "the reason stands on Prometheus's page /targets",
    },
    Explanation {
        id: "monitoring.alerts",
        asks: "Do alerts fire now?",
        judges: "Fails for an alert that fires, warns if its severity is warning or Alertmanager has it silenced; severities none \
                 and info don't count.",
        reads: "/api/v1/alerts of Prometheus, /api/v2/alerts of Alertmanager",
        remedy: "the runbook that the alert names",
    },
];
