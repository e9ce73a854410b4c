//! Services that take a message with one request, and what their answers mean.

use std::time::Duration;

use futures::future::LocalBoxFuture;

use super::error::ChannelError;
use super::http::{Http, Reply, Request};
use super::{Acknowledged, Channel, no_others};
use crate::delivery::{Answer, Fate, Watch};
use crate::template::Message;

/// A service that takes a message with one request.
pub(crate) trait Service {
    /// How it is reached.
    fn http(&self) -> &Http;

    /// The request that carries a message.
    fn request(&self, message: &Message) -> Request;

    /// What it says with a status in the 200s. A service knows what it answers when it has taken a
    /// message: anything else is not its answer, but that of a proxy or a login page.
    fn reading(&self, reply: &Reply) -> Reading;

    /// Why a message is none of its concern; nothing where it is.
    fn unconcerned(&self, _message: &Message) -> Option<&'static str> {
        None
    }

    /// It shows how things are, so that an older message is overtaken by a later one.
    fn shows_state(&self) -> bool {
        false
    }

    /// Further statuses with which it says that it was asked too often.
    fn busy(&self) -> &'static [u16] {
        &[]
    }

    /// See [`Channel::interval`].
    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    /// See [`Channel::to`].
    fn to(&self, _message: &Message) -> String {
        self.http().host().to_owned()
    }

    /// See [`Channel::check_addresses`].
    fn check_addresses(&self, addresses: &[String]) -> Result<(), ChannelError> {
        no_others(addresses)
    }

    /// What is brought up to date once a message was taken. That it fails changes nothing on that.
    fn follow_up(&self, _message: &Message) -> Option<Request> {
        None
    }

    /// How it is asked who has acknowledged the message of a receipt, if it knows that.
    fn question(&self, _receipt: &str) -> Option<Question<'_>> {
        None
    }

    /// Whether it knows who has acknowledged a message.
    fn knows_acknowledgements(&self) -> bool {
        false
    }
}

/// A question that changes nothing.
pub(crate) struct Question<'a> {
    pub(crate) http: &'a Http,
    pub(crate) request: Request,
    /// What the answer to it says; its own words where it does not tell.
    pub(crate) reading: fn(&Reply) -> Result<Option<Acknowledged>, String>,
}

/// What a service says with a status in the 200s.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It has taken the message, in these words, under this id.
    Taken(String, Option<String>),
    /// It has not, in these words.
    Refused(String),
    /// It is not the service that speaks.
    Foreign,
}

/// A service as a channel.
pub(crate) struct Served<S>(S);

impl<S: Service> Served<S> {
    /// The service as a channel.
    ///
    /// # Errors
    /// None; it stands at the end of what can fail.
    #[expect(clippy::unnecessary_wraps, reason = "for and_then")]
    pub(crate) fn new(service: S) -> Result<Served<S>, ChannelError> {
        Ok(Served(service))
    }
}

impl<S: Service> Channel for Served<S> {
    fn to(&self, message: &Message) -> String {
        self.0.to(message)
    }

    fn check_addresses(&self, addresses: &[String]) -> Result<(), ChannelError> {
        self.0.check_addresses(addresses)
    }

    fn unconcerned(&self, message: &Message) -> Option<&'static str> {
        self.0.unconcerned(message)
    }

    fn shows_state(&self) -> bool {
        self.0.shows_state()
    }

    fn interval(&self) -> Duration {
        self.0.interval()
    }

    fn preview(&self, message: &Message) -> String {
        self.0.http().scrubbed(&self.0.request(message).preview())
    }

    fn attempt<'a>(
        &'a self,
        message: &'a Message,
        _pending: &'a [String],
        watch: &'a Watch,
    ) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let answer = self.send(message, watch).await;
            vec![answer.unwrap_or_else(|answer| answer)]
        })
    }

    fn knows_acknowledgements(&self) -> bool {
        self.0.knows_acknowledgements()
    }

    fn acknowledged<'a>(
        &'a self,
        receipt: &'a str,
        watch: &'a Watch,
    ) -> LocalBoxFuture<'a, Result<Option<Acknowledged>, Answer>> {
        Box::pin(async move {
            let Some(question) = self.0.question(receipt) else {
                return Ok(None);
            };
            let reply = question.http.read(question.request, watch).await?;
            let cannot_tell =
                |why: &str| Answer::later(format!("cannot look: {}", question.http.clean(why)));
            match (reply.status, (question.reading)(&reply)) {
                (200, Ok(acknowledged)) => Ok(acknowledged),
                (200, Err(why)) => Err(cannot_tell(&why)),
                (status, _) => {
                    let said = first_line(&reply.body);
                    Err(cannot_tell(&format!("HTTP status {status}: {said}")))
                }
            }
        })
    }
}

