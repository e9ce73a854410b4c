//! What every command needs of the configuration.

use chaos_common::config::{Config, Loaded};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, Occasion, Status};

use crate::channels::{self, Configured};
use crate::settings::Settings;
use crate::spool::Spool;
use crate::template::{Clock, Forms, TemplateError};

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

    /// A channel by its name.
    pub(crate) fn channel(&self, name: &str) -> Option<&Configured> {
        self.channels.iter().find(|channel| channel.name == name)
    }
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
