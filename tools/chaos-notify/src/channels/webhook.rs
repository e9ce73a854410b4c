//! Any receiver of Standard Webhooks: JSON, signed so that the receiver knows whose it is, with an
//! id by which it knows a repetition.
//!
//! Source: the specification of Standard Webhooks (standardwebhooks.com), symmetric signatures:
//! `v1,` and the HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chaos_common::config::Secret;
use chaos_common::record::Time;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;
use sha2::Sha256;

use super::error::ChannelError;
use super::http::{Http, Reply, Request};
use super::service::{Reading, Service};
use super::settings::http_settings;
use crate::template::Message;

http_settings! {
    /// `[notify.webhook]`
    {
        /// The receiver's URL.
        pub(crate) url: Secret,
        /// The key of the signature, as `whsec_…`.
        pub(crate) secret: Secret,
    }
    secrets: url, secret
}

/// A receiver, ready for messages.
pub(crate) struct Webhook {
    http: Http,
    key: Vec<u8>,
}

impl Webhook {
    /// # Errors
    /// A secret can't be read, or is no URL or no key.
    pub(super) fn new(settings: &Settings) -> Result<Webhook, ChannelError> {
        let url = settings.url.read().map_err(ChannelError::Secret)?;
        let secret = settings.secret.read().map_err(ChannelError::Secret)?;
        let encoded = secret.strip_prefix("whsec_").unwrap_or(&secret);
        let key = BASE64.decode(encoded).map_err(|_| ChannelError::BadKey)?;
        let http = Http::new(&url, settings.reach(), [secret.clone(), encoded.to_owned()])?;
        Ok(Webhook { http, key })
    }

    fn signed(&self, message: &Message, now: Time) -> Request {
        let body = json!({
            "type": format!("chaos.notification.{}", message.occasion.word()),
            "timestamp": message.time.to_string(),
            "data": {
                "occasion": message.occasion,
                "severity": message.severity,
                "run": message.run,
                "application": message.about.application,
                "namespace": message.about.namespace,
                "cluster": message.about.cluster,
                "experiment": message.about.experiment,
                "subject": message.wording.subject,
                "text": message.text(),
                "link": message.link,
            },
        });
        let request = Request::json(Method::POST, self.http.url(), &body);
        let seconds = now.0.as_second().to_string();
        let signature = signature(&self.key, &message.event, &seconds, request.body());
        let headers = [
            ("webhook-id", message.event.clone()),
            ("webhook-timestamp", seconds),
            ("webhook-signature", signature),
        ];
        headers.into_iter().fold(request, |request, (name, value)| {
            let value = HeaderValue::from_str(&value);
            let value = value.expect("an id, a number and base64 are ASCII");
            request.header(HeaderName::from_static(name), value)
        })
    }
}

impl Service for Webhook {
    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, message: &Message) -> Request {
        self.signed(message, Time::now())
    }

    /// The specification wants a status in the 200s and no more. A page for people is no
    /// receiver's.
    fn reading(&self, reply: &Reply) -> Reading {
        if reply.body.trim_start().starts_with('<') {
            return Reading::Foreign;
        }
        Reading::Taken("taken".to_owned(), None)
    }
}

fn signature(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the specification's reference libraries.
        let key = BASE64
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .expect("a key");
        let signature = signature(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            b"{\"test\": 2432232314}",
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
