//! A status page, by its API.

use chaos_common::config::StatusPage;
use serde_json::json;

use super::webhook::Post;
use crate::message::Page;

pub(crate) fn post(settings: &StatusPage, page: Page) -> Result<Post, String> {
    let url = settings.url.read()?;
    let token = settings
        .token
        .as_ref()
        .map(chaos_common::config::Secret::read)
        .transpose()?;
    Post::new(
        &url,
        token.as_deref(),
        json!({ "status": page.status, "message": page.message }),
    )
}
