//! What a backup's bytes say: readers of its formats, from the first byte to the last. They know of
//! no place that a backup may be in, and of no configuration but what a backup has to hold.

pub mod decompress;
pub mod decrypt;
pub mod digest;
pub mod drill_evidence;
pub mod encryption;
pub mod error;
pub mod identify;
pub mod inspection;
pub mod kubernetes;
pub mod manifest;
pub mod pg_dump;
pub mod pipe;
pub mod tar;
pub mod verify;
