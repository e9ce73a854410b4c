//! Services that nobody configured and that lead to what a fault hits: how they would be asked is
//! found by their ports and the readiness probes of the pods behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chaos_common::cluster::readiness::{self, Readiness};
use chaos_common::cluster::{ReadError, is_ready, label_selector};
use chaos_common::record::{Check, Plan};
use chaos_common::retry;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, ListParams};
use tokio::time::Instant;

use super::availability::series::Answer;
use super::questions::{self, Question};
use crate::context::Context;

/// Time for a Service to give a good answer before the fault.
const TRIAL: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);
/// What to do where nothing can be asked.
const HINT: &str = "a [[service]] with a health path in chaos.toml says how it is asked";

/// The Services of a plan's blast radius that the configuration does not name, with the namespace
/// of each, and whether the fault leaves none of their pods.
fn unnamed(context: &Context, plan: &Plan) -> BTreeSet<(String, String, bool)> {
    let configured = |name: &String, namespace: &String| {
        context.config.services.iter().any(|service| {
            let there = service.namespace.as_ref().unwrap_or(&context.namespace);
            &service.name == name && there == namespace && service.health.is_some()
        })
    };
    let mut found = BTreeSet::new();
    for radius in &plan.blast_radius {
        let namespace = &radius.workload.namespace;
        for name in radius
            .services
            .iter()
            .filter(|name| !configured(name, namespace))
        {
            found.insert((namespace.clone(), name.clone(), radius.left == 0));
        }
    }
    found
}

/// Questions about the Services that lead to what a plan hits and are not configured; those that
/// can't be asked are said, in checks of this id.
pub async fn questions(context: &Context, plan: &Plan, id: &str) -> (Vec<Question>, Vec<Check>) {
    let unnamed = unnamed(context, plan);
    let mut services = BTreeMap::new();
    for (namespace, ..) in &unnamed {
        if !services.contains_key(namespace) {
            services.insert(namespace, services_of(context, namespace).await);
        }
    }
    let look = |(namespace, name, all_gone): &(String, String, bool)| {
        let (namespace, name, all_gone) = (namespace.clone(), name.clone(), *all_gone);
        let listed = &services[&namespace];
        async move {
            let found = match asked(context, listed, (&namespace, &name)).await {
                Ok(found) => try_out(context, (&namespace, &name), found).await,
                Err(why) => Err(why),
            };
            (name, all_gone, found)
        }
    };
    let (mut questions, mut checks) = (Vec::new(), Vec::new());
    for (name, all_gone, found) in join_all(unnamed.iter().map(look)).await {
        match found {
            Ok(mut question) => {
                question.affected = all_gone || plan.affected.contains(&name);
                questions.push(question);
            }
            Err(why) => {
                let message = format!("its availability was not measured: {why}");
                let check = Check::skipped(id, format!("service/{name}"), message).hint(HINT);
                checks.push(check);
            }
        }
    }
    questions::bound(&mut questions);
    (questions, checks)
}

/// The Services of a namespace. They are listed, for which every experiment has the right.
async fn services_of(context: &Context, namespace: &str) -> Result<Vec<Service>, ReadError> {
    let cluster = &context.cluster;
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("list services in namespace {namespace}");
    cluster.list(&services, &ListParams::default(), what).await
}

/// How a Service is asked; or why that is not known.
async fn asked(
    context: &Context,
    services: &Result<Vec<Service>, ReadError>,
    (namespace, name): (&str, &str),
) -> Result<Readiness, String> {
    let cluster = &context.cluster;
    let all = services.as_ref().map_err(ToString::to_string)?;
    let named = |one: &&Service| one.metadata.name.as_deref() == Some(name);
    let service = all.iter().find(named);
    let service = service.ok_or_else(|| "it is gone".to_owned())?;
    let selector = LabelSelector {
        match_labels: service.spec.as_ref().and_then(|spec| spec.selector.clone()),
        ..LabelSelector::default()
    };
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let params = ListParams::default().labels(&label_selector(&selector));
    let what = format!("list pods in namespace {namespace}");
    let pods = cluster.list(&pods, &params, what).await;
    let pods = pods.map_err(|error| error.to_string())?;
    let pod = pods.into_iter().find(is_ready);
    let spec = pod.and_then(|pod| pod.spec);
    let spec =
        spec.ok_or_else(|| "it has no ready pod whose readiness probe could be read".to_owned())?;
    readiness::of(service, &spec).map_err(|why| why.to_string())
}

