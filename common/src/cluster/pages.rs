//! Lists of any length in memory that does not grow with them: a page at a time, an object at a
//! time.

use std::fmt::{Debug, Write as _};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use kube::Resource;
use kube::client::Body;
use kube::core::{ListMeta, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::cluster::protobuf::{self, Items, Message};
use crate::cluster::{Cluster, ReadError, ReadErrorKind, error_chain};

/// Objects a page.
const PAGE: u32 = 500;
/// Time in which something must come of an answer that has begun.
const SILENCE: Duration = Duration::from_secs(10);
/// Time that a whole list may take, with its repetitions.
const DEADLINE: Duration = Duration::from_secs(120);
/// How often a list is begun anew: its pages expired, or its answer broke off.
const RESTARTS: u32 = 3;
/// The most that is read of an error, and of a page of JSON.
const MAX_ERROR: usize = 64 << 10;
const MAX_JSON: usize = 64 << 20;

/// How a page ended.
enum Page {
    /// Well; where the next one begins, if there is one.
    Read(Option<String>),
    /// What was taken in of this list is void.
    Broken(ReadError),
}

#[derive(Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
struct JsonPage<K> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    items: Vec<K>,
}

/// How a kind is read from its bytes in protobuf.
type Decode<K> = fn(&[u8]) -> Result<K, protobuf::Malformed>;

impl Cluster {
    /// Takes in every object of a kind, in one namespace or in all, without holding more than one
    /// page of them. `query` is added to the address: `fieldSelector=type%3DWarning`.
    ///
    /// # Errors
    /// As [`Cluster::read`]; or the list broke off or expired again and again.
    pub async fn fold<K, S>(
        &self,
        namespace: Option<&str>,
        query: &str,
        what: &str,
        empty: impl Fn() -> S,
        add: impl FnMut(&mut S, K),
    ) -> Result<S, ReadError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Debug,
    {
        self.fold_with(None, namespace, query, what, empty, add)
            .await
    }

    /// [`Cluster::fold`] in protobuf, for kinds that there can be very many of.
    ///
    /// # Errors
    /// As [`Cluster::fold`].
    pub async fn fold_many<K, S>(
        &self,
        namespace: Option<&str>,
        query: &str,
        what: &str,
        empty: impl Fn() -> S,
        add: impl FnMut(&mut S, K),
    ) -> Result<S, ReadError>
    where
        K: Resource<DynamicType = ()> + Message + DeserializeOwned + Debug,
    {
        self.fold_with(Some(K::read), namespace, query, what, empty, add)
            .await
    }

