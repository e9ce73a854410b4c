//! Tool and guardian in one test, over pipes in memory, against an API server in memory.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use super::protocol::{HANGS_AFTER, HEARTBEAT, Orders, ToGuardian, ToTool, from_line, to_line};
use super::standby::{Answers, lines_of, stand_by};
use super::supervised::{Output, listen};
use super::{Guardian, Launcher};
use crate::abort::{self, Abort, AbortSignal};
use crate::change::apply;
use crate::safety::intent::Intent;
use crate::safety::journal::{self, Journal};
use crate::testing::objects::{RUN, deployment, intent, scale_to_zero};
use crate::testing::{ApiServer, Behaviour};

const LEASE: &str = "lease/chaos-deployment-shop";

/// A run in the cluster, with its fault in place, and its journal.
struct Broken {
    server: ApiServer,
    intent: Intent,
    journal: PathBuf,
    _folder: TempDir,
}

impl Broken {
    async fn shop() -> Broken {
        let server = ApiServer::with([deployment("shop", 3)]);
        let change = scale_to_zero("shop", 3);
        let intent = intent(std::slice::from_ref(&change), &["shop"]);
        let owners = intent.declare(&server.cluster()).await.expect("declared");
        let deadline = intent.deadline();
        apply::apply(&server.cluster(), &change, RUN, &owners["prod"], deadline)
            .await
            .expect("applied");
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::create(folder.path(), RUN).expect("a journal");
        Broken {
            server,
            intent,
            journal: journal.path().to_owned(),
            _folder: folder,
        }
    }

    fn replicas(&self) -> Value {
        self.server.get("deployment/shop").expect("it exists")["spec"]["replicas"].clone()
    }

    fn is_undone(&self) -> bool {
        self.replicas() == json!(3) && self.server.get(LEASE).is_none()
    }

    async fn guarded(&self) -> (Guardian, Abort) {
        let (signal, abort) = AbortSignal::new();
        let launcher = Launcher::Task(self.server.cluster());
        let started = Guardian::start(&launcher, &self.intent, &self.journal, &signal).await;
        (started.expect("ready"), abort)
    }

    /// What the guardian says in the journal. It is written by a thread of its own.
    fn journal_says(&self, state: &str) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            let text = std::fs::read_to_string(&self.journal).expect("readable");
            let (lines, _) = journal::parse(&text);
            lines.iter().any(|line| line.what["guardian"] == state)
        })
    }

    /// A guardian without a tool: the test writes into its pipe, and reads its answers.
    async fn alone(&self) -> (DuplexStream, Lines<BufReader<DuplexStream>>) {
        let (mut input, theirs) = tokio::io::duplex(1 << 16);
        let (output, answers) = tokio::io::duplex(1 << 16);
        let cluster = self.server.cluster();
        tokio::spawn(stand_by(
            cluster,
            lines_of(theirs),
            Answers::to_test(answers),
        ));
        let orders = Orders {
            intent: self.intent.clone(),
            journal: self.journal.clone(),
        };
        input
            .write_all(to_line(&orders).as_bytes())
            .await
            .expect("it listens");
        let mut answers = BufReader::new(output).lines();
        assert_eq!(answer(&mut answers).await, Some(ToTool::Ready));
        (input, answers)
    }
}

/// What it says next, besides that it lives.
async fn answer(answers: &mut Lines<BufReader<DuplexStream>>) -> Option<ToTool> {
    loop {
        let said = line(answers).await?;
        if said != ToTool::Alive {
            return Some(said);
        }
    }
}

async fn line(answers: &mut Lines<BufReader<DuplexStream>>) -> Option<ToTool> {
    let next = timeout(HANGS_AFTER * 6, answers.next_line()).await;
    from_line(&next.expect("an answer").expect("readable")?)
}

