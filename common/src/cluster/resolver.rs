//! The system's resolver for names, with an error of its own: that a name is not known says more of
//! where we stand than of the Service.

use std::io;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A name that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve {name}")]
pub(super) struct NameNotResolved {
    name: String,
    source: io::Error,
}

/// `getaddrinfo`.
#[derive(Debug)]
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            // The port is that of the URL.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map(Iterator::collect::<Vec<_>>);
            match found {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(source) => Err(NameNotResolved { name, source }.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::cause::cause;

    #[tokio::test]
    async fn an_unknown_name_is_known_by_its_type() {
        // Another test may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy();
        let client = client
            .dns_resolver(SystemResolver)
            .build()
            .expect("a client");
        let get = |url: &'static str| client.get(url).send();
        // RFC 6761: this name never resolves.
        let unknown = get("http://shop.invalid:1/")
            .await
            .expect_err("no such name");
        assert!(cause::<NameNotResolved>(&unknown).is_some(), "{unknown:?}");
        let refused = get("http://127.0.0.1:1/")
            .await
            .expect_err("nobody listens");
        assert!(cause::<NameNotResolved>(&refused).is_none(), "{refused:?}");
    }
}
