//! Status pages: the runbook's plain call, Statuspage, Instatus and Cachet.

mod cachet;
mod generic;
mod incident;
mod instatus;
mod statuspage;

use chaos_common::config::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use self::incident::Incidents;
use super::Channel;
use super::error::ChannelError;
use super::http::{Http, token};
use super::service::Served;
use super::settings::http_settings;

http_settings! {
    /// `[notify.status_page]`
    {
        /// Whose API it is: `generic` (if left out: the status is posted to the URL), `statuspage`,
        /// `instatus` or `cachet`.
        #[serde(default)]
        pub(crate) api: Api,
        /// The URL that status changes are posted to; of the others, that of their API, such as
        /// `https://api.statuspage.io/v1`.
        pub(crate) url: Secret,
        /// Sent as `Authorization: Bearer …` (Statuspage: `OAuth …`); left out, no such header is sent.
        #[serde(default)]
        pub(crate) token: Option<Secret>,
        /// The page's id, for Statuspage and Instatus.
        #[serde(default)]
        pub(crate) page: Option<String>,
        /// The ids of the components whose state is shown.
        #[serde(default)]
        pub(crate) components: Vec<String>,
    }
    secrets: url, token
}

/// Whose API a status page has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// The runbook's call: status and message, posted to the URL.
    #[default]
    Generic,
    /// Atlassian Statuspage.
    Statuspage,
    /// Instatus.
    Instatus,
    /// Cachet, version 3.
    Cachet,
}

/// What all of them need.
struct Site {
    http: Http,
    token: Option<String>,
    page: Option<String>,
    components: Vec<String>,
}

impl Site {
    fn new(settings: &Settings) -> Result<Site, ChannelError> {
        let url = settings.url.read().map_err(ChannelError::Secret)?;
        let token = token(settings.token.as_ref())?;
        let http = Http::new(&url, settings.reach(), token.clone())?;
        if token.is_some() {
            http.hides_token()?;
        }
        Ok(Site {
            http,
            token,
            page: settings.page.clone(),
            components: settings.components.clone(),
        })
    }

    fn page(&self) -> Result<String, ChannelError> {
        self.page.clone().ok_or(ChannelError::Missing {
            key: "notify.status_page.page",
            why: "this API wants the page's id",
        })
    }
}

/// The channel for a status page.
///
/// # Errors
/// A secret can't be read, or what its API needs is missing.
pub(super) fn channel(settings: &Settings) -> Result<Box<dyn Channel>, ChannelError> {
    let site = Site::new(settings)?;
    Ok(match settings.api {
        Api::Generic => Box::new(Served::new(generic::Generic::new(site)?)?),
        Api::Statuspage => Box::new(Incidents::new(statuspage::Statuspage::new(site)?)),
        Api::Instatus => Box::new(Incidents::new(instatus::Instatus::new(site)?)),
        Api::Cachet => Box::new(Incidents::new(cachet::Cachet::new(site)?)),
    })
}
