//! A status page, by its API.

use chaos_common::config::{Secret, StatusPage};
use serde_json::json;

use super::error::ChannelError;
use super::webhook::Post;
use crate::template::Page;

pub(crate) fn post(settings: &StatusPage, page: Page) -> Result<Post, ChannelError> {
    let url = settings.url.read().map_err(ChannelError::Secret)?;
    let token = settings.token.as_ref().map(Secret::read).transpose();
    let token = token.map_err(ChannelError::Secret)?;
    Post::new(
        &url,
        token.as_deref(),
        json!({ "status": page.status, "message": page.message }),
    )
}
