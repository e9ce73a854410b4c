//! The logs of pods, by container.

use std::collections::BTreeMap;

use crate::testing::store::Refusal;

/// What containers have logged, by pod.
#[derive(Default)]
pub struct Logs(BTreeMap<String, BTreeMap<String, String>>);

impl Logs {
    /// A container has logged this.
    pub fn set(&mut self, pod: &str, container: &str, text: &str) {
        let of_pod = self.0.entry(pod.to_owned()).or_default();
        of_pod.insert(container.to_owned(), text.to_owned());
    }

    /// The log of a container. Which one must be said where a pod has several.
    pub fn read(&self, pod: &str, container: Option<&str>) -> Result<&str, Refusal> {
        let of_pod = self.0.get(pod).ok_or(Refusal(404, "NotFound"))?;
        let found = match container {
            Some(name) => of_pod.get(name),
            None if of_pod.len() == 1 => of_pod.values().next(),
            None => None,
        };
        found.map(String::as_str).ok_or(Refusal(400, "BadRequest"))
    }
}

/// The pod whose log a request is for.
pub fn pod_of(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/pods/")?;
    rest.strip_suffix("/log")
}
