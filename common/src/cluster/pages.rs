//! Lists of any length in memory that does not grow with them: a page at a time, an object at a
//! time.

use std::fmt::Display;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use kube::Resource;
use kube::api::{Api, ListParams};
use kube::client::Body;
use kube::core::{ListMeta, ObjectMeta, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::cluster::protobuf::{self, Items};
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
const MAX_JSON: usize = 512 << 20;
/// What protobuf's content type begins with.
const PROTOBUF: &[u8] = b"application/vnd.kubernetes.protobuf";
/// Asks for lists of metadata, and takes whole objects where there are none.
const METADATA: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// What may stand as it is in the value of a query.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Which objects are listed, and how. `K` is their kind.
///
/// ```no_run
/// # async fn example(cluster: &chaos_common::cluster::Cluster)
/// # -> Result<(), chaos_common::cluster::ReadError> {
/// use chaos_common::cluster::ListRequest;
/// use k8s_openapi::api::core::v1::Pod;
///
/// let pods = ListRequest::<Pod>::namespaced("shop").labels("app=web");
/// let number = cluster.fold(pods, || 0, |number, _pod| *number += 1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ListRequest<K> {
    path: String,
    labels: Option<String>,
    fields: Option<String>,
    page: u32,
    attempt: String,
    form: Form<K>,
}

/// What the API server sends of each object.
#[derive(Debug)]
enum Form<K> {
    Json,
    /// JSON, of the metadata alone.
    Metadata,
    Protobuf(Decode<K>),
}

impl<K> ListRequest<K> {
    fn new(path: String, attempt: String) -> ListRequest<K> {
        ListRequest {
            path,
            labels: None,
            fields: None,
            page: PAGE,
            attempt,
            form: Form::Json,
        }
    }

    /// All objects of the kind.
    pub fn everywhere() -> ListRequest<K>
    where
        K: Resource<DynamicType = ()>,
    {
        ListRequest::new(K::url_path(&(), None), format!("list {}", K::plural(&())))
    }

    /// Those of a namespace.
    pub fn namespaced(namespace: &str) -> ListRequest<K>
    where
        K: Resource<DynamicType = ()>,
    {
        let attempt = format!("list {} in namespace {namespace}", K::plural(&()));
        ListRequest::new(K::url_path(&(), Some(namespace)), attempt)
    }

    /// Only those that a label selector selects.
    #[must_use]
    pub fn labels(mut self, selector: &str) -> ListRequest<K> {
        self.labels = Some(selector.to_owned());
        self
    }

    /// Only those that a field selector selects.
    #[must_use]
    pub fn fields(mut self, selector: &str) -> ListRequest<K> {
        self.fields = Some(selector.to_owned());
        self
    }

    /// So many objects a page, where they are large; 500 if not told.
    #[must_use]
    pub fn page(mut self, objects: u32) -> ListRequest<K> {
        self.page = objects;
        self
    }

    /// The attempt, as errors name it; `list KIND in namespace NAMESPACE` if not told.
    #[must_use]
    pub fn attempt(mut self, what: impl Display) -> ListRequest<K> {
        self.attempt = what.to_string();
        self
    }

    /// In protobuf, for kinds that there can be very many of: no more than one object is in memory
    /// at a time, and of that only what `decode` reads.
    #[must_use]
    pub fn protobuf(mut self, decode: Decode<K>) -> ListRequest<K> {
        self.form = Form::Protobuf(decode);
        self
    }

    fn accept(&self) -> &'static str {
        match self.form {
            Form::Json => "application/json",
            Form::Metadata => METADATA,
            Form::Protobuf(_) => protobuf::ACCEPT,
        }
    }

    /// The address of a page.
    fn address(&self, next: Option<&str>) -> String {
        let mut address = format!("{}?limit={}", self.path, self.page);
        let selectors = [
            ("labelSelector", self.labels.as_deref()),
            ("fieldSelector", self.fields.as_deref()),
            ("continue", next),
        ];
        for (name, value) in selectors {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let value = utf8_percent_encode(value, UNRESERVED);
                address.extend(["&", name, "=", &value.to_string()]);
            }
        }
        address
    }
}

/// How a page ended.
#[derive(Debug)]
enum Page {
    /// Well; where the next one begins, if there is one.
    Read(Option<String>),
    /// What was taken in of this list is void.
    Broken(ReadError),
}

#[derive(Deserialize)]
struct OnlyMetadata {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
struct JsonPage<K> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<K>>,
}

/// How a kind is read from its bytes in protobuf.
pub type Decode<K> = fn(&[u8]) -> Result<K, protobuf::Malformed>;

impl Cluster {
    /// Lists all objects of a kind, a page at a time. `what` names the attempt in errors.
    ///
    /// # Errors
    /// As [`Cluster::fold`].
    pub async fn list<K>(
        &self,
        api: &Api<K>,
        params: &ListParams,
        what: impl Display,
    ) -> Result<Vec<K>, ReadError>
    where
        K: Resource + DeserializeOwned,
    {
        let mut request = ListRequest::new(api.resource_url().to_owned(), what.to_string());
        request.labels.clone_from(&params.label_selector);
        request.fields.clone_from(&params.field_selector);
        self.fold(request, Vec::new, Vec::push).await
    }

