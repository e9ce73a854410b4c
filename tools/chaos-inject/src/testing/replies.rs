//! The answers of the API server in memory.

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::testing::store::Refusal;

/// An answer.
pub type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The answer to a call.
pub fn reply(result: Result<Value, Refusal>) -> Reply {
    match result {
        Ok(object) => answer(200, &object),
        Err(refusal) => refuse(&refusal),
    }
}

/// The reason that the API server gives with a status code.
pub fn reason(code: u16) -> &'static str {
    match code {
        403 => "Forbidden",
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}

/// The answer to a call that fails.
pub fn refuse(refusal: &Refusal) -> Reply {
    said(refusal, &format!("{} by the test", refusal.1))
}

/// The same in words of its own.
pub fn said(Refusal(code, reason): &Refusal, message: &str) -> Reply {
    answer(
        *code,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": message, "reason": reason, "code": code }),
    )
}

/// An answer of this status.
pub fn answer(code: u16, body: &Value) -> Reply {
    text_reply(code, &body.to_string())
}

/// The same with a body that may be anything.
pub fn text_reply(code: u16, body: &str) -> Reply {
    Response::builder()
        .status(code)
        .body(Full::new(Bytes::from(body.to_owned())).boxed_unsync())
        .expect("a response")
}
