//! What every part of an experiment works with.

use std::path::PathBuf;

use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Access, Cluster};
use chaos_common::config::Config;
use chaos_common::record::{Event, EventKind, ObjectRef, new_id};
use chaos_common::stream::Stream;
use tokio::time::Instant;

use crate::commands::Choice;
use crate::safety::guardian::Launcher;
use crate::safety::journal::{self, Journal, NoStateFolder};
use crate::safety::journal_entry::Entry;

/// The surroundings of an experiment, and its record so far.
pub struct Context {
    /// The cluster.
    pub cluster: Cluster,
    /// How the guardian is started.
    pub launcher: Launcher,
    /// For questions to Services and pods.
    pub asker: HttpProbe,
    /// The configuration.
    pub config: Config,
    /// The application's namespace.
    pub namespace: String,
    /// Both ends of the pipeline.
    pub stream: Stream,
    /// Id of this run of an experiment: that of its pipeline, and what tells it from others that
    /// were given the same stream. It is in the label of all that the run makes or touches.
    pub run: String,
    /// Folder of local journals, if there is a place for one.
    pub journals: Result<PathBuf, NoStateFolder>,
    /// The local journal, once the experiment has one.
    pub journal: Option<Journal>,
    /// What the operator chose on the command line.
    pub choice: Choice,
    /// When the first write of the fault was sent.
    pub injected: Option<Instant>,
    /// What was done, in order.
    pub actions: Vec<String>,
    /// What went wrong or surprised.
    pub issues: Vec<String>,
}

impl Context {
    /// The surroundings of an experiment that has not begun.
    pub fn new(
        cluster: Cluster,
        access: Access,
        config: Config,
        namespace: String,
        stream: Stream,
    ) -> Context {
        let unique = new_id();
        let run = format!("{}-{}", stream.run, &unique[unique.len() - 8..]);
        Context {
            asker: HttpProbe::new(&cluster),
            cluster,
            launcher: Launcher::Process(access),
            config,
            namespace,
            stream,
            run,
            journals: journal::folder(),
            journal: None,
            choice: Choice::default(),
            injected: None,
            actions: Vec::new(),
            issues: Vec::new(),
        }
    }

    /// An object that an experiment makes in the application's namespace. Its name is the same in
    /// every run, so that a Role can be tied to it; whose it is, its label says.
    pub fn own_object(
        &self,
        api_version: &str,
        kind: &str,
        resource: &str,
        name: String,
    ) -> ObjectRef {
        ObjectRef {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            resource: resource.to_owned(),
            namespace: Some(self.namespace.clone()),
            name,
            uid: None,
        }
    }

    /// Something happened: it goes into the journal, into the stream, and to stderr.
    pub fn event(&mut self, event: EventKind, object: Option<String>, summary: impl Into<String>) {
        let summary = summary.into();
        if let Some(journal) = &mut self.journal {
            let line = Entry::Event {
                event,
                object: object.clone(),
                summary: summary.clone(),
            };
            if let Err(error) = journal.write(&line) {
                let path = journal.path().display();
                let issue = format!("the journal {path} could not be written: {error}");
                // It is tried again with the next line: the disk may have room by then.
                if !self.issues.contains(&issue) {
                    self.issues.push(issue);
                }
            }
        }
        let since_injection_ms = self
            .injected
            .map(|start| start.elapsed().as_secs_f64() * 1000.0);
        self.stream.event(
            summary,
            Event {
                event,
                object,
                since_injection_ms,
            },
        );
    }

    /// A step that changed something or that the report should tell.
    pub fn action(&mut self, event: EventKind, object: Option<String>, summary: impl Into<String>) {
        let summary = summary.into();
        self.actions.push(summary.clone());
        self.event(event, object, summary);
    }

    /// Something went wrong or surprised.
    pub fn issue(&mut self, event: EventKind, object: Option<String>, summary: impl Into<String>) {
        let summary = summary.into();
        self.issues.push(summary.clone());
        self.event(event, object, summary);
    }
}

#[cfg(test)]
mod tests;
