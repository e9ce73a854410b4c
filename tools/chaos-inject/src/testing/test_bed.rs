//! Where the experiments and commands of a test run: an API server in memory, a folder for journals,
//! and a stream between two files.

use std::fs::File;
use std::path::PathBuf;

use chaos_common::cluster::Access;
use chaos_common::config::Config;
use chaos_common::exit::Exit;
use chaos_common::record::{Overridden, Plan, Record};
use chaos_common::stream::{Stream, Upstream};
use chaos_common::tool;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::LocalSet;

use crate::commands::Choice;
use crate::context::Context;
use crate::run::experiment::Experiment;
use crate::run::{self, Order, run_stoppable};
use crate::safety::guardian::Launcher;
use crate::testing::ApiServer;
use crate::testing::experiment::Stub;
use crate::testing::objects::NAMESPACE;

/// The surroundings of a test.
pub struct TestBed {
    /// The cluster.
    pub server: ApiServer,
    /// `chaos.toml`.
    pub config: String,
    /// Records of the tools before this one, a line each.
    pub upstream: String,
    /// Why a closed gate does not matter.
    pub overridden: Option<String>,
    /// The losses that are accepted.
    pub accepted: Vec<String>,
    /// All pods of a workload may be taken.
    pub allow_outage: bool,
    /// The policies that may be set aside.
    pub set_aside: Vec<String>,
    /// The plan of the stream, where that is to be carried out.
    pub announced: Option<Record<Plan>>,
    folder: TempDir,
}

/// What came of a run or a command.
pub struct Ended {
    /// The exit status.
    pub exit: Exit,
    /// The data of the last record.
    pub record: Value,
    /// That record's verdict.
    pub verdict: String,
    /// That record's summary.
    pub summary: String,
    /// What the engine asked of the experiment.
    pub log: Vec<String>,
}

impl Ended {
    fn check_of(&self, id: &str) -> Option<&Value> {
        let checks = self.record["checks"].as_array()?;
        checks.iter().find(|check| check["id"] == id)
    }

    /// The status of a check of the record.
    pub fn check(&self, id: &str) -> Option<&str> {
        self.check_of(id)?["status"].as_str()
    }

    /// What a check of the record says.
    pub fn message(&self, id: &str) -> Option<&str> {
        self.check_of(id)?["message"].as_str()
    }

    /// Why the run was refused or aborted.
    pub fn reason(&self) -> &str {
        self.record["reason"].as_str().unwrap_or_default()
    }
}

impl TestBed {
    /// A cluster with these objects, gates overridden.
    pub fn with(objects: impl IntoIterator<Item = Value>) -> TestBed {
        TestBed {
            server: ApiServer::with(objects),
            config: String::new(),
            upstream: String::new(),
            overridden: Some("a test".to_owned()),
            accepted: Vec::new(),
            allow_outage: false,
            set_aside: Vec::new(),
            announced: None,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A file or folder of the test: `journals` holds the journals.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The run's journal.
    pub fn journal(&self) -> String {
        let entries = std::fs::read_dir(self.path("journals")).expect("journals");
        let paths = entries.map(|entry| entry.expect("readable").path());
        let mut journals = paths.filter(|path| path.extension().is_some_and(|end| end == "ndjson"));
        std::fs::read_to_string(journals.next().expect("a journal")).expect("readable")
    }

    fn config(&self) -> Config {
        let path = self.path("chaos.toml");
        std::fs::write(&path, &self.config).expect("writable");
        let loaded = chaos_common::config::load(Some(&path));
        let loaded = loaded.map_err(|failure| failure.message);
        loaded.expect("a configuration").config
    }

    fn choice(&self) -> Choice {
        let overridden = |gate: &str| {
            let reason = self.overridden.clone()?;
            let gate = gate.to_owned();
            Some(Overridden { gate, reason })
        };
        let gates = ["gate.stream", "gate.health", "gate.backup"];
        Choice {
            accepted: self.accepted.clone(),
            overridden: gates.into_iter().filter_map(overridden).collect(),
            allow_outage: self.allow_outage,
            set_aside: self.set_aside.clone(),
            ..Choice::default()
        }
    }

    /// What an experiment or a command works with.
    pub fn context(&self) -> Context {
        let upstream = match self.upstream.as_str() {
            // As on a terminal: there is no tool before this one.
            "" => Upstream::default(),
            records => Upstream::from_reader(records.as_bytes()).expect("readable"),
        };
        let out = File::create(self.path("out.ndjson")).expect("a file");
        let stream = Stream::between(tool!(), upstream, out);
        let cluster = self.server.cluster();
        let namespace = NAMESPACE.to_owned();
        let access = Access::default();
        let mut context = Context::new(cluster.clone(), access, self.config(), namespace, stream);
        context.launcher = Launcher::Task(cluster);
        context.choose(self.choice());
        context.journals = Ok(self.path("journals"));
        context
    }

    /// What came of it, with the last record of the stream.
    pub fn ended(&self, exit: Exit) -> Ended {
        let text = std::fs::read_to_string(self.path("out.ndjson")).expect("readable");
        let last = text.lines().last().expect("a record");
        let last: Value = serde_json::from_str(last).expect("JSON");
        Ended {
            exit,
            verdict: last["verdict"].as_str().unwrap_or_default().to_owned(),
            summary: last["summary"].as_str().unwrap_or_default().to_owned(),
            record: last["data"].clone(),
            log: Vec::new(),
        }
    }

    /// Plans an experiment, and gives the record that is announced.
    pub async fn plan(&self, stub: Stub) -> Record<Plan> {
        let mut context = self.context();
        run::plan(&mut context, &stub).await;
        let text = std::fs::read_to_string(self.path("out.ndjson")).expect("readable");
        let last = text.lines().last().expect("a record");
        serde_json::from_str(last).expect("a plan")
    }

    fn all_records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("out.ndjson")).expect("readable");
        let records = text.lines().map(serde_json::from_str::<Value>);
        records.map(|record| record.expect("JSON")).collect()
    }

    /// The records of a kind that the last run wrote.
    pub fn records(&self, schema: &str) -> Vec<Value> {
        let mut records = self.all_records();
        records.retain(|record| record["schema"] == schema);
        records
    }

    /// The kinds of the records that the last run wrote, but for events.
    pub fn kinds(&self) -> Vec<String> {
        let records = self.all_records().into_iter();
        let kinds = records.map(|record| record["schema"].to_string());
        kinds.filter(|kind| !kind.contains("event")).collect()
    }

    /// Runs an experiment, from its gates to its record. Signals end the test as they end any
    /// process.
    pub async fn run(&self, stub: Stub) -> Ended {
        let log = stub.log.clone();
        let ended = self.run_experiment(Box::new(stub)).await;
        Ended {
            log: log.take(),
            ..ended
        }
    }

    /// The same of any experiment.
    pub async fn run_experiment(&self, experiment: Box<dyn Experiment>) -> Ended {
        let mut context = self.context();
        let order = Order {
            experiment,
            choice: self.choice(),
            announced: self.announced.clone(),
            yes: true,
        };
        let run = run_stoppable(&mut context, order, |_| {});
        let exit = LocalSet::new().run_until(run).await;
        self.ended(exit)
    }
}
