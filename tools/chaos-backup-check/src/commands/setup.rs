//! What a command needs before it begins: the context, and the lock.

use std::sync::Arc;

use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};

use super::Args;
use crate::context::Context;
use crate::item::freshness;
use crate::monitoring::{Held, Lock, say};
use crate::progress::Readings;
use crate::source;

/// The context of a command that needs the application's namespace.
pub(super) fn context(args: &Args, loaded: &Loaded) -> Result<Context, Failure> {
    let namespace = args.cluster.namespace(&loaded.config)?;
    context_in(args, loaded, namespace)
}

/// The context of a command for files, which need no namespace.
pub(super) fn context_of_files(args: &Args, loaded: &Loaded) -> Result<Context, Failure> {
    let namespace = args.cluster.namespace(&loaded.config).unwrap_or_default();
    context_in(args, loaded, namespace)
}

fn context_in(args: &Args, loaded: &Loaded, namespace: String) -> Result<Context, Failure> {
    source::check_places(&loaded.config)?;
    freshness::check_times(&loaded.config.backups)?;
    Ok(Context {
        access: args.cluster.access(),
        namespace,
        config: Arc::new(loaded.config.clone()),
        readings: Readings::default(),
    })
}

/// The lock of a run that nobody watches, or that does more than look. A person may look at any
/// time.
pub(super) fn lock(args: &Args, what: &str, loaded: &Loaded) -> Result<Option<Lock>, Failure> {
    if args.command.is_none() && !args.cron.unattended() {
        return Ok(None);
    }
    match Lock::take(what, loaded.path.as_deref()) {
        Ok(lock) => Ok(Some(lock)),
        Err(Held::Elsewhere(by)) => Err(Failure {
            exit: Exit::Refused,
            message: format!(
                "another {what} of this configuration is not over ({by}); nothing was done"
            ),
            hint: Some("see what holds it up, or give it a --deadline".to_owned()),
        }),
        Err(Held::CannotTell(why)) => {
            say(&format!(
                "cannot see whether another {what} runs: {why}; this one runs all the same"
            ));
            Ok(None)
        }
    }
}
