//! The proof of a fault that is about traffic: a route that has to be cut while it is on, and
//! beside it a control route that has to stay open, both asked from the same pod.

use std::time::Duration;

use chaos_common::record::{Check, Plan, Status};
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::experiments::support::own_pod;
use crate::experiments::support::peer::{NotReached, Routes};
use crate::experiments::support::probe_pod::{self, RouteState, latest};
use crate::plan::Draft;
use crate::run::experiment::{Effect, Recovery};

/// Time for the first good answers, before the fault.
const FIRST_ANSWERS: Duration = Duration::from_secs(15);
/// Time for a policy to show: it is put into force within seconds, or never.
const EFFECT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// The longest time in which nobody asked that the proof bears: one pod follows another.
const BLINK: Duration = Duration::from_secs(5);
/// What came within this time says how a route is now.
const NOW: Duration = Duration::from_secs(10);

/// The longest that routes are asked: through the whole run, and before it.
pub fn longest(context: &Context, plan: &Plan) -> Duration {
    FIRST_ANSWERS + context.config.experiment.warm_up.0 + Duration::from_millis(plan.worst_case_ms)
}

/// The same of a plan that is being made, from the start of a probe pod on.
pub fn at_most(context: &Context, draft: &Draft) -> Duration {
    let settings = &context.config.experiment;
    FIRST_ANSWERS + own_pod::START + settings.warm_up.0 + draft.worst_case(settings)
}

/// Whether the route was cut all the while.
#[derive(Clone, Debug, PartialEq)]
enum Cut {
    /// It was not seen to be.
    No,
    /// Since then; whether that cut a connection that was open before.
    Since(Instant, Option<bool>),
    /// It was, and then nobody looked for so long.
    Unseen(Duration),
}

/// Whether the route is open again after the undo.
#[derive(Clone, Debug)]
enum Again {
    Open(Instant),
    /// The control route is open, and it is not.
    Cut(NotReached),
    /// Nobody can tell.
    Unseen(String),
}

/// Both routes, and what became of them.
#[derive(Debug)]
pub struct ConnectivityProof {
    /// Who asks, as `deployment/NAME`.
    from: String,
    routes: Routes,
    undone: Option<Instant>,
    /// Up to the end.
    cut: Cut,
    /// Once that was waited for.
    again: Option<Again>,
}

impl ConnectivityProof {
    /// Waits until both routes are open.
    ///
    /// # Errors
    /// One is not; says which, and what curl says.
    pub async fn start(from: &str, routes: Routes) -> anyhow::Result<ConnectivityProof> {
        let start = Instant::now();
        for route in [&routes.route, &routes.control] {
            route.open(start, start + FIRST_ANSWERS).await?;
        }
        Ok(ConnectivityProof {
            from: from.to_owned(),
            routes,
            undone: None,
            cut: Cut::No,
            again: None,
        })
    }

    /// Waits until the route is seen to be cut and the control route to be open. `since` is when
    /// the fault was injected.
    pub async fn await_cut(&mut self, since: Instant) -> Effect {
        let (cut, open) = (&self.routes.route, &self.routes.control);
        let deadline = since + EFFECT;
        let (from, url, control) = (&self.from, &cut.url, &open.url);
        loop {
            match probe_pod::judge(&cut.samples(), &open.samples(), since) {
                RouteState::Proven { at, established } => {
                    self.cut = Cut::Since(at, established);
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
        let Cut::Since(at, _) = self.cut else {
            return;
        };
        let (route, control) = (self.routes.route.samples(), self.routes.control.samples());
        let latest = route.last().map_or(at, |sample| sample.at);
        let gap = probe_pod::longest_gap(&route, at).unwrap_or_default();
        let gap = gap.max(latest.elapsed());
        let now = probe_pod::judge(&route, &control, since);
        self.cut = match now {
            _ if gap > BLINK => Cut::Unseen(gap),
            RouteState::Proven { at: began, .. } if began == at => return,
            _ => Cut::No,
        };
    }

    /// The policy was deleted: waits until the route is open again. Halfway another pod of the peer
    /// is asked, since what keeps the first from it may be its own trouble.
    pub async fn await_open(
        &mut self,
        context: &Context,
        undone: Instant,
        limit: Duration,
    ) -> Recovery {
        self.undone = Some(undone);
        let route = &self.routes.route;
        let mut reached = route.open(undone, undone + limit / 2).await;
        if reached.is_err() {
            self.routes.elsewhere();
            reached = route.open(undone, undone + limit).await;
        }
        let again = match reached {
            Ok(at) => Again::Open(at),
            Err(error) => self.not_reached(error),
        };
        self.again = Some(again.clone());
        match again {
            Again::Open(_) => Recovery::SteadyState,
            Again::Unseen(why) => Recovery::Unseen(why),
            Again::Cut(error) => Recovery::NotRecovered {
                what: error.to_string(),
                hint: format!("kubectl get networkpolicies -n {}", context.namespace),
            },
        }
    }

    /// The route is not seen to be open: whether that was seen, beside a control route that is.
    fn not_reached(&self, error: NotReached) -> Again {
        let Routes { route, control, .. } = &self.routes;
        let now = Instant::now();
        let since = now.checked_sub(NOW).unwrap_or(now);
        let cut = latest(&route.samples(), since, false).is_some();
        if cut && latest(&control.samples(), since, true).is_some() {
            return Again::Cut(error);
        }
        let (from, url) = (&self.from, &route.url);
        let why = match control.error() {
            _ if cut => format!("it does not reach the control route {} either", control.url),
            Some(error) => error,
            None => "nobody there could be made to ask".to_owned(),
        };
        Again::Unseen(format!(
            "whether {from} reaches {url} again could not be seen from any of its pods: {why}; \
             the policy is deleted"
        ))
    }

    /// `NAME.cut`, `NAME.control`, `NAME.reconnected`.
    pub fn judge(&self, name: &str, since: Instant) -> Vec<Check> {
        let Routes { route, control, .. } = &self.routes;
        let id = |what: &str| format!("{name}.{what}");
        let (object, from) = (format!("service {}", route.url), &self.from);
        let cut = match self.cut {
            Cut::Since(..) => Check::pass(
                &id("cut"),
                &object,
                format!("did not answer {from} until the policy was deleted"),
            ),
            Cut::No => Check::unknown(
                &id("cut"),
                &object,
                format!("was not cut off from {from} for the whole time"),
            ),
            Cut::Unseen(gap) => Check::unknown(
                &id("cut"),
                &object,
                format!("was not asked from {from} for {:.1} s", gap.as_secs_f64()),
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
        let reconnected = match (&self.again, self.undone) {
            (Some(Again::Open(at)), Some(undone)) => {
                let after = at.saturating_duration_since(undone).as_millis();
                Check::pass(
                    &id("reconnected"),
                    &object,
                    format!("answered {from} again {after} ms after the undo"),
                )
            }
            (Some(Again::Cut(why)), _) => Check::fail(&id("reconnected"), &object, why.to_string()),
            (Some(Again::Unseen(why)), _) => Check::unknown(&id("reconnected"), &object, why),
            _ => Check::unknown(&id("reconnected"), &object, "was not asked again"),
        };
        vec![cut, open, reconnected]
    }

    /// `NAME.established`: whether a connection that was open before was cut, too.
    pub fn established(&self, name: &str) -> Check {
        let url = &self.routes.route.url;
        let (id, object) = (format!("{name}.established"), format!("service {url}"));
        let established = match self.cut {
            Cut::Since(_, established) => established,
            Cut::No | Cut::Unseen(_) => None,
        };
        match established {
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
mod tests;
