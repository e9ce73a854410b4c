//! What would be sent, for people. Nothing is sent, and the stream goes no further.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;

use super::compose::compose;
use super::escalate::preview;
use super::send::{How, ask, draft};
use super::setup::Setup;
use crate::facts::Facts;
use crate::occasions::Told;

/// Prints what each channel would be sent.
///
/// # Errors
/// There is nothing to tell, or the configuration or a template is wrong: a usage error.
pub(crate) fn render(loaded: Loaded, told: &Told, how: &How) -> Result<Exit, Failure> {
    let setup = Setup::of(loaded)?;
    // As text: records stay here, and what is printed is no record.
    let stream = Stream::open(tool!(), Some(Format::Text))?;
    let facts = Facts::of(&stream.upstream, &stream.run);
    let draft = draft(&setup, &facts, told).map_err(|why| Failure::usage(why.to_string()))?;
    let mut composed = compose(&setup, &facts, &draft)?;
    if how.escalates(&draft) {
        ask(&setup, &mut composed.messages, true);
    }
    let mut out = format!(
        "Subject: {}\n\n{}\nIn short: {}\n",
        composed.wording.subject, composed.wording.text, composed.wording.short
    );
    for (configured, message) in setup.channels.iter().zip(&composed.messages) {
        let name = &configured.name;
        let what = match &configured.channel {
            _ if !setup.settings.routed(message.occasion, name) => {
                "notify.routes leads elsewhere".to_owned()
            }
            Err(error) => format!("cannot be used: {error}"),
            Ok(channel) => match channel.unconcerned(message) {
                Some(why) => why.to_owned(),
                None => channel.preview(message),
            },
        };
        let _ = write!(out, "\n--- {name} ---\n{what}\n");
    }
    if how.escalates(&draft) {
        let _ = write!(
            out,
            "\n--- escalation ---\n{}\n",
            preview(&setup).join("\n")
        );
    }
    // A reader that closed early is normal.
    let _ = io::stdout().write_all(out.as_bytes());
    Ok(Exit::Pass)
}