    async fn fold_with<K, S>(
        &self,
        decode: Option<Decode<K>>,
        namespace: Option<&str>,
        query: &str,
        what: &str,
        empty: impl Fn() -> S,
        mut add: impl FnMut(&mut S, K),
    ) -> Result<S, ReadError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Debug,
    {
        let start = Instant::now();
        let path = K::url_path(&(), namespace);
        let mut restarts = 0;
        'list: loop {
            let mut state = empty();
            let mut next = None;
            loop {
                let uri = address(&path, query, next.as_deref());
                match self
                    .page(&uri, decode, what, next.is_some(), &mut state, &mut add)
                    .await?
                {
                    Page::Read(None) => return Ok(state),
                    Page::Read(token) => next = token,
                    Page::Broken(error) if restarts == RESTARTS => return Err(error),
                    Page::Broken(_) => {
                        restarts += 1;
                        continue 'list;
                    }
                }
                if start.elapsed() > DEADLINE {
                    return Err(ReadError::timeout(
                        what,
                        format!("the list did not end in {} s", DEADLINE.as_secs()),
                    ));
                }
            }
        }
    }

    async fn page<K: DeserializeOwned, S>(
        &self,
        uri: &str,
        decode: Option<Decode<K>>,
        what: &str,
        later: bool,
        state: &mut S,
        add: &mut impl FnMut(&mut S, K),
    ) -> Result<Page, ReadError> {
        let accept = if decode.is_some() {
            protobuf::ACCEPT
        } else {
            "application/json"
        };
        let _slot = self.slot().await;
        let opened = self
            .insist(what, || async {
                let request = Request::get(uri).header(ACCEPT, accept).body(Body::empty());
                let answer = self
                    .client
                    .send(request.expect("the address is made of valid parts"))
                    .await?;
                let answer = refusal(answer).await?;
                Ok::<_, kube::Error>(answer)
            })
            .await;
        let answer = match opened {
            Ok(answer) => answer,
            // 410: the pages were kept for some minutes only.
            Err(error) if later && error.kind == ReadErrorKind::Gone => {
                return Ok(Page::Broken(error));
            }
            Err(error) => return Err(error),
        };
        let kind = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        match decode {
            Some(decode) if kind.starts_with("application/vnd.kubernetes.protobuf") => {
                stream(answer, what, |item| {
                    decode(item).map(|object| add(state, object))
                })
                .await
            }
            _ => {
                let body = Limited::new(answer.into_body(), MAX_JSON).collect();
                let body = match timeout(SILENCE, body).await {
                    Ok(Ok(body)) => body.to_bytes(),
                    Ok(Err(error)) => return Ok(broken(what, &error.to_string())),
                    Err(_) => return Ok(silent(what)),
                };
                let page: JsonPage<K> = match serde_json::from_slice(&body) {
                    Ok(page) => page,
                    Err(error) => {
                        return Err(ReadError::other(
                            what,
                            format!("the answer is no list: {error}"),
                        ));
                    }
                };
                page.items.into_iter().for_each(|object| add(state, object));
                Ok(Page::Read(
                    page.metadata.continue_.filter(|token| !token.is_empty()),
                ))
            }
        }
    }
}

/// The answer, unless it is a refusal.
async fn refusal(answer: Response<Body>) -> kube::Result<Response<Body>> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let code = answer.status().as_u16();
    let patience = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    let body = Limited::new(answer.into_body(), MAX_ERROR).collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let said = protobuf::status(&body).or_else(|| serde_json::from_slice(&body).ok());
    let mut said: Status = said.unwrap_or_else(|| {
        Status::failure(String::from_utf8_lossy(&body).trim(), "not a Status object")
    });
    said.code = code;
    if patience.is_some() {
        said.details = protobuf::wait(patience);
    }
    Err(kube::Error::Api(said.boxed()))
}

async fn stream(
    answer: Response<Body>,
    what: &str,
    mut take: impl FnMut(&[u8]) -> Result<(), protobuf::Malformed>,
) -> Result<Page, ReadError> {
    let malformed = |error: protobuf::Malformed| ReadError::other(what, error.to_string());
    let mut body = answer.into_body();
    let mut items = Items::default();
    loop {
        let frame = match timeout(SILENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Ok(broken(what, &error_chain(&error))),
            Ok(None) => break,
            Err(_) => return Ok(silent(what)),
        };
        if let Ok(data) = frame.into_data() {
            items.push(&data);
            while let Some(item) = items.next().map_err(malformed)? {
                take(item).map_err(malformed)?;
            }
        }
    }
    match items.head() {
        Some(head) if items.whole() => Ok(Page::Read(
            Some(head.next.clone()).filter(|token| !token.is_empty()),
        )),
        _ => Ok(broken(what, "it ends in the middle of the list")),
    }
}

fn broken(what: &str, why: &str) -> Page {
    Page::Broken(ReadError::other(
        what,
        format!("the answer broke off: {why}"),
    ))
}

fn silent(what: &str) -> Page {
    Page::Broken(ReadError::timeout(
        what,
        format!(
            "the answer stopped in the middle for {} s",
            SILENCE.as_secs()
        ),
    ))
}

fn address(path: &str, query: &str, next: Option<&str>) -> String {
    let mut address = format!("{path}?limit={PAGE}");
    if !query.is_empty() {
        address.extend(["&", query]);
    }
    if let Some(token) = next {
        address.push_str("&continue=");
        for byte in token.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                address.push(char::from(byte));
            } else {
                let _ = write!(address, "%{byte:02X}"); // To a text: it can't fail.
            }
        }
    }
    address
}
