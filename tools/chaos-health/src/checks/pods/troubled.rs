//! Pods in trouble: some by name, the others counted.

use chaos_common::record::{Check, Status};

/// So many pods in trouble are named, for each status; the others are counted.
pub(super) const NAMED: usize = 100;

/// Pods in trouble of one status: some by name, the others counted by what is wrong with them.
#[derive(Clone, Debug, Default)]
pub(super) struct TroubledPods {
    named: Vec<(String, String)>,
    others: usize,
}

impl TroubledPods {
    pub(super) fn add(&mut self, name: &str, why: String) {
        if self.named.len() < NAMED {
            self.named.push((name.to_owned(), why));
        } else {
            self.others += 1;
        }
    }

    /// Adds others of the same status.
    pub(super) fn absorb(&mut self, more: &TroubledPods) {
        for (name, why) in &more.named {
            self.add(name, why.clone());
        }
        self.others += more.others;
    }

    /// How many they are.
    pub(super) fn number(&self) -> usize {
        self.named.len() + self.others
    }

    /// One of them, and what is wrong with it.
    pub(super) fn first(&self) -> Option<(&str, &str)> {
        let (name, why) = self.named.first()?;
        Some((name, why))
    }

    pub(super) fn checks<'a>(
        &'a self,
        id: &'a str,
        status: Status,
        namespace: &'a str,
    ) -> impl Iterator<Item = Check> + 'a {
        let named = self.named.iter().map(move |(name, why)| {
            Check::new(id, format!("pod/{name}"), status, why.clone())
                .hint(format!("kubectl describe pod {name} -n {namespace}"))
        });
        let others = (self.others > 0).then(|| {
            let message = format!(
                "{} more pods besides the {NAMED} that are named",
                self.others
            );
            Check::new(id, format!("namespace/{namespace}"), status, message)
                .hint(format!("kubectl get pods -n {namespace}"))
        });
        named.chain(others)
    }
}
