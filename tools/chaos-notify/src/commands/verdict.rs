//! What the channels' results mean for the verdict.

use chaos_common::record::{ChannelOutcome, ChannelResult, Check, Status};

use crate::settings::Require;

/// A check for each channel. One that was not required is no reason to alarm.
pub(crate) fn checks(results: &[ChannelResult], require: &Require) -> Vec<Check> {
    let reached = |result: &ChannelResult| {
        matches!(
            result.outcome,
            ChannelOutcome::Sent | ChannelOutcome::Partly
        )
    };
    let enough = *require == Require::Any && results.iter().any(reached);
    let mut checks: Vec<Check> = results
        .iter()
        .map(|result| {
            let required = match require {
                Require::All => true,
                Require::Any => !enough,
                Require::Channel(name) => *name == result.channel,
            };
            check(result, required)
        })
        .collect();
    if let Require::Channel(name) = require
        && !results.iter().any(|result| result.channel == *name)
    {
        let why = "the channel that must take it was not used for this occasion";
        checks.push(Check::unknown("notify.require", name, why));
    }
    checks
}

fn check(result: &ChannelResult, required: bool) -> Check {
    let status = match result.outcome {
        ChannelOutcome::Sent => Status::Pass,
        ChannelOutcome::Partly => Status::Warn,
        ChannelOutcome::Failed | ChannelOutcome::Unknown if !required => Status::Warn,
        ChannelOutcome::Failed => Status::Fail,
        ChannelOutcome::Unknown => Status::Unknown,
    };
    let tries = if result.attempts > 1 {
        format!(" (tried {} times)", result.attempts)
    } else {
        String::new()
    };
    let id = format!("notify.{}", result.channel);
    let check = Check::new(&id, &result.to, status, format!("{}{tries}", result.detail));
    match result.outcome {
        ChannelOutcome::Sent => check,
        _ if result.spooled => check.hint("it is in the spool: chaos-notify flush sends it"),
        ChannelOutcome::Partly => check.hint("tell the others by hand, then mend their addresses"),
        ChannelOutcome::Unknown => check.hint("ask somebody there whether it arrived"),
        ChannelOutcome::Failed => check.hint("tell them by hand, then repair the channel"),
    }
}

/// One sentence of all channels.
pub(crate) fn summary(results: &[ChannelResult]) -> String {
    let was_sent = |result: &&ChannelResult| result.outcome == ChannelOutcome::Sent;
    let sent = results.iter().filter(was_sent).count();
    let bad = results.iter().find(|result| !was_sent(result));
    let bad = bad
        .map(|result| format!("; {}: {}", result.channel, result.detail))
        .unwrap_or_default();
    format!("sent on {sent} of {} channels{bad}", results.len())
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Verdict;

    use super::*;

    fn result(channel: &str, outcome: ChannelOutcome) -> ChannelResult {
        ChannelResult {
            channel: channel.into(),
            to: "t".into(),
            outcome,
            attempts: 1,
            detail: "d".into(),
            receipt: None,
            recipients: Vec::new(),
            spooled: false,
        }
    }

    fn verdict(require: &str, outcomes: [ChannelOutcome; 2]) -> Verdict {
        let [mail, slack] = outcomes;
        let results = [result("mail", mail), result("slack", slack)];
        let Ok(require) = require.parse();
        Verdict::of(&checks(&results, &require))
    }

    #[test]
    fn all_any_or_one_must_take_it() {
        use ChannelOutcome::{Failed, Partly, Sent, Unknown};
        assert_eq!(verdict("all", [Sent, Sent]), Verdict::Pass);
        assert_eq!(verdict("all", [Sent, Partly]), Verdict::Pass);
        assert_eq!(verdict("all", [Sent, Failed]), Verdict::Fail);
        assert_eq!(verdict("all", [Sent, Unknown]), Verdict::Unknown);
        assert_eq!(verdict("any", [Sent, Failed]), Verdict::Pass);
        assert_eq!(verdict("any", [Failed, Failed]), Verdict::Fail);
        assert_eq!(verdict("any", [Failed, Unknown]), Verdict::Fail);
        assert_eq!(verdict("mail", [Sent, Failed]), Verdict::Pass);
        assert_eq!(verdict("mail", [Unknown, Sent]), Verdict::Unknown);
        assert_eq!(verdict("pager", [Sent, Sent]), Verdict::Unknown);
    }
}
