//! What the API server in memory does amiss, when a test says so.

use crate::testing::store::Store;

/// How a request is treated.
pub enum Behaviour {
    /// It is refused with this HTTP status.
    Status(u16),
    /// It never arrives, and is never answered.
    Lost,
    /// It is carried out, and never answered.
    AnswerLost,
    /// It is answered as if it had been carried out, and is not.
    Ignored,
    /// The connection is refused.
    NoConnection,
    /// Somebody does this right before it.
    After(Box<dyn FnMut(&mut Store) + Send>),
}

/// One line of a script.
pub struct Rule {
    /// Method and a part of the path: `PATCH deployments/shop`; of a dry run, `DRYRUN pods`.
    pub request: String,
    /// How often it still applies; for ever if `None`.
    pub left: Option<usize>,
    /// What happens.
    pub behaviour: Behaviour,
}

impl Rule {
    /// Whether a request is meant, which uses the rule up by one.
    pub fn takes(&mut self, method: &str, path: &str) -> bool {
        let (wanted, part) = self.request.split_once(' ').expect("METHOD PATH");
        let meant = (wanted == "*" || wanted == method) && path.contains(part);
        match &mut self.left {
            _ if !meant => false,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}
