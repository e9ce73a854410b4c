//! Which tests run side by side: what one has for itself, the others wait for.
//!
//! All tests are started at once (`--test-threads` of many), and each takes what it needs before it
//! begins. Who takes long is served first, who wants for himself what others share last, others in the
//! order in which they came; who can't be served yet lets others pass. As nobody waits for more
//! while he holds something, all come to their turn.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Copies of the shop that tests can have, each for one at a time.
pub const SHOPS: usize = 3;

/// What tests could disturb each other in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The API server, the metrics API and the processor: whoever has them for himself may stop
    /// them, or measure times that others would lengthen.
    Node,
    /// Whether NetworkPolicies are enforced.
    Policies,
    /// The test beds of the kill sweep.
    Beds,
    /// The application that is not built like the shop.
    Acme,
}

/// How a resource is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Together with others.
    Shared,
    /// By nobody else meanwhile.
    Exclusive,
}

/// What a test needs.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    uses: Vec<(Resource, Use)>,
    shop: bool,
    long: bool,
}

impl Needs {
    /// A share of this machine.
    pub fn machine() -> Needs {
        Needs::default()
    }

    /// The cluster, in a namespace of the test's own.
    pub fn cluster() -> Needs {
        Needs::machine().and(Resource::Node, Use::Shared)
    }

    /// The cluster, and a copy of the shop with its monitoring.
    pub fn shop() -> Needs {
        Needs {
            shop: true,
            ..Needs::cluster()
        }
    }

    /// This too, in place of an earlier use of the same.
    #[must_use]
    pub fn and(mut self, resource: Resource, how: Use) -> Needs {
        self.uses.retain(|(one, _)| *one != resource);
        self.uses.push((resource, how));
        self
    }

    /// The time of several other tests: it begins before them, so that it is not what all wait for
    /// in the end.
    #[must_use]
    pub fn long(mut self) -> Needs {
        self.long = true;
        self
    }

    /// Those who share what it wants for itself would all have to wait for it.
    fn holds_others_up(&self) -> bool {
        let one = |(resource, how): &(Resource, Use)| {
            let is_shared = matches!(resource, Resource::Node | Resource::Policies);
            *how == Use::Exclusive && is_shared
        };
        self.uses.iter().any(one)
    }
}

/// What is taken now, and who waits.
#[derive(Debug)]
struct State {
    lanes: usize,
    shops: [bool; SHOPS],
    shared: BTreeMap<Resource, usize>,
    exclusive: Vec<Resource>,
    /// By ticket.
    waiting: BTreeMap<usize, Needs>,
    tickets: usize,
}

impl State {
    const fn new(lanes: usize) -> State {
        State {
            lanes,
            shops: [false; SHOPS],
            shared: BTreeMap::new(),
            exclusive: Vec::new(),
            waiting: BTreeMap::new(),
            tickets: 0,
        }
    }

    fn can(&self, needs: &Needs) -> bool {
        let free = |(resource, how): &(Resource, Use)| {
            let shared = self.shared.get(resource).is_some_and(|count| *count > 0);
            !self.exclusive.contains(resource) && (*how == Use::Shared || !shared)
        };
        self.lanes > 0
            && (!needs.shop || self.shops.contains(&false))
            && needs.uses.iter().all(free)
    }

    /// Whose turn it is of those that wait.
    fn next(&self) -> Option<usize> {
        let able = self.waiting.iter().filter(|(_, needs)| self.can(needs));
        able.min_by_key(|(ticket, needs)| (!needs.long, needs.holds_others_up(), **ticket))
            .map(|(ticket, _)| *ticket)
    }

    /// Gives what is needed, and the number of the shop if there is one.
    fn give(&mut self, needs: &Needs) -> Option<usize> {
        self.lanes -= 1;
        for (resource, how) in &needs.uses {
            match how {
                Use::Shared => *self.shared.entry(*resource).or_default() += 1,
                Use::Exclusive => self.exclusive.push(*resource),
            }
        }
        let shop = self.shops.iter().position(|taken| !taken);
        let shop = shop.filter(|_| needs.shop)?;
        self.shops[shop] = true;
        Some(shop)
    }

