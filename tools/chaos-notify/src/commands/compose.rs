//! From what there is to tell to a message for each channel.

use chaos_common::exit::Failure;
use chaos_common::record::Check;

use super::setup::{Setup, fallback};
use crate::facts::Facts;
use crate::template::{Draft, Forms, Message, Wording};

/// What is told, in words.
pub(crate) struct Composed {
    /// Its id.
    pub(crate) event: String,
    /// The words of the mail, which the record has.
    pub(crate) wording: Wording,
    /// A message for each channel, in their order.
    pub(crate) messages: Vec<Message>,
    /// What is to be said of the templates.
    pub(crate) checks: Vec<Check>,
}

/// Finds the words for each channel.
///
/// # Errors
/// A template is wrong, and it is no alarm: a usage error.
pub(crate) fn compose(setup: &Setup, facts: &Facts, draft: &Draft) -> Result<Composed, Failure> {
    let (forms, check) = setup.forms(draft.occasion)?;
    let mut checks: Vec<Check> = check.into_iter().collect();
    // No channel is called so: it is the occasion's own wording.
    let wording = words(setup, forms, draft, "", &mut checks)?;
    let event = Message::id(&facts.run, draft.occasion, &wording);
    let mut environments = setup.settings.environments.iter();
    let environment = environments.find(|one| one.fits(&draft.about));
    let mut messages = Vec::new();
    for channel in &setup.channels {
        let own = words(setup, forms, draft, &channel.name, &mut checks)?;
        let mut message = draft.worded(&facts.run, &event, own);
        for other in &setup.channels {
            let receipt = facts.announcement(&other.name);
            message
                .answers
                .extend(receipt.map(|r| (other.name.clone(), r)));
        }
        message.announced = facts.announced();
        let addresses = environment.and_then(|one| one.to.get(&channel.name));
        message.addresses = addresses.cloned().unwrap_or_default();
        messages.push(message);
    }
    Ok(Composed {
        event,
        wording,
        messages,
        checks,
    })
}

fn words(
    setup: &Setup,
    forms: &Forms,
    draft: &Draft,
    channel: &str,
    checks: &mut Vec<Check>,
) -> Result<Wording, Failure> {
    match forms.fill(draft.occasion, channel, &draft.values) {
        Ok(wording) => Ok(wording),
        Err(error) => {
            checks.push(fallback(draft.occasion, &error)?);
            let built_in = setup
                .built_in()
                .fill(draft.occasion, channel, &draft.values);
            Ok(built_in.expect("a built-in template can be filled with any values"))
        }
    }
}
