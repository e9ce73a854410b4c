//! Variants of a healthy system, none of which may raise an alarm.

use serde_json::json;

use crate::change::*;
use crate::world::{World, ago, alerts, deployment, pod, refusal, rules};

/// A healthy variant: its name, what makes it, and the checks that may warn in it.
pub type Healthy = (&'static str, fn(&mut World), &'static [&'static str]);

#[rustfmt::skip]
pub const HEALTHY: &[Healthy] = &[
    ("nothing special", |_| {}, &[]),
    ("a completed Job and its pod", |w| { w.add("jobs", done_job("migrate", None, 60)); let mut p = pod("migrate-x", 9, "Job/migrate"); p["status"] = json!({"phase": "Succeeded"}); w.add("pods", p); }, &[]),
    ("a Job that succeeded at the second try", |w| { w.add("jobs", done_job("migrate", None, 60)); let mut p = pod("migrate-x", 9, "Job/migrate"); p["status"] = json!({"phase": "Failed"}); w.add("pods", p); }, &["pods.ready"]),
    ("a suspended Job", |w| w.add("jobs", json!({"metadata": {"name": "later"}, "spec": {"suspend": true, "template": {}}, "status": {"conditions": [{"type": "Suspended", "status": "True"}]}})), &[]),
    ("a suspended CronJob", |w| w.add("cronjobs", json!({"metadata": {"name": "nightly"}, "spec": {"schedule": "0 0 * * *", "suspend": true, "jobTemplate": {}}})), &[]),
    ("a CronJob that failed once and has succeeded since", |w| { w.add("cronjobs", json!({"metadata": {"name": "nightly"}})); w.add("jobs", failed_job("nightly-1", "BackoffLimitExceeded", Some("nightly"), 7200)); w.add("jobs", done_job("nightly-2", Some("nightly"), 60)); }, &[]),
    ("a Job's pod that is starting", |w| { w.add("jobs", json!({"metadata": {"name": "tick"}, "status": {"active": 1}})); let mut p = pod("tick-x", 9, "Job/tick"); p["metadata"]["creationTimestamp"] = json!(ago(3)); p["status"] = json!({"phase": "Pending"}); w.add("pods", p); }, &["pods.ready"]),
    ("a Deployment scaled to zero on purpose", |w| w.add("deployments", deployment("shop", "spare", 0)), &["workload.ready"]),
    ("init containers that are done", |w| set(w, "pods", "web-1", "/status/initContainerStatuses", json!([{"name": "migrate", "image": "i", "imageID": "d", "ready": true, "restartCount": 1, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}])), &[]),
    ("a sidecar", |w| set(w, "pods", "web-1", "/status/initContainerStatuses", json!([{"name": "proxy", "image": "i", "imageID": "d", "ready": true, "started": true, "restartCount": 0, "state": {"running": {}}}])), &[]),
    ("a DaemonSet for some nodes", |w| { let mut n = w.object("nodes", "n1").clone(); n["metadata"]["name"] = json!("n2"); w.lists.get_mut("nodes").expect("there").push(n); let mut u = w.object("usage/nodes", "n1").clone(); u["metadata"]["name"] = json!("n2"); w.lists.get_mut("usage/nodes").expect("there").push(u); }, &[]),
    ("a DaemonSet that matches no node", |w| { for field in ["currentNumberScheduled", "desiredNumberScheduled", "numberReady", "updatedNumberScheduled"] { set(w, "daemonsets", "agent", &format!("/status/{field}"), json!(0)); } }, &[]),
    ("a StatefulSet that is updated by hand", |w| { set(w, "statefulsets", "db", "/spec/updateStrategy", json!({"type": "OnDelete"})); set(w, "statefulsets", "db", "/status/updatedReplicas", json!(0)); }, &[]),
    ("a StatefulSet with a partition", |w| { set(w, "statefulsets", "db", "/spec/updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}})); set(w, "statefulsets", "db", "/status/updatedReplicas", json!(0)); }, &[]),
    ("a DaemonSet that is updated by hand", |w| { set(w, "daemonsets", "agent", "/spec/updateStrategy", json!({"type": "OnDelete"})); set(w, "daemonsets", "agent", "/status/updatedNumberScheduled", json!(0)); }, &[]),
    ("a Deployment whose old pods are just going", |w| set(w, "deployments", "web", "/status/replicas", json!(3)), &[]),
    ("a pod within its grace period", |w| { let mut p = pod("web-0", 9, "ReplicaSet/web-6d4b"); p["metadata"]["deletionTimestamp"] = json!(ago(-20)); w.add("pods", p); }, &["pods.ready"]),
    ("a disruption budget with room", |w| w.add("poddisruptionbudgets", budget(2, 1, 2, 1)), &[]),
    ("an autoscaler with room", |w| w.add("horizontalpodautoscalers", autoscaler(1, 5, 2, &json!([{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": "True"}, {"type": "ScalingLimited", "status": "False"}]))), &[]),
    ("an autoscaler at its minimum", |w| w.add("horizontalpodautoscalers", autoscaler(2, 5, 2, &json!([{"type": "ScalingLimited", "status": "True", "reason": "TooFewReplicas"}]))), &[]),
    ("an autoscaler of a fixed size", |w| w.add("horizontalpodautoscalers", autoscaler(2, 2, 2, &json!([]))), &[]),
    ("an autoscaler of something switched off", |w| w.add("horizontalpodautoscalers", autoscaler(1, 5, 0, &json!([{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}]))), &[]),
    ("a quota half used", |w| w.add("resourcequotas", quota("4Gi", "2Gi")), &[]),
    ("a quota that forbids something", |w| w.add("resourcequotas", quota("0", "0")), &[]),
    ("old warnings", |w| w.add("events", json!({"metadata": {"name": "e"}, "type": "Warning", "reason": "BackOff", "lastTimestamp": ago(7200), "involvedObject": {}})), &[]),
    ("events that are no warnings", |w| w.add("events", json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "Pulled", "lastTimestamp": ago(5), "involvedObject": {}})), &[]),
    ("a container that restarted yesterday", |w| { container(w, crashed(5, 86_400, "Error", 1)); set(w, "pods", "web-1", "/status/containerStatuses/0/ready", json!(true)); set(w, "pods", "web-1", "/status/conditions/0/status", json!("True")); }, &[]),
    ("a Service of another name", |w| w.add("services", json!({"metadata": {"name": "outside"}, "spec": {"type": "ExternalName", "externalName": "example.com"}})), &[]),
    ("an endpoint that is no pod", |w| set(w, "endpointslices", "web-x", "/endpoints/1", json!({"addresses": ["192.0.2.1"]})), &[]),
    ("a claim that waits for its first pod", |w| w.add("persistentvolumeclaims", json!({"metadata": {"name": "spare"}, "status": {"phase": "Pending"}})), &["volume.bound"]),
    ("an alert that always fires", |w| say(w, "prometheus:9090/api/v1/alerts", 200, &alerts(&[("Watchdog", "none", "firing")])), &[]),
    ("an alert that may fire later", |w| say(w, "prometheus:9090/api/v1/alerts", 200, &alerts(&[("DiskFull", "critical", "pending")])), &[]),
    ("an alert that is silenced", |w| { say(w, "prometheus:9090/api/v1/alerts", 200, &alerts(&[("DiskFull", "critical", "firing")])); say(w, "alertmanager:9093/api/v2/alerts", 200, r#"[{"labels": {"alertname": "DiskFull", "severity": "critical", "cluster": "c"}, "status": {"state": "suppressed"}}]"#); }, &["monitoring.alerts"]),
    ("a target of another team that is down", |w| { target(w, 2, "/value/1", json!("0")); target(w, 2, "/metric/namespace", json!("other")); }, &["monitoring.targets"]),
    ("a pod too new to have figures", |w| { set(w, "pods", "web-1", "/metadata/creationTimestamp", json!(ago(20))); w.lists.get_mut("usage/pods").expect("there").retain(|p| p["metadata"]["name"] != "web-1"); }, &[]),
    ("a namespace that may not be read by name", |w| { w.instead.insert("/api/v1/namespaces/kube-system", (403, refusal(403, "Forbidden", "no"))); }, &[]),
    // What is available, and what is paused.
    ("pods that have been ready for long enough", |w| set(w, "deployments", "web", "/spec/minReadySeconds", json!(30)), &[]),
    ("a paused Deployment that has all its pods", |w| set(w, "deployments", "web", "/spec/paused", json!(true)), &["workload.ready"]),
    // Failed pods, and pods that are to end.
    ("a pod that was evicted last week and replaced", |w| w.add("pods", failed_pod("web-old", 9, "Evicted")), &["pods.ready"]),
    ("three of them", |w| for n in 0..3 { w.add("pods", failed_pod(&format!("web-old-{n}"), 9 + n, "Evicted")); }, &["pods.ready"]),
    ("a failed pod of a DaemonSet that has been replaced", |w| { let mut p = failed_pod("agent-old", 9, "OutOfcpu"); p["metadata"]["ownerReferences"][0]["kind"] = json!("DaemonSet"); p["metadata"]["ownerReferences"][0]["name"] = json!("agent"); w.add("pods", p); }, &["pods.ready"]),
    ("a Job's pod of which one container is done", |w| w.add("pods", half_done(0)), &[]),
    ("the same without a Job", |w| { let mut p = half_done(0); p["metadata"]["ownerReferences"] = json!(null); w.add("pods", p); }, &[]),
    // Limits.
    ("a sidecar that uses what it may", |w| { set(w, "pods", "web-1", "/spec/initContainers", json!([{"name": "proxy", "restartPolicy": "Always", "resources": {"limits": {"cpu": "500m", "memory": "100Mi"}}}])); set(w, "usage/pods", "web-1", "/containers/0/usage/memory", json!("150Mi")); }, &[]),
    ("a sidecar without a limit", |w| { set(w, "pods", "web-1", "/spec/initContainers", json!([{"name": "proxy", "restartPolicy": "Always"}])); set(w, "usage/pods", "web-1", "/containers/0/usage/memory", json!("150Mi")); }, &[]),
    ("a limit of the whole pod", |w| { set(w, "pods", "web-1", "/spec/resources", json!({"limits": {"cpu": "1", "memory": "200Mi"}})); set(w, "usage/pods", "web-1", "/containers/0/usage/memory", json!("150Mi")); }, &[]),
    ("a quota for as many pods as there are", |w| w.add("resourcequotas", quota_of("pods", "4", "4")), &["quota.room"]),
    ("a quota for the one load balancer", |w| w.add("resourcequotas", quota_of("services.loadbalancers", "1", "1")), &["quota.room"]),
    ("a quota for claims of a class", |w| w.add("resourcequotas", quota_of("fast.storageclass.storage.k8s.io/persistentvolumeclaims", "1", "1")), &["quota.room"]),
    ("a quota for objects with room", |w| w.add("resourcequotas", quota_of("count/configmaps", "10", "2")), &[]),
    // Services.
    ("the configured Service is another name for something outside", |w| { set(w, "services", "web", "/spec", json!({"type": "ExternalName", "externalName": "shop.example.com"})); w.lists.get_mut("endpointslices").expect("there").clear(); }, &[]),
    ("a Service without a selector that leads outside", |w| { w.add("services", service("outside", &json!({"ports": [{"port": 80}]}))); w.add("endpointslices", slice("outside", &json!([{"addresses": ["192.0.2.1"]}]))); }, &[]),
    ("a Service without a selector that leads to a pod by its name", |w| { w.add("services", service("pinned", &json!({"ports": [{"port": 80}]}))); w.add("endpointslices", slice("pinned", &json!([{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "web-1"}}]))); }, &[]),
    ("a Service that leads to a pod of another namespace", |w| { let mut p = pod("far-1", 9, "ReplicaSet/far-6d4b"); p["metadata"]["namespace"] = json!("elsewhere"); let uid = p["metadata"]["uid"].clone(); w.lists.get_mut("pods").expect("there").push(p); w.add("services", service("far", &json!({"ports": [{"port": 80}]}))); w.add("endpointslices", slice("far", &json!([{"addresses": ["10.0.0.8"], "targetRef": {"kind": "Pod", "namespace": "elsewhere", "name": "far-1", "uid": uid}}]))); }, &[]),
    ("a Service that only keeps a name", |w| w.add("services", service("db-config", &json!({"clusterIP": "None"}))), &[]),
    ("a Service of something that is switched off", |w| w.add("services", service("preview", &json!({"selector": {"app": "preview"}, "ports": [{"port": 80}]}))), &["service.endpoints"]),
    ("a Service that selects the leader only", |w| { w.add("services", service("leader", &json!({"selector": {"role": "leader"}, "ports": [{"port": 80}]}))); let uid = w.object("pods", "web-1")["metadata"]["uid"].clone(); w.add("endpointslices", slice("leader", &json!([{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop", "uid": uid}}]))); }, &[]),
    // The API server, which is asked again.
    ("an API server that is not ready once on the way to a Service", |w| w.passing("services/web:80", 1, 503, &refusal(503, "ServiceUnavailable", "not ready")), &[]),
    ("an API server that is too busy once on the way to a Service", |w| w.passing("services/web:80", 1, 429, "Too many requests, please try again later."), &[]),
    ("an API server that is not ready twice on the way to Prometheus", |w| w.passing("services/prometheus:9090", 2, 503, &refusal(503, "ServiceUnavailable", "not ready")), &[]),
    ("an API server that is too busy once for a list", |w| w.passing("/pods?", 1, 429, &refusal(429, "TooManyRequests", "later")), &[]),
    // Nodes.
    ("conditions that are good when true", |w| for name in ["KernelReady", "NetworkingReady", "StorageReady", "ContainerRuntimeReady", "EtcdIsVoter"] { condition(w.object("nodes", "n1"), name, "True"); }, &[]),
    ("conditions that are good when false", |w| for name in ["NetworkUnavailable", "KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart", "KubeletUnhealthy"] { condition(w.object("nodes", "n1"), name, "False"); }, &[]),
    ("a condition that nobody has looked at yet", |w| condition(w.object("nodes", "n1"), "KernelReady", "Unknown"), &[]),
    ("a node of others that is not ready", |w| set_condition(spare_node(w), "Ready", "False"), &["node.conditions"]),
    ("a node of others that does not report", |w| set_condition(spare_node(w), "Ready", "Unknown"), &["node.conditions"]),
    ("a node of others whose disk is full", |w| set_condition(spare_node(w), "DiskPressure", "True"), &["node.conditions"]),
    ("a node of others that is busy", |w| { spare_node(w); set(w, "usage/nodes", "n2", "/usage/cpu", json!("1950m")); }, &["node.usage"]),
    ("a node of others without figures", |w| { spare_node(w); w.lists.get_mut("usage/nodes").expect("there").retain(|n| n["metadata"]["name"] != "n2"); }, &["node.usage"]),
    // Alerts.
    ("a Watchdog of whatever severity", |w| fire(w, &json!({"alertname": "Watchdog", "severity": "critical"})), &[]),
    ("a Watchdog without a severity", |w| fire(w, &json!({"alertname": "Watchdog"})), &[]),
    ("a Watchdog, and rules that can't be read", |w| { fire(w, &json!({"alertname": "Watchdog", "severity": "none"})); say(w, "prometheus:9090/api/v1/rules", 404, "404 page not found"); }, &[]),
    ("a critical alert of another namespace", |w| fire(w, &json!({"alertname": "CrashLooping", "severity": "critical", "namespace": "other"})), &["monitoring.alerts"]),
    ("a critical alert of another namespace that the monitoring scraped", |w| fire(w, &json!({"alertname": "CrashLooping", "severity": "critical", "namespace": "monitoring", "exported_namespace": "other"})), &["monitoring.alerts"]),
    ("a silenced alert that loses a label on the way", |w| { fire(w, &json!({"alertname": "Full", "severity": "critical", "pod": "a", "replica": "x"})); routed(w, &[(json!({"alertname": "Full", "severity": "critical", "pod": "a", "cluster": "c"}), "suppressed")]); }, &["monitoring.alerts"]),
    ("a silenced alert with a label that is rewritten on the way", |w| { fire(w, &json!({"alertname": "Full", "severity": "page"})); routed(w, &[(json!({"alertname": "Full", "severity": "critical"}), "suppressed")]); }, &["monitoring.alerts"]),
    ("rules that record beside one that alerts", |w| say(w, "prometheus:9090/api/v1/rules", 200, &rules(&[("job:up", "recording", ""), ("Down", "alerting", "")])), &[]),
    ("a target of another namespace by the object's own label", |w| { target(w, 2, "/value/1", json!("0")); target(w, 2, "/metric/namespace", json!("monitoring")); target(w, 2, "/metric/exported_namespace", json!("other")); }, &["monitoring.targets"]),
    ("a failed Job that ran one of these tools", |w| { w.add("cronjobs", json!({"metadata": {"name": "health"}})); let mut job = failed_job("health-1", "BackoffLimitExceeded", Some("health"), 60); job["spec"] = json!({"template": {"spec": {"containers": [{"name": "c", "command": ["chaos-health"]}]}}}); w.add("jobs", job); }, &["job.complete"]),
    ("a Service that leads to a pod by its address alone", |w| { set(w, "pods", "web-1", "/status/podIP", json!("10.0.0.1")); w.add("services", service("pinned", &json!({"ports": [{"port": 80}]}))); w.add("endpointslices", slice("pinned", &json!([{"addresses": ["10.0.0.1"]}]))); }, &[]),
    ("the same where pods of all namespaces may not be listed", |w| { w.add("services", service("pinned", &json!({"ports": [{"port": 80}]}))); w.add("endpointslices", slice("pinned", &json!([{"addresses": ["10.0.0.1"]}]))); forbid(w, "/api/v1/pods?", "pods"); }, &[]),
];
