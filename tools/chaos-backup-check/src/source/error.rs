//! Why something at a backup's place could not be read or written.

use std::io;

use chaos_common::cluster::{ReadError, error_chain};

/// What the place answered, by what kind of place it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// This machine's file system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The way to the pod.
    #[error(transparent)]
    Cluster(#[from] ReadError),
    /// A program in the pod: its words.
    #[error("{0}")]
    Program(String),
    /// The object storage.
    #[error("{}", storage_words(.0))]
    Storage(#[from] object_store::Error),
    /// What should be a file is something else.
    #[error("is not a file")]
    NotAFile,
    /// So many bytes are no manifest.
    #[error("has {0} bytes, which no manifest has")]
    TooLarge(u64),
    /// It would have to be written into a pod.
    #[error("nothing is written into a pod")]
    PodIsReadOnly,
}

/// What an object storage says is XML, of which two elements are for people.
pub(super) fn storage_words(error: &object_store::Error) -> String {
    let chain = error_chain(error);
    let element = |name: &str| {
        let rest = chain.split_once(&format!("<{name}>"))?.1;
        rest.split_once(&format!("</{name}>"))
            .map(|(text, _)| text.to_owned())
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (Some(code), None) => code,
        _ => {
            let first = chain.lines().next().unwrap_or_default();
            first.chars().take(300).collect()
        }
    }
}
