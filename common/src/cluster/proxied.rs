//! An answer that came through the API server's proxy: is it the Service's, or the API server's?

use http::StatusCode;

/// Whose an answer is that came through the API server.
#[derive(Debug)]
pub(super) enum Whose {
    /// The Service's.
    Services,
    /// The API server's, which says that it can't get to the Service.
    Way(String),
    /// The API server's, of itself: it says nothing of the Service.
    ApiServers(Box<kube::core::Status>),
    /// It is too busy, or the Service is: both say it in the same way.
    Unclear,
}

/// How the API server's messages begin when it could not get to a Service. It answers 503 then, as
/// it does when it is not ready itself, and gives no other sign of which it is.
const WAY_TO_SERVICE: [&str; 3] = [
    "error trying to reach service",
    "no endpoints available for service",
    "no service port",
];

/// Whose an answer is; pure. The API server puts its own refusals in a Status object.
pub(super) fn whose(status: StatusCode, body: &[u8]) -> Whose {
    if status.is_success() {
        return Whose::Services;
    }
    let said = serde_json::from_slice::<kube::core::Status>(body).ok();
    let said = said.filter(|said| said.code == status.as_u16() && !said.reason.is_empty());
    let Some(said) = said else {
        let text = String::from_utf8_lossy(body);
        return match status {
            _ if text.starts_with(WAY_TO_SERVICE[0]) => Whose::Way(text.trim().to_owned()),
            StatusCode::TOO_MANY_REQUESTS => Whose::Unclear,
            _ => Whose::Services,
        };
    };
    let way = WAY_TO_SERVICE
        .iter()
        .any(|way| said.message.starts_with(way));
    if way || status == StatusCode::NOT_FOUND {
        return Whose::Way(said.message);
    }
    Whose::ApiServers(said.boxed())
}

/// Seconds after which an answer wants to be asked again.
pub(super) fn patience(headers: &http::HeaderMap) -> Option<u32> {
    let seconds = headers.get(http::header::RETRY_AFTER)?;
    seconds.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16, reason: &str, message: &str) -> Vec<u8> {
        let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "message": message, "reason": reason, "code": code});
        status.to_string().into_bytes()
    }

    fn of(code: u16, body: &[u8]) -> Whose {
        whose(StatusCode::from_u16(code).expect("a status"), body)
    }

    #[test]
    fn what_the_api_server_says_of_a_service_is_told_from_what_it_says_of_itself() {
        for message in [
            "no endpoints available for service \"web\"",
            "no service port \"81\" found for service \"web\"",
            "error trying to reach service: dial tcp 10.0.0.1:80: connect: connection refused",
        ] {
            let said = of(503, &refusal(503, "ServiceUnavailable", message));
            assert!(matches!(said, Whose::Way(_)), "{message}: {said:?}");
        }
        let missing = refusal(404, "NotFound", "services \"web\" not found");
        assert!(matches!(of(404, &missing), Whose::Way(_)));
        let plain = b"error trying to reach service: EOF";
        assert!(matches!(of(502, plain), Whose::Way(_)));
        for (code, reason) in [
            (503, "ServiceUnavailable"),
            (504, "Timeout"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (403, "Forbidden"),
        ] {
            let said = of(code, &refusal(code, reason, "not now"));
            assert!(matches!(said, Whose::ApiServers(_)), "{code}: {said:?}");
        }
    }

    #[test]
    fn other_answers_are_the_services_own() {
        assert!(matches!(of(200, b"ok"), Whose::Services));
        assert!(matches!(of(503, b"starting"), Whose::Services));
        // Another status than its own: somebody else wrote it.
        let foreign = refusal(500, "InternalError", "x");
        assert!(matches!(of(503, &foreign), Whose::Services));
        let busy = b"Too many requests, please try again later.";
        assert!(matches!(of(429, busy), Whose::Unclear));
    }
}
