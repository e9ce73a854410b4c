//! What every command needs of the configuration.

use chaos_common::config::{Config, Loaded};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, Occasion, Status};

use crate::channels::{self, Configured};
use crate::settings::{EscalationError, Settings};
use crate::spool::Spool;
use crate::template::{Clock, Forms, Message, TemplateError};

/// What the configuration says, ready for use.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) channels: Vec<Configured>,
    pub(crate) clock: Clock,
    pub(crate) spool: Option<Spool>,
    forms: Result<Forms, TemplateError>,
    built_in: Forms,
}

impl Setup {
    /// Reads it.
    ///
    /// # Errors
    /// Something in it is wrong: a usage error.
    pub(crate) fn of(loaded: Loaded) -> Result<Setup, Failure> {
        let settings = Settings::of(&loaded)?;
        let wrong =
            |error: crate::settings::NameError| loaded.config.notify.error(&error.to_string());
        let channels = channels::all(&settings).map_err(wrong)?;
        check_addresses(&loaded, &settings, &channels)?;
        check_escalation(&loaded, &settings, &channels)?;
        Ok(Setup {
            channels,
            clock: settings.clock()?,
            spool: Spool::of(settings.spool.as_ref()),
            forms: Forms::with(&settings.templates),
            built_in: Forms::built_in(),
            config: loaded.config,
            settings,
        })
    }

    /// The templates for an occasion. An alarm goes out in the built-in words where the team's own
    /// can't be used; then the check says so.
    ///
    /// # Errors
    /// A template is wrong, and nothing burns: a usage error.
    pub(crate) fn forms(&self, occasion: Occasion) -> Result<(&Forms, Option<Check>), Failure> {
        match &self.forms {
            Ok(forms) => Ok((forms, None)),
            Err(error) => fallback(occasion, error).map(|check| (&self.built_in, Some(check))),
        }
    }

    /// The built-in templates.
    pub(crate) fn built_in(&self) -> &Forms {
        &self.built_in
    }

    /// Gives a message that asks for an acknowledgement its link; the check says why it has none.
    pub(crate) fn arm(&self, message: &mut Message) -> Option<Check> {
        let asks = message.asks.as_ref()?;
        let base = self.settings.escalation.link.as_deref()?;
        let why = match self.spool.as_ref().map(Spool::key) {
            Some(Ok(key)) => {
                let link = key.link(base, &message.run, &asks.event, asks.whom);
                message.acknowledge = Some(link);
                return None;
            }
            Some(Err(error)) => error.to_string(),
            None => "there is no folder for its key; set notify.spool".to_owned(),
        };
        let why = format!("the messages hold no link that acknowledges them: {why}");
        Some(Check::new("notify.escalation", "", Status::Warn, why))
    }

    /// The same for people who are to see what would be sent: the link acknowledges nothing.
    pub(crate) fn arm_masked(&self, message: &mut Message) {
        let base = self.settings.escalation.link.as_deref();
        let base = base.filter(|_| message.asks.is_some());
        message.acknowledge = base.map(|base| format!("{}/***", base.trim_end_matches('/')));
    }

    /// A channel by its name.
    pub(crate) fn channel(&self, name: &str) -> Option<&Configured> {
        self.channels.iter().find(|channel| channel.name == name)
    }
}

/// Other addresses are such as their channels can use.
fn check_addresses(
    loaded: &Loaded,
    settings: &Settings,
    channels: &[Configured],
) -> Result<(), Failure> {
    let steps = settings.escalation.steps.iter();
    let steps = steps.map(|step| ("notify.escalation.step.to", &step.to));
    let environments = settings.environments.iter();
    let environments = environments.map(|one| ("notify.environment.to", &one.to));
    let all = steps.chain(environments);
    for (key, name, addresses) in all.flat_map(|(key, to)| to.iter().map(move |(n, a)| (key, n, a)))
    {
        let channel = channels.iter().find(|channel| channel.name == *name);
        // A channel that can't be used says so where it is used.
        if let Some(Ok(channel)) = channel.map(|configured| &configured.channel) {
            let wrong = |error| {
                loaded
                    .config
                    .notify
                    .error(&format!("{key}.{name}: {error}"))
            };
            channel.check_addresses(addresses).map_err(wrong)?;
        }
    }
    Ok(())
}

/// An escalation that is configured can be carried out.
fn check_escalation(
    loaded: &Loaded,
    settings: &Settings,
    channels: &[Configured],
) -> Result<(), Failure> {
    let escalation = &settings.escalation;
    if !escalation.is_given() {
        return Ok(());
    }
    let wrong = |error: EscalationError| loaded.config.notify.error(&error.to_string());
    let own = settings.environments.iter().flat_map(|one| &one.contacts);
    let contacts = loaded.config.contacts.iter().chain(own);
    let roles: Vec<&str> = contacts.map(|contact| contact.role.as_str()).collect();
    escalation.check(&roles).map_err(wrong)?;
    // A channel that can't be used now may know it at another time.
    let knows = |configured: &Configured| match &configured.channel {
        Ok(channel) => channel.knows_acknowledgements(),
        Err(_) => true,
    };
    if escalation.link.is_none() && !channels.iter().any(knows) {
        return Err(wrong(EscalationError::NobodyCanAcknowledge));
    }
    Ok(())
}

/// What a template that can't be used means for an occasion.
pub(crate) fn fallback(occasion: Occasion, error: &TemplateError) -> Result<Check, Failure> {
    if matches!(occasion, Occasion::Aborted | Occasion::Critical) {
        let why = format!("the built-in words are sent: {error}");
        return Ok(Check::new("notify.template", "", Status::Warn, why).hint("mend the template"));
    }
    let hint = "chaos-notify render shows what a template makes of a stream";
    Err(Failure::usage(error.to_string()).hint(hint))
}
