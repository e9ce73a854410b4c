use serde_json::json;

use super::*;
use crate::testing::ApiServer;
use crate::testing::objects::{self, NAMESPACE};
use crate::testing::test_bed::TestBed;

const CONFIG: &str = r#"
[[service]]
name = "front"
port = 80
health = "/health"
vantage = "api-proxy"
data = [{ path = "/api/items", json = { "/ok" = true } }, "/health"]
timed = ["/", "/api/items"]

[[service]]
name = "back"
port = 80
timed = ["/slow"]
vantage = "exec:deployment/front"

[[url]]
url = "https://shop.example.com/health?deep=1"
expect = { status = 401 }
"#;

/// The health of a Service that is asked ten times a second through the API server.
pub fn question(server: &ApiServer, path: &str) -> Question {
    let endpoint = Endpoint {
        namespace: NAMESPACE.into(),
        service: "shop".into(),
        port: 8000,
        vantage: Vantage::ApiProxy,
        ..Endpoint::default()
    };
    Question {
        service: "shop".into(),
        path: path.to_owned(),
        interval: Duration::from_millis(100),
        affected: false,
        way: Way::Service(
            Box::new(HttpProbe::new(&server.cluster())),
            Box::new(endpoint),
        ),
        wanted: Wanted::As(Box::default()),
        reason: Reason::Health,
    }
}

fn asked(affected: &[&str]) -> Vec<Question> {
    let mut bed = TestBed::with([]);
    bed.config = CONFIG.to_owned();
    let mut plan = objects::plan(&[], &[]);
    plan.affected = affected.iter().map(ToString::to_string).collect();
    let (questions, checks) = configured(&bed.context(), &plan, "x.available");
    assert!(checks.is_empty(), "{checks:?}");
    questions
}

#[tokio::test]
async fn what_users_notice_is_asked_besides_health_and_each_path_once() {
    let objects: Vec<String> = asked(&[]).iter().map(Question::object).collect();
    assert_eq!(
        objects,
        [
            "service/front",
            "service/front /api/items",
            "service/front /",
            "service/back /slow",
            "https://shop.example.com/health?deep=1",
        ]
    );
}

#[tokio::test]
async fn the_rate_of_what_is_no_health_path_is_bounded() {
    let intervals = asked(&[])
        .iter()
        .map(|one| one.interval)
        .collect::<Vec<_>>();
    let ms = Duration::from_millis;
    assert_eq!(intervals, [ms(100), ms(200), ms(200), ms(1000), ms(200)]);
    let mut many = vec![asked(&[])[1].clone(); 100];
    set_intervals(&mut many, ms(100));
    assert!(many.iter().all(|one| one.interval == ms(5000)));
    let mut health = vec![asked(&[])[0].clone(); 10];
    bound(&mut health);
    assert!(health.iter().all(|one| one.interval == ms(500)));
}

#[tokio::test]
async fn services_and_paths_and_urls_may_be_expected_to_suffer() {
    let suffer = |names: &[&str]| {
        let asked = asked(names);
        asked.iter().map(|one| one.affected).collect::<Vec<_>>()
    };
    let front = [true, true, true, false, false];
    assert_eq!(suffer(&["front"]), front);
    let one_path = suffer(&["front/api/items", "fron", "back/api/items"]);
    assert_eq!(one_path, [false, true, false, false, false]);
    let url = suffer(&["https://shop.example.com/health?deep=1"]);
    assert_eq!(url, [false, false, false, false, true]);
}

#[tokio::test]
async fn an_answer_is_judged_by_what_is_expected_of_its_path() {
    let questions = asked(&[]);
    let judged = |n: usize, status: u16, body: &serde_json::Value| {
        let answer = probe::Answer {
            status,
            body: body.to_string().into_bytes(),
            elapsed: Duration::ZERO,
        };
        questions[n].wanted.deviation(&answer)
    };
    let good = json!({ "ok": true });
    assert_eq!(judged(0, 200, &good), None);
    assert_eq!(judged(0, 302, &good).as_deref(), Some("answers 302"));
    assert_eq!(judged(1, 200, &good), None);
    assert_eq!(judged(1, 502, &good).as_deref(), Some("answers 502"));
    let no = judged(1, 200, &json!({ "ok": false }));
    let words = "answers 200, but \"/ok\" is not true";
    assert_eq!(no.as_deref(), Some(words));
    assert_eq!(judged(4, 401, &good), None);
    let other = judged(4, 200, &good);
    assert_eq!(other.as_deref(), Some("answers 200; 401 is wanted"));
}

#[test]
fn data_that_are_too_few_or_no_json_are_no_good_answer() {
    let data = json!({ "path": "/", "min_items": 2, "json": { "/0/price": 3 } });
    let wanted = Wanted::As(Box::new(config::Wanted {
        data: Some(serde_json::from_value(data).expect("a data path")),
        ..config::Wanted::default()
    }));
    let judged = |body: &str| {
        wanted.deviation(&probe::Answer {
            status: 200,
            body: body.as_bytes().to_vec(),
            elapsed: Duration::ZERO,
        })
    };
    assert_eq!(judged(r#"[{"price":3.0},{}]"#), None);
    let few = judged(r#"[{"price":3}]"#);
    let words = "answers 200 with 1 items; at least 2 are wanted";
    assert_eq!(few.as_deref(), Some(words));
    assert_eq!(
        judged("<html>").as_deref(),
        Some("answers 200, but not with JSON")
    );
}

#[tokio::test]
async fn a_path_that_is_both_health_and_data_must_be_both_and_a_timed_one_may_redirect_as_told() {
    let mut bed = TestBed::with([]);
    bed.config = r#"
[[service]]
name = "front"
port = 80
health = "/health"
expect = { status = 307 }
data = [{ path = "/health", status = 307, json = { "/ok" = true } }]
timed = ["/login"]
"#
    .to_owned();
    let plan = objects::plan(&[], &[]);
    let (questions, _) = configured(&bed.context(), &plan, "x.available");
    let good = |n: usize, status: u16, body: &str| {
        let answer = probe::Answer {
            status,
            body: body.as_bytes().to_vec(),
            elapsed: Duration::ZERO,
        };
        questions[n].wanted.deviation(&answer).is_none()
    };
    assert!(good(0, 307, r#"{"ok":true}"#));
    assert!(!good(0, 307, r#"{"ok":false}"#), "its data say no");
    assert!(!good(0, 200, r#"{"ok":true}"#), "its health says no");
    assert!(good(1, 307, "") && good(1, 200, "") && !good(1, 503, ""));
}