impl<S: Service> Served<S> {
    async fn send(&self, message: &Message, watch: &Watch) -> Result<Answer, Answer> {
        let service = &self.0;
        let reply = service
            .http()
            .write(service.request(message), watch)
            .await?;
        let mut answer = self.judge(&reply);
        if answer.fate == Fate::Delivered
            && let Some(request) = service.follow_up(message)
        {
            let done = service.http().write(request, watch).await;
            let done = done.map(|reply| self.judge(&reply));
            let done = done.unwrap_or_else(|answer| answer);
            let words = match done.fate {
                Fate::Delivered => "the announcement is up to date".to_owned(),
                _ => format!("the announcement is not brought up to date: {}", done.words),
            };
            answer.words = format!("{}; {words}", answer.words);
        }
        Ok(answer)
    }

    fn judge(&self, reply: &Reply) -> Answer {
        let service = &self.0;
        let reading = |reply: &Reply| service.reading(reply);
        judge(service.http(), reply, service.busy(), reading)
    }
}

/// What an answer means. `reading` is asked where its status is in the 200s.
pub(crate) fn judge(
    http: &Http,
    reply: &Reply,
    busy: &[u16],
    reading: impl FnOnce(&Reply) -> Reading,
) -> Answer {
    let status = reply.status;
    let said = |what: &str| match http.clean(first_line(&reply.body)) {
        words if words.is_empty() => format!("HTTP status {status}{what}"),
        words => format!("HTTP status {status}{what}: {words}"),
    };
    let later = Fate::Later(reply.retry_after);
    match status {
        200..=299 if reply.broken => {
            Answer::unknown(said(", and the answer broke off; it may have arrived"))
        }
        200..=299 => match reading(reply) {
            Reading::Taken(words, receipt) => {
                let words = http.clean(&words);
                Answer::delivered(format!("HTTP status {status}: {words}")).receipt(receipt)
            }
            Reading::Refused(words) => Answer::refused(http.clean(&words)),
            Reading::Foreign => Answer::unknown(said(
                ", and the answer is not what the service says when it has taken a message",
            )),
        },
        300..=399 => Answer::refused(format!(
            "HTTP status {status}: it redirects, which is not followed"
        )),
        // It was not looked at, as the server itself says.
        408 | 429 => Answer::new(later, said("")),
        503 if reply.retry_after.is_some() => Answer::new(later, said("")),
        status if busy.contains(&status) => Answer::new(later, said("")),
        500..=599 => Answer::unknown(said("; it may have arrived, so it is not sent again")),
        _ => Answer::refused(said("")),
    }
}

fn first_line(body: &str) -> &str {
    let mut lines = body.lines().map(str::trim);
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::channels::http::Reach;

    fn fate(status: u16, after: Option<u64>, body: &str) -> (Fate, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Http::new("https://h/hunter2", Reach::default(), []).expect("a URL");
        let reply = Reply {
            status,
            retry_after: after.map(Duration::from_secs),
            body: body.to_owned(),
            broken: false,
        };
        let answer = judge(&http, &reply, &[420], |reply| match reply.body.as_str() {
            "ok" => Reading::Taken("ok".into(), None),
            "no" => Reading::Refused("no".into()),
            _ => Reading::Foreign,
        });
        (answer.fate, answer.words)
    }

    #[test]
    fn only_what_certainly_did_not_arrive_is_tried_again() {
        for status in [408, 420, 429] {
            assert_eq!(fate(status, None, "").0, Fate::Later(None), "{status}");
        }
        let asked = Fate::Later(Some(Duration::from_secs(2)));
        assert_eq!(fate(429, Some(2), "").0, asked);
        assert_eq!(fate(503, Some(2), "").0, asked);
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(fate(status, None, "").0, Fate::Unknown, "{status}");
        }
        for status in [301, 400, 401, 403, 404, 410, 413] {
            assert_eq!(fate(status, None, "").0, Fate::Refused, "{status}");
        }
    }

    #[test]
    fn a_status_of_200_is_not_enough() {
        assert_eq!(fate(200, None, "ok").0, Fate::Delivered);
        assert_eq!(fate(200, None, "no").0, Fate::Refused);
        assert_eq!(fate(200, None, "<html>login</html>").0, Fate::Unknown);
    }

    #[test]
    fn its_own_words_are_told_and_no_secret() {
        let (_, words) = fate(404, None, "\n no_service for /hunter2\nmore\n");
        assert_eq!(words, "HTTP status 404: no_service for ***");
    }
}
