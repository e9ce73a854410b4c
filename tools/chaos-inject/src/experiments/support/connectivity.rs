//! The proof of a fault that is about traffic: a route that has to be cut while it is on, and
//! beside it a control route that has to stay open, both asked from the same pod.

use std::time::Duration;

use chaos_common::record::{Check, Plan, Status};
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::experiments::support::probe_pod::{self, ConnectivityProbe, NotReached, RouteState};
use crate::run::experiment::{Effect, Recovery};

/// Time for the first good answers, before the fault.
const FIRST_ANSWERS: Duration = Duration::from_secs(15);
/// Time for a policy to show: it is put into force within seconds, or never.
const EFFECT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// The longest that routes are asked: through the whole run, and before it.
pub fn longest(context: &Context, plan: &Plan) -> Duration {
    FIRST_ANSWERS + context.config.experiment.warm_up.0 + Duration::from_millis(plan.worst_case_ms)
}

/// Both routes, and what became of them.
#[derive(Debug)]
pub struct ConnectivityProof {
    /// Who asks, as `deployment/NAME`.
    from: String,
    /// The one that is to be cut.
    route: ConnectivityProbe,
    /// The one that is not.
    control: ConnectivityProbe,
    undone: Option<Instant>,
    /// When the route was cut, and whether that cut a connection that was open before; absent if it
    /// was not cut up to the end.
    cut: Option<(Instant, Option<bool>)>,
    /// When the route was open again after the undo, once that was waited for.
    reached_again: Option<Result<Instant, NotReached>>,
}

impl ConnectivityProof {
    /// Waits until both routes are open.
    ///
    /// # Errors
    /// One is not; says which, and what curl says.
    pub async fn start(
        from: &str,
        route: ConnectivityProbe,
        control: ConnectivityProbe,
    ) -> anyhow::Result<ConnectivityProof> {
        let start = Instant::now();
        for route in [&route, &control] {
            route.open(start, start + FIRST_ANSWERS).await?;
        }
        Ok(ConnectivityProof {
            from: from.to_owned(),
            route,
            control,
            undone: None,
            cut: None,
            reached_again: None,
        })
    }

    /// Waits until the route is seen to be cut and the control route to be open. `since` is when
    /// the fault was injected.
    pub async fn await_cut(&mut self, since: Instant) -> Effect {
        let (cut, open) = (&self.route, &self.control);
        let deadline = since + EFFECT;
        let (from, url, control) = (&self.from, &cut.url, &open.url);
        loop {
            match probe_pod::judge(&cut.samples(), &open.samples(), since) {
                RouteState::Proven { at, established } => {
                    self.cut = Some((at, established));
                    let after = at.duration_since(since).as_millis();
                    return Effect::Proven(format!(
                        "from {from}, {url} does not answer any more, {after} ms after the policy; {control} still does"
                    ));
                }
                RouteState::Blind if Instant::now() >= deadline => {
                    return Effect::NotSeen(format!(
                        "{from} reaches the control route {control} no more either"
                    ));
                }
                RouteState::Open | RouteState::NotYet if Instant::now() >= deadline => {
                    return Effect::NotSeen(format!(
                        "{} s after the policy was made, {url} still answers {from}: does the cluster's network enforce NetworkPolicies?",
                        EFFECT.as_secs(),
                    ));
                }
                _ => sleep(LOOK).await,
            }
        }
    }

    /// The fault's time is over: was the route cut all the while? Somebody may have taken the
    /// policy away in between.
    pub fn check_still_cut(&mut self, since: Instant) {
        let Some((at, _)) = self.cut else {
            return;
        };
        let now = probe_pod::judge(&self.route.samples(), &self.control.samples(), since);
        if !matches!(now, RouteState::Proven { at: began, .. } if began == at) {
            self.cut = None;
        }
    }

    /// The policy was deleted: waits until the route is open again.
    pub async fn await_open(
        &mut self,
        context: &Context,
        undone: Instant,
        limit: Duration,
    ) -> Recovery {
        self.undone = Some(undone);
        let reached = self.route.open(undone, undone + limit).await;
        self.reached_again = Some(reached.clone());
        match reached {
            Ok(_) => Recovery::SteadyState,
            Err(error) => Recovery::NotRecovered {
                what: error.to_string(),
                hint: format!("kubectl get networkpolicies -n {}", context.namespace),
            },
        }
    }

    /// `NAME.cut`, `NAME.control`, `NAME.reconnected`.
    pub fn judge(&self, name: &str, since: Instant) -> Vec<Check> {
        let (route, control) = (&self.route, &self.control);
        let id = |what: &str| format!("{name}.{what}");
        let (object, from) = (format!("service {}", route.url), &self.from);
        let cut = match self.cut {
            Some(_) => Check::pass(
                &id("cut"),
                &object,
                format!("did not answer {from} until the policy was deleted"),
            ),
            None => Check::unknown(
                &id("cut"),
                &object,
                format!("was not cut off from {from} for the whole time"),
            ),
        };
        let beside: Vec<bool> = control
            .samples()
            .iter()
            .filter(|s| s.at >= since)
            .map(|s| s.good)
            .collect();
        let good = beside.iter().filter(|good| **good).count();
        let open = Check::new(
            &id("control"),
            format!("service {}", control.url),
            stayed_open(&beside),
            format!(
                "answered {good} of {} questions from {from} meanwhile",
                beside.len()
            ),
        );
        let reconnected = match (&self.reached_again, self.undone) {
            (Some(Ok(at)), Some(undone)) => {
                let after = at.saturating_duration_since(undone).as_millis();
                Check::pass(
                    &id("reconnected"),
                    &object,
                    format!("answered {from} again {after} ms after the undo"),
                )
            }
            (Some(Err(why)), _) => Check::fail(&id("reconnected"), &object, why.to_string()),
            _ => Check::unknown(&id("reconnected"), &object, "was not asked again"),
        };
        vec![cut, open, reconnected]
    }

    /// `NAME.established`: whether a connection that was open before was cut, too.
    pub fn established(&self, name: &str) -> Check {
        let url = &self.route.url;
        let (id, object) = (format!("{name}.established"), format!("service {url}"));
        match self.cut.and_then(|(_, established)| established) {
            Some(true) => Check::pass(
                &id,
                &object,
                "a connection that was open before was cut, too",
            ),
            Some(false) => {
                Check::unknown(&id, &object, "no connection was open when the policy came")
            }
            None => Check::unknown(
                &id,
                &object,
                "whether open connections are cut was not seen",
            ),
        }
    }
}

/// Whether a control route stayed open. A question or two may get lost on a busy network: that is
/// no cut, and no proof that there was none.
fn stayed_open(good: &[bool]) -> Status {
    if good
        .windows(probe_pod::ENOUGH)
        .any(|row| !row.contains(&true))
    {
        Status::Fail
    } else if good.len() < probe_pod::ENOUGH || good.contains(&false) {
        Status::Unknown
    } else {
        Status::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_route_passes_without_a_miss_and_fails_when_it_is_cut() {
        let judged = |text: &str| stayed_open(&text.chars().map(|c| c == '+').collect::<Vec<_>>());
        assert_eq!(judged("+++"), Status::Pass);
        assert_eq!(judged("++"), Status::Unknown);
        assert_eq!(judged("++-++--+"), Status::Unknown);
        assert_eq!(judged("++---+++"), Status::Fail);
        assert_eq!(judged("--"), Status::Unknown);
    }
}
