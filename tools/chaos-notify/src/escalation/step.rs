//! The message to a contact who is told because nobody has answered.

use std::collections::BTreeMap;

use chaos_common::record::EscalationStep;

use crate::template::{Asks, Clock, Message, line};

/// The first message, as the others are made of it: what has no readers is left out.
pub(crate) fn base(message: &Message) -> Message {
    Message {
        page: None,
        alerts: None,
        attachment: None,
        answers: BTreeMap::new(),
        addresses: Vec::new(),
        acknowledge: None,
        asks: Some(Asks {
            event: message.event.clone(),
            whom: 0,
        }),
        ..message.clone()
    }
}

/// The message to a contact, who comes after those that were told. A repetition is the same message.
pub(crate) fn step(
    base: &Message,
    contact: &str,
    told: &[EscalationStep],
    clock: &Clock,
) -> Message {
    let whom = told.len() + 1;
    let mut message = base.clone();
    message.event = Message::part(&base.event, &format!("{whom} {contact}"));
    message.asks = Some(Asks {
        event: base.event.clone(),
        whom,
    });
    let contact = line(contact);
    let before: Vec<String> = told
        .iter()
        .map(|step| format!("- {} at {}", line(&step.contact), clock.write(step.time)))
        .collect();
    let wording = &mut message.wording;
    let told_as = format!("Nobody has acknowledged this yet. You are told as: {contact}");
    wording.text = format!("{}\n{told_as}\n", wording.text);
    if !before.is_empty() {
        wording.text = format!("{}Told before:\n{}\n", wording.text, before.join("\n"));
    }
    wording.short = format!("{}\n{told_as}", wording.short);
    message
}