/// A question that is answered well before the fault: what is not is no measure of anything.
async fn try_out(
    context: &Context,
    (namespace, service): (&str, &str),
    found: Readiness,
) -> Result<Question, String> {
    let endpoint = found.endpoint(namespace, service);
    let question = Question::found(context, endpoint, found.path);
    let limit = context.config.experiment.probe_timeout.0;
    let deadline = Instant::now() + TRIAL;
    let ask = || async {
        match question.ask(Instant::now(), limit).await {
            Answer::Good(_) => Ok(()),
            Answer::Bad(why) | Answer::Missed(why) => Err(why),
        }
    };
    let answered = retry::until(deadline, PAUSE, ask).await;
    let path = &question.path;
    answered.map_err(|why| {
        format!(
            "the readiness path {path} of its pods was not answered well through it before the \
             fault: {why}"
        )
    })?;
    Ok(question)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::testing::application::{application, service, with};
    use crate::testing::objects;
    use crate::testing::test_bed::TestBed;

    const ID: &str = "x.available";

    fn probed(port: &Value, scheme: &str) -> Value {
        json!({ "spec": { "containers": [{
            "name": "main", "ports": [{ "name": "web", "containerPort": 8000 }],
            "readinessProbe": { "httpGet": { "path": "/ready", "port": port, "scheme": scheme } },
        }] } })
    }

    fn ports(target: &Value) -> Value {
        json!({ "spec": { "ports": [
            { "name": "metrics", "port": 9100, "targetPort": 9100 },
            { "name": "http", "port": 80, "targetPort": target },
        ] } })
    }

    /// What is found of a shop with a Service, of which a fault leaves so many pods.
    async fn questions_of(bed: &TestBed, left: usize) -> (Vec<Question>, Vec<Check>) {
        let mut plan = objects::plan(&[], &["shop"]);
        plan.blast_radius[0].services = vec!["front".to_owned()];
        plan.blast_radius[0].left = left;
        questions(&bed.context(), &plan, ID).await
    }

    fn shop() -> TestBed {
        let bed = TestBed::with(application("Deployment", "shop", 2));
        for pod in ["pod/shop-0", "pod/shop-1"] {
            bed.server.edit(pod, &probed(&json!("web"), "HTTP"));
        }
        bed.server
            .add(with(service("front", "shop"), &ports(&json!("web"))));
        bed
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_nobody_configured_is_asked_and_suffers_if_no_pod_is_left() {
        let bed = shop();
        bed.server.answer_path("front", "/ready", 204, "");
        for (left, affected) in [(1, false), (0, true)] {
            let (questions, checks) = questions_of(&bed, left).await;
            assert!(checks.is_empty(), "{checks:?}");
            let [question] = questions.as_slice() else {
                panic!("one: {questions:?}")
            };
            assert_eq!(question.object(), "service/front");
            assert_eq!(question.path, "/ready");
            assert_eq!(question.affected, affected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_configured_is_not_looked_for() {
        let mut bed = shop();
        bed.config = "[[service]]\nname = \"front\"\nport = 80\nhealth = \"/h\"\n".to_owned();
        let (questions, checks) = questions_of(&bed, 1).await;
        assert!(questions.is_empty() && checks.is_empty(), "{checks:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_can_not_be_asked_is_said_and_does_not_count() {
        let bed = shop();
        bed.server.answer("front", 404, "no such path");
        let (questions, checks) = questions_of(&bed, 1).await;
        assert!(questions.is_empty());
        assert_eq!(checks[0].status, chaos_common::record::Status::Skipped);
        let message = &checks[0].message;
        assert!(message.contains("was not measured"), "{message}");
        assert!(message.contains("answers 404"), "{message}");
    }
}
