//! The data URLs of the application: do they answer with JSON, and with how much of it?

use std::time::Duration;

use chaos_common::cluster::probe::ProbeError;
use chaos_common::config::{DataDeviation, DataPath};
use chaos_common::record::{ApiAnswer, Check, Status};
use futures::future::join_all;

use super::redact::excerpt;
use crate::target::{ServiceUrl, Target};

/// Time that an answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The most characters of a value that a message repeats.
const VALUE: usize = 60;

/// What one URL answered.
#[derive(Clone, Debug)]
pub struct ApiResponse {
    /// What it must be.
    expect: DataPath,
    /// Whether the answer is data, whatever it was before.
    pub(crate) check: Check,
    /// The answer; absent if there was none.
    pub(crate) answer: Option<ApiAnswer>,
}

/// Asks every data URL, all at the same time. The checks get `id`.
pub async fn request_all(target: &Target<'_>, id: &str) -> Vec<ApiResponse> {
    let urls = target.urls(|service| service.data.iter().map(|data| data.path.as_str()).collect());
    let expected = target
        .config
        .services
        .iter()
        .flat_map(|service| &service.data);
    join_all(
        urls.iter()
            .zip(expected)
            .map(|(url, expect)| request(target, url, expect, id)),
    )
    .await
}

async fn request(
    target: &Target<'_>,
    url: &ServiceUrl,
    expect: &DataPath,
    id: &str,
) -> ApiResponse {
    let object = url.text();
    let (check, answer) = match target.probe.get(&url.endpoint, &url.path, LIMIT).await {
        Ok(answer) => {
            let items = expect.items(answer.status, &answer.body);
            let check = match &items {
                Ok(Some(items)) => Check::pass(
                    id,
                    object,
                    format!("answers {} with {items} items", answer.status),
                ),
                Ok(None) => Check::pass(id, object, format!("answers {} with JSON", answer.status)),
                Err(why) => Check::new(id, object, status(why), in_words(why)),
            };
            let answer = ApiAnswer {
                service: url.service.clone(),
                path: url.path.clone(),
                vantage: url.vantage.clone(),
                status: answer.status,
                items: items.ok().flatten(),
            };
            (check, Some(answer))
        }
        Err(ProbeError::Service(why)) => (
            Check::fail(id, object, format!("does not answer: {why}")),
            None,
        ),
        Err(ProbeError::Vantage(error)) => (error.check(id, object), None),
    };
    ApiResponse {
        check: check.from_vantage(&url.vantage),
        answer,
        expect: expect.clone(),
    }
}

/// What it means for the check.
fn status(deviation: &DataDeviation) -> Status {
    match deviation {
        DataDeviation::TooLong(_) => Status::Unknown,
        _ => Status::Fail,
    }
}

/// In words, with what stands where something else is wanted, as far as that is no secret.
pub(crate) fn in_words(deviation: &DataDeviation) -> String {
    let DataDeviation::Different {
        status,
        pointer,
        found,
        wanted,
    } = deviation
    else {
        return deviation.to_string();
    };
    let found = found.as_ref().map_or_else(
        || "nothing".to_owned(),
        |found| excerpt(&found.to_string(), VALUE),
    );
    format!("answers {status}, but with {found} at {pointer}; {wanted} is wanted")
}

