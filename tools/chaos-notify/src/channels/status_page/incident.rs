//! Status pages that have incidents: one for each run, opened when it is announced, updated, and
//! resolved when it is over and all is well. It is found again by a tag in its name.

use std::time::Duration;

use chaos_common::record::Occasion;
use futures::future::LocalBoxFuture;
use reqwest::Method;
use serde_json::Value;

use crate::channels::Channel;
use crate::channels::http::{Http, Request};
use crate::channels::service::{Reading, judge};
use crate::delivery::{Answer, Watch};
use crate::template::{Message, Page};

/// An API of incidents.
pub(super) trait IncidentApi {
    fn http(&self) -> &Http;

    /// The request for the incidents that are open.
    fn list(&self) -> Request;

    /// The incidents in the answer to that: id and name; nothing where it is no such answer.
    fn open(&self, answer: &Value) -> Option<Vec<(String, String)>>;

    /// The request that opens one.
    fn create(&self, name: &str, page: Page) -> Request;

    /// The requests that bring one up to date, in order; the last is told of.
    fn update(&self, id: &str, page: Page) -> Vec<Request>;

    /// The shortest time between two tries, by its rate limit.
    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    /// Further statuses with which it says that it was asked too often.
    fn busy(&self) -> &'static [u16] {
        &[]
    }
}

/// Such a status page as a channel.
pub(super) struct Incidents<A>(A);

impl<A: IncidentApi> Incidents<A> {
    pub(super) fn new(api: A) -> Incidents<A> {
        Incidents(api)
    }

    async fn bring_up_to_date(&self, message: &Message, watch: &Watch) -> Result<Answer, Answer> {
        let api = &self.0;
        let found = self.find(message, watch).await?;
        let Some(page) = message.page else {
            return Ok(Answer::delivered("the open incidents can be read"));
        };
        match found {
            None if page == Page::Operational => {
                Ok(Answer::delivered("no incident of this run is open"))
            }
            None => {
                self.write(api.create(&name(message), page), None, watch)
                    .await
            }
            Some(id) => {
                let mut last = Answer::delivered("nothing to bring up to date");
                for request in api.update(&id, page) {
                    last = self.write(request, Some(&id), watch).await?;
                }
                Ok(last)
            }
        }
    }

    /// The run's incident, if one is open.
    async fn find(&self, message: &Message, watch: &Watch) -> Result<Option<String>, Answer> {
        let api = &self.0;
        let reply = api.http().read(api.list(), watch).await?;
        let open = reply.json().and_then(|json| api.open(&json));
        let open = match open {
            Some(open) if reply.status == 200 => open,
            _ => {
                let answer = judge(api.http(), &reply, api.busy(), |_| Reading::Foreign);
                // Nothing was written yet: whatever it says, nothing has arrived.
                return Err(match answer.fate {
                    crate::delivery::Fate::Unknown => {
                        Answer::later(format!("cannot look: {}", answer.words))
                    }
                    _ => answer,
                });
            }
        };
        let tag = tag(&message.run);
        let tagged = open.into_iter().find(|(_, name)| name.contains(&tag));
        Ok(tagged.map(|(id, _)| id))
    }

    /// Writes, and gives the incident's id as the receipt. An answer that ends the work is an
    /// error.
    async fn write(
        &self,
        request: Request,
        id: Option<&str>,
        watch: &Watch,
    ) -> Result<Answer, Answer> {
        let api = &self.0;
        let reply = api.http().write(request, watch).await?;
        let answer = judge(api.http(), &reply, api.busy(), |reply| {
            let json = reply.json().unwrap_or_default();
            let own = id_of(&json).or_else(|| id_of(&json["data"]));
            match (own, id) {
                (_, Some(id)) if !reply.body.trim_start().starts_with('<') => {
                    Reading::Taken("updated".to_owned(), Some(id.to_owned()))
                }
                (Some(own), None) => Reading::Taken("opened".to_owned(), Some(own)),
                _ => Reading::Foreign,
            }
        });
        match answer.fate {
            crate::delivery::Fate::Delivered => Ok(answer),
            _ => Err(answer),
        }
    }
}

impl<A: IncidentApi> Channel for Incidents<A> {
    fn to(&self, _message: &Message) -> String {
        self.0.http().host().to_owned()
    }

    fn unconcerned(&self, message: &Message) -> Option<&'static str> {
        let changes = message.page.is_some() || message.occasion == Occasion::Test;
        (!changes).then_some("this occasion changes nothing on a status page")
    }

    fn shows_state(&self) -> bool {
        true
    }

    fn interval(&self) -> Duration {
        self.0.interval()
    }

    fn preview(&self, message: &Message) -> String {
        let http = self.0.http();
        match message.page {
            Some(page) => http.scrubbed(&self.0.create(&name(message), page).preview()),
            None => format!("{} to {}: the open incidents", Method::GET, http.host()),
        }
    }

    fn attempt<'a>(
        &'a self,
        message: &'a Message,
        _pending: &'a [String],
        watch: &'a Watch,
    ) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let done = self.bring_up_to_date(message, watch).await;
            vec![done.unwrap_or_else(|answer| answer)]
        })
    }
}

/// An id, as text or as a number.
pub(super) fn id_of(object: &Value) -> Option<String> {
    match &object["id"] {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Id and name of each object of a list.
pub(super) fn ids_and_names(
    list: &Value,
    name: impl Fn(&Value) -> &Value,
) -> Option<Vec<(String, String)>> {
    let objects = list.as_array()?.iter();
    let named = objects.filter_map(|object| {
        let name = name(object).as_str()?;
        Some((id_of(object)?, name.to_owned()))
    });
    Some(named.collect())
}

fn name(message: &Message) -> String {
    format!("Chaos Engineering Experiment {}", tag(&message.run))
}

/// What tells the incident of a run from others. Its readers are the public: it says nothing else.
fn tag(run: &str) -> String {
    let plain: Vec<char> = run.chars().filter(char::is_ascii_alphanumeric).collect();
    // Ids sort by time, so that their ends tell them apart.
    let end = plain.len().saturating_sub(12);
    format!("#{}", plain[end..].iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_tells_runs_apart_and_holds_nothing_else() {
        let (one, other) = (
            "019ac1d0-0000-7000-8000-0123456789ab",
            "019ac1d0-0000-7000-8000-0123456789ac",
        );
        assert_eq!(tag(one), "#0123456789ab");
        assert_ne!(tag(one), tag(other));
        assert_eq!(tag("r\n<b>"), "#rb");
    }
}