    /// Takes in every object of a list without holding more than one page of them. A list whose
    /// pages expire or break off is begun anew, from `empty`.
    ///
    /// # Errors
    /// As [`Cluster::read`]; or the list broke off or expired again and again.
    pub async fn fold<K, S>(
        &self,
        request: ListRequest<K>,
        empty: impl Fn() -> S,
        add: impl FnMut(&mut S, K),
    ) -> Result<S, ReadError>
    where
        K: DeserializeOwned,
    {
        let pages = Box::pin(self.fold_pages(&request, empty, add));
        self.in_time(&request.attempt, pages).await
    }

    /// As [`Cluster::fold`], of objects of which the API server sends the metadata alone. `what` names
    /// the attempt in errors.
    ///
    /// # Errors
    /// As [`Cluster::fold`].
    pub async fn fold_metadata<K, S>(
        &self,
        (api, params): (&Api<K>, &ListParams),
        what: impl Display,
        (empty, mut add): (impl Fn() -> S, impl FnMut(&mut S, ObjectMeta)),
    ) -> Result<S, ReadError>
    where
        K: Resource,
    {
        let mut request = ListRequest::new(api.resource_url().to_owned(), what.to_string());
        request.labels.clone_from(&params.label_selector);
        request.fields.clone_from(&params.field_selector);
        request.form = Form::Metadata;
        let add = |state: &mut S, object: OnlyMetadata| add(state, object.metadata);
        self.fold(request, empty, add).await
    }

    async fn fold_pages<K, S>(
        &self,
        request: &ListRequest<K>,
        empty: impl Fn() -> S,
        mut add: impl FnMut(&mut S, K),
    ) -> Result<S, ReadError>
    where
        K: DeserializeOwned,
    {
        let start = Instant::now();
        let (mut state, mut next, mut restarts) = (empty(), None::<String>, 0);
        loop {
            let add = |object| add(&mut state, object);
            match self.page(request, next.as_deref(), add).await? {
                Page::Read(None) => return Ok(state),
                Page::Read(token) => next = token,
                Page::Broken(error) if restarts == RESTARTS => return Err(error),
                Page::Broken(_) => {
                    restarts += 1;
                    (state, next) = (empty(), None);
                }
            }
            if start.elapsed() > DEADLINE {
                let why = format!("the list did not end in {} s", DEADLINE.as_secs());
                return Err(ReadError::timeout(&request.attempt, why));
            }
        }
    }

    async fn page<K: DeserializeOwned>(
        &self,
        request: &ListRequest<K>,
        next: Option<&str>,
        mut add: impl FnMut(K),
    ) -> Result<Page, ReadError> {
        let what = request.attempt.as_str();
        let uri = request.address(next);
        let _slot = self.slot().await;
        let opened = self
            .insist(what, || async {
                let request = Request::get(&uri).header(ACCEPT, request.accept());
                let request = request.body(Body::empty());
                let request = request.expect("the address is made of valid parts");
                refusal(self.client.send(request).await?).await
            })
            .await;
        let answer = match opened {
            Ok(answer) => answer,
            // 410: the pages were kept for some minutes only.
            Err(error) if next.is_some() && error.kind == ReadErrorKind::Gone => {
                return Ok(Page::Broken(error));
            }
            Err(error) => return Err(error),
        };
        let kind = answer.headers().get(CONTENT_TYPE);
        let is_protobuf = kind.is_some_and(|kind| kind.as_bytes().starts_with(PROTOBUF));
        match request.form {
            Form::Protobuf(decode) if is_protobuf => {
                stream(answer, what, |item| decode(item).map(&mut add)).await
            }
            _ => json(answer, what, add).await,
        }
    }
}

/// A page in JSON, which is in memory as a whole.
async fn json<K: DeserializeOwned>(
    answer: Response<Body>,
    what: &str,
    add: impl FnMut(K),
) -> Result<Page, ReadError> {
    let body = Limited::new(answer.into_body(), MAX_JSON).collect();
    let body = match timeout(SILENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return Ok(broken(what, &error.to_string())),
        Err(_) => return Ok(silent(what)),
    };
    let page: JsonPage<K> = serde_json::from_slice(&body)
        .map_err(|error| ReadError::other(what, format!("the answer is no list: {error}")))?;
    page.items.into_iter().flatten().for_each(add);
    let next = page.metadata.continue_.filter(|token| !token.is_empty());
    Ok(Page::Read(next))
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
            while let Some(item) = items.next_item().map_err(malformed)? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Node, Pod};

    #[test]
    fn selectors_and_tokens_are_encoded() {
        let pods = ListRequest::<Pod>::namespaced("shop").labels("app in (a,b),!x");
        let address =
            "/api/v1/namespaces/shop/pods?limit=500&labelSelector=app%20in%20%28a%2Cb%29%2C%21x";
        assert_eq!(pods.address(None), address);
        assert_eq!(pods.attempt, "list pods in namespace shop");
        let nodes = ListRequest::<Node>::everywhere().page(10);
        let address = "/api/v1/nodes?limit=10&continue=a%3D%2Fb";
        assert_eq!(nodes.address(Some("a=/b")), address);
        assert_eq!(nodes.attempt, "list nodes");
    }
}