/// Compares an answer with that of the same URL before the experiment, among the `baseline`'s; none
/// if there is no baseline that compares.
pub fn compare(baseline: Option<&[ApiAnswer]>, response: &ApiResponse) -> Check {
    let before = response.answer.as_ref().and_then(|now| {
        let same = |was: &&ApiAnswer| (&was.service, &was.path) == (&now.service, &now.path);
        baseline?.iter().find(same)
    });
    let mut check = response.check.clone();
    let (Status::Pass, Some(now)) = (check.status, &response.answer) else {
        if check.status == Status::Fail
            && before
                .is_some_and(|before| !response.expect.expectation().accepts_status(before.status))
        {
            check.message.push_str("; did so before the experiment too");
        }
        return check;
    };
    let said = std::mem::take(&mut check.message);
    let (status, message) = match before {
        None if baseline.is_some() => (
            Status::Unknown,
            format!("{said}, and had no answer in the baseline"),
        ),
        None => (
            Status::Unknown,
            format!("{said}, and there is no baseline to compare with"),
        ),
        Some(before) => match (before.items, now.items) {
            (Some(before), Some(now)) if now < before => (
                Status::Fail,
                format!(
                    "{said}, {} fewer than the {before} in the baseline",
                    before - now
                ),
            ),
            (Some(before), Some(now)) if now > before => {
                (Status::Pass, format!("{said}, {} new", now - before))
            }
            (Some(_), Some(_)) => (Status::Pass, format!("{said}, as in the baseline")),
            (Some(before), None) => (
                Status::Fail,
                format!("{said}, but with no list; the baseline has {before} items"),
            ),
            (None, _) => (
                Status::Pass,
                format!("{said}; the baseline counted no items"),
            ),
        },
    };
    (check.status, check.message) = (status, message);
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::config::LONGEST_ANSWER;

    fn expect(json: serde_json::Value) -> DataPath {
        serde_json::from_value(json).expect("a data path")
    }

    fn asked(status: u16, body: &str) -> ApiResponse {
        let expect = expect("/".into());
        let items = expect.items(status, body.as_bytes());
        let check = match &items {
            Ok(_) => Check::pass("x", "url", "answers"),
            Err(why) => Check::new("x", "url", super::status(why), in_words(why)),
        };
        ApiResponse {
            check,
            answer: Some(answer(status, items.ok().flatten())),
            expect,
        }
    }

    fn answer(status: u16, items: Option<u64>) -> ApiAnswer {
        let (service, path, vantage) = ("s".to_owned(), "/".to_owned(), "direct".to_owned());
        ApiAnswer {
            service,
            path,
            vantage,
            status,
            items,
        }
    }

    #[test]
    fn items_are_those_of_a_list_or_of_the_only_list() {
        let count = |text: &str| {
            expect("/".into())
                .items(200, text.as_bytes())
                .expect("JSON")
        };
        assert_eq!(count("[1,2,3]"), Some(3));
        assert_eq!(count(r#"{"products":[1,2],"total":2}"#), Some(2));
        assert_eq!(count(r#"{"a":[1],"b":[2]}"#), None);
        assert_eq!(count("7"), None);
    }

    #[test]
    fn what_is_expected_must_be_there() {
        let body = r#"{"products":[{"name":"Widget","price":3.0}],"token":"hunter2"}"#;
        let of = |more: serde_json::Value, status: u16, body: &str| {
            let mut path = serde_json::json!({ "path": "/" });
            path.as_object_mut()
                .expect("an object")
                .extend(more.as_object().expect("an object").clone());
            let items = expect(path).items(status, body.as_bytes());
            items.map_err(|why| (super::status(&why).word(), in_words(&why)))
        };
        assert_eq!(
            of(
                serde_json::json!({
                    "json": { "/products/0/name": "Widget", "/products/0/price": 3 },
                }),
                200,
                body
            ),
            Ok(Some(1))
        );
        assert_eq!(
            of(serde_json::json!({ "status": 404 }), 404, "no such page"),
            Ok(None)
        );
        assert_eq!(
            of(serde_json::json!({ "min_items": 1 }), 200, body),
            Ok(Some(1))
        );
        for (more, status, body, words) in [
            (
                serde_json::json!({ "json": { "/products/0/name": "Gadget" } }),
                200,
                body,
                "with \"Widget\" at /products/0/name; \"Gadget\" is wanted",
            ),
            (
                serde_json::json!({ "json": { "/products/1/name": "x" } }),
                200,
                body,
                "with nothing at /products/1/name",
            ),
            (serde_json::json!({ "json": { "": 1 } }), 200, body, "***"),
            (
                serde_json::json!({ "min_items": 2 }),
                200,
                body,
                "with 1 items; at least 2",
            ),
            (
                serde_json::json!({ "min_items": 1 }),
                200,
                "7",
                "with no list",
            ),
            (
                serde_json::json!({ "status": 201 }),
                200,
                body,
                "answers 200; 201 is wanted",
            ),
            (
                serde_json::json!({ "status": 404 }),
                200,
                body,
                "404 is wanted",
            ),
        ] {
            let (word, why) = of(more.clone(), status, body).expect_err("not as expected");
            assert!(
                word == "fail" && why.contains(words) && !why.contains("hunter2"),
                "{more}: {why}"
            );
        }
    }

    #[test]
    fn an_error_page_is_no_data() {
        assert_eq!(asked(200, "<html>").check.status, Status::Fail);
        assert_eq!(asked(500, "[]").check.status, Status::Fail);
    }

    #[test]
    fn an_answer_too_long_to_read_is_unknown() {
        assert_eq!(
            asked(200, &"[".repeat(LONGEST_ANSWER)).check.status,
            Status::Unknown
        );
    }

    #[test]
    fn fewer_items_fail_and_more_pass() {
        let before = answer(200, Some(2));
        let status = |body| compare(Some(std::slice::from_ref(&before)), &asked(200, body)).status;
        assert_eq!(status("[1]"), Status::Fail);
        assert_eq!(status("[1,2]"), Status::Pass);
        assert_eq!(status("[1,2,3]"), Status::Pass);
        assert_eq!(status("{}"), Status::Fail);
    }

    #[test]
    fn a_good_answer_with_nothing_to_compare_is_unknown_and_a_bad_one_fails() {
        assert_eq!(compare(None, &asked(200, "[1]")).status, Status::Unknown);
        assert_eq!(
            compare(Some(&[]), &asked(200, "[1]")).status,
            Status::Unknown
        );
        assert_eq!(compare(None, &asked(500, "[1]")).status, Status::Fail);
    }

    #[test]
    fn what_was_bad_before_fails_and_says_so() {
        let check = compare(Some(&[answer(500, None)]), &asked(500, ""));
        assert_eq!(check.status, Status::Fail);
        assert!(
            check.message.contains("before the experiment too"),
            "{}",
            check.message
        );
    }
}
