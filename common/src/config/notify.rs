//! The channels that people are told on.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;

/// `[notify]`: each channel that is configured is used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Mail by SMTP.
    pub mail: Option<Mail>,
    /// A Slack incoming webhook.
    pub slack: Option<Slack>,
    /// A status page's API.
    pub status_page: Option<StatusPage>,
}

/// `[notify.mail]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The SMTP server.
    pub host: String,
    /// Its port; by default 465 for `tls`, 587 for `starttls`, 25 for `none`.
    #[serde(default)]
    pub port: Option<u16>,
    /// Encryption: `starttls` (default), `tls` or `none`.
    #[serde(default)]
    pub tls: MailTls,
    /// User to log in as; no login if left out.
    #[serde(default)]
    pub user: Option<String>,
    /// That user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Sender.
    pub from: String,
    /// Who gets all but `critical`.
    pub team: Vec<String>,
    /// Who gets `critical`, and `monthly` besides the team.
    #[serde(default)]
    pub management: Vec<String>,
}

/// How mail is encrypted on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Plain first, then encrypted; a server that doesn't offer it is refused.
    #[default]
    Starttls,
    /// Encrypted from the first byte.
    Tls,
    /// Not encrypted. For a server on the same machine.
    None,
}

/// `[notify.slack]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The incoming webhook's URL, which is a secret.
    pub webhook: Secret,
}

/// `[notify.status_page]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusPage {
    /// The URL that status changes are posted to.
    pub url: Secret,
    /// Sent as `Authorization: Bearer …`; left out, no such header is sent.
    #[serde(default)]
    pub token: Option<Secret>,
}