/// Waits for something that another task does; `false` if it does not come about in time.
async fn within(time: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(time, wait).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn the_fault_of_a_tool_that_dies_is_undone_within_a_second() {
    let test = async {
        let broken = Broken::shop().await;
        let (guardian, _abort) = broken.guarded().await;
        // What the kernel does when a process dies: its pipes are closed.
        guardian.leave();
        let undone = within(Duration::from_secs(1), || broken.replicas() == json!(3)).await;
        assert!(undone, "{:?}", broken.replicas());
        assert!(within(Duration::from_secs(3), || broken.is_undone()).await);
        // A Lease that is still on its way is waited for, and then it is over.
        sleep(Duration::from_secs(2)).await;
        assert!(broken.journal_says("restored"));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_guardian_that_is_dismissed_undoes_nothing() {
    let test = async {
        let broken = Broken::shop().await;
        let (guardian, abort) = broken.guarded().await;
        let writes = broken.server.writes().len();
        guardian.dismiss().await;
        sleep(Duration::from_secs(30)).await;
        assert_eq!(broken.server.writes().len(), writes);
        assert_eq!(abort::reason(&abort), None);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_shows_that_it_lives_is_left_alone_and_its_lease_renewed() {
    let test = async {
        let broken = Broken::shop().await;
        let renewed = || broken.server.get(LEASE).expect("it exists")["spec"]["renewTime"].clone();
        let before = renewed();
        let (guardian, _abort) = broken.guarded().await;
        sleep(HANGS_AFTER * 6).await;
        assert_eq!(broken.replicas(), json!(0), "the fault is still on");
        assert_ne!(renewed(), before);
        guardian.dismiss().await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn the_fault_of_a_tool_that_hangs_is_undone_and_the_tool_is_told() {
    let broken = Broken::shop().await;
    let (_pipe, mut answers) = broken.alone().await;
    let start = Instant::now();
    assert_eq!(answer(&mut answers).await, Some(ToTool::Undone));
    assert!(start.elapsed() >= HANGS_AFTER);
    assert_eq!(broken.replicas(), json!(3));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_in_time_is_enough() {
    let broken = Broken::shop().await;
    let (mut pipe, _answers) = broken.alone().await;
    for _ in 0..5 {
        sleep(HANGS_AFTER.mul_f64(0.99)).await;
        let alive = to_line(&ToGuardian::Alive);
        pipe.write_all(alive.as_bytes()).await.expect("it listens");
    }
    assert_eq!(broken.replicas(), json!(0), "the fault is still on");
}

#[tokio::test(start_paused = true)]
async fn a_guardian_that_dies_aborts_the_experiment() {
    let test = async {
        let broken = Broken::shop().await;
        let (guardian, mut abort) = broken.guarded().await;
        // It ends when it has taken over; that its tool lives after all, it does not know.
        let Guardian {
            heartbeat,
            listener,
            done,
            child,
        } = guardian;
        heartbeat.abort();
        timeout(Duration::from_secs(5), abort::raised(&mut abort))
            .await
            .expect("aborted");
        let reason = abort::reason(&abort).expect("raised");
        assert!(reason.contains("its guardian undid the fault"), "{reason}");
        drop((listener, done, child));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_guardian_shows_that_it_lives() {
    let broken = Broken::shop().await;
    let (mut pipe, mut answers) = broken.alone().await;
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(line(&mut answers).await, Some(ToTool::Alive));
        assert!(start.elapsed() <= HEARTBEAT);
        let alive = to_line(&ToGuardian::Alive);
        pipe.write_all(alive.as_bytes()).await.expect("it listens");
    }
}

/// The tool's ear, and the guardian's mouth, which a test moves.
fn listening() -> (DuplexStream, Abort) {
    let (mouth, ear) = tokio::io::duplex(1 << 16);
    let (signal, abort) = AbortSignal::new();
    let ear: Output = Box::new(ear);
    tokio::spawn(listen(BufReader::new(ear).lines(), signal));
    (mouth, abort)
}

#[tokio::test(start_paused = true)]
async fn a_guardian_that_stands_still_aborts_the_experiment() {
    let (mut mouth, mut abort) = listening();
    for _ in 0..5 {
        sleep(HANGS_AFTER.mul_f64(0.99)).await;
        let alive = to_line(&ToTool::Alive);
        mouth.write_all(alive.as_bytes()).await.expect("it listens");
    }
    assert_eq!(abort::reason(&abort), None);
    let start = Instant::now();
    // Its pipe stays open: it is stopped, or gets no processor time.
    let raised = timeout(HANGS_AFTER * 6, abort::raised(&mut abort)).await;
    raised.expect("aborted");
    assert!(start.elapsed() >= HANGS_AFTER, "{:?}", start.elapsed());
    assert!(start.elapsed() < HANGS_AFTER * 2, "{:?}", start.elapsed());
    let reason = abort::reason(&abort).expect("raised");
    assert!(reason.contains("the guardian has stood still"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_there_is_no_guardian_and_so_no_run() {
    let broken = Broken::shop().await;
    broken.server.always("GET /version", Behaviour::Status(403));
    let (signal, _abort) = AbortSignal::new();
    let launcher = Launcher::Task(broken.server.cluster());
    let started = Guardian::start(&launcher, &broken.intent, &broken.journal, &signal).await;
    assert!(started.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_undone_stays_locked_and_is_in_the_journal() {
    let broken = Broken::shop().await;
    broken
        .server
        .always("PATCH deployments", Behaviour::Status(403));
    let (pipe, _answers) = broken.alone().await;
    drop(pipe);
    sleep(Duration::from_secs(20)).await;
    assert!(broken.journal_says("undone"));
    assert!(!broken.journal_says("restored"));
    assert!(
        broken.server.get(LEASE).is_some(),
        "nobody breaks it further"
    );
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_does_not_keep_the_fault_in_place() {
    let mut broken = Broken::shop().await;
    broken.journal = PathBuf::from("/nowhere/run.ndjson");
    let (pipe, _answers) = broken.alone().await;
    drop(pipe);
    assert!(within(Duration::from_secs(3), || broken.is_undone()).await);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_waited_for() {
    let broken = Broken::shop().await;
    let (pipe, _answers) = broken.alone().await;
    broken.server.always("* /", Behaviour::NoConnection);
    drop(pipe);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(broken.replicas(), json!(0));
    broken.server.mend();
    assert!(within(Duration::from_secs(5), || broken.is_undone()).await);
}