    fn give_back(&mut self, needs: &Needs, shop: Option<usize>) {
        self.lanes += 1;
        for (resource, how) in &needs.uses {
            match how {
                Use::Shared => *self.shared.entry(*resource).or_default() -= 1,
                Use::Exclusive => self.exclusive.retain(|one| one != resource),
            }
        }
        if let Some(shop) = shop {
            self.shops[shop] = false;
        }
    }
}

/// As many tests at a time as keep two cores busy: most of them wait for pods most of the time.
const LANES: usize = 4;

static STATE: Mutex<State> = Mutex::new(State::new(LANES));
static CHANGED: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a test has taken; others may have it when this is gone.
#[derive(Debug)]
pub struct Hold {
    needs: Needs,
    shop: Option<usize>,
    waited: Duration,
    since: Instant,
}

impl Hold {
    /// Waits until all of it can be had.
    pub fn take(needs: Needs) -> Hold {
        let came = Instant::now();
        let mut state = state();
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.insert(ticket, needs.clone());
        while state.next() != Some(ticket) {
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting.remove(&ticket);
        let shop = state.give(&needs);
        drop(state);
        // There may be enough left for the next one.
        CHANGED.notify_all();
        Hold {
            needs,
            shop,
            waited: came.elapsed(),
            since: Instant::now(),
        }
    }

    /// Which copy of the shop it has, from 0.
    pub fn shop(&self) -> Option<usize> {
        self.shop
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        state().give_back(&self.needs, self.shop);
        CHANGED.notify_all();
        let thread = std::thread::current();
        let how = if std::thread::panicking() {
            "FAILED"
        } else {
            "ok"
        };
        let line = format!(
            "{:7.1} s  {how:<6}  {}  (after {:.0} s of waiting)\n",
            self.since.elapsed().as_secs_f64(),
            thread.name().unwrap_or("a test"),
            self.waited.as_secs_f64()
        );
        // Past the capture of the tests' output: it tells people how far it is.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exclusive(resource: Resource) -> Needs {
        Needs::cluster().and(resource, Use::Exclusive)
    }

    #[test]
    fn what_one_has_for_himself_others_wait_for() {
        let mut state = State::new(LANES);
        let shared = Needs::cluster().and(Resource::Policies, Use::Shared);
        assert_eq!(state.give(&shared), None);
        assert!(state.can(&shared));
        assert!(!state.can(&exclusive(Resource::Policies)));
        assert!(!state.can(&exclusive(Resource::Node)));
        state.give_back(&shared, None);
        state.give(&exclusive(Resource::Policies));
        assert!(!state.can(&shared) && state.can(&Needs::cluster()));
    }

    #[test]
    fn each_copy_of_the_shop_has_one_user() {
        let mut state = State::new(2 * SHOPS);
        let shops: Vec<_> = (0..SHOPS).map(|_| state.give(&Needs::shop())).collect();
        assert_eq!(shops, [Some(0), Some(1), Some(2)]);
        assert!(!state.can(&Needs::shop()) && state.can(&Needs::cluster()));
        state.give_back(&Needs::shop(), Some(1));
        assert_eq!(state.give(&Needs::shop()), Some(1));
    }

    #[test]
    fn the_longest_goes_first_and_who_wants_to_be_alone_last() {
        let mut state = State::new(LANES);
        let needs = [
            exclusive(Resource::Node),
            Needs::machine(),
            Needs::cluster(),
            exclusive(Resource::Beds).long(),
            exclusive(Resource::Acme),
        ];
        state.waiting = needs.into_iter().enumerate().collect();
        let mut order = Vec::new();
        while let Some(ticket) = state.next() {
            let needs = state.waiting.remove(&ticket).expect("it waits");
            let shop = state.give(&needs);
            state.give_back(&needs, shop);
            order.push(ticket);
        }
        assert_eq!(order, [3, 1, 2, 4, 0]);
    }
}
