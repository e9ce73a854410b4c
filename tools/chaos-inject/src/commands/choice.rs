//! What the operator chooses on the command line. A plan holds it, so that `run` can carry out the
//! plan of the stream.

use chaos_common::config::{Config, Setting};
use chaos_common::exit::Failure;
use chaos_common::record::Overridden;
use schemars::Schema;
use serde::{Deserialize, Serialize};

use crate::experiments::Entry;
use crate::experiments::flag::Flag;
use crate::plan::target::Selection;
use crate::run::gates::parse_override;

/// What an experiment hits and how, and what the operator agrees to beforehand.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub selection: Selection,
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub settings: SettingFlags,
    /// Accept that this is lost for good, by its name in the plan (repeatable)
    #[arg(long = "accept-loss", value_name = "NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "is_default")]
    pub accepted: Vec<String>,
    /// Let the experiment take all pods of a workload
    #[arg(long)]
    #[serde(skip_serializing_if = "is_default")]
    pub allow_outage: bool,
    /// Let it hit at most this share of the namespace's ready pods, instead of limits.max_share_percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    #[serde(skip_serializing_if = "is_default")]
    pub max_share: Option<u8>,
    /// Set this policy aside for the pods that are hit while the fault is on, by its name in the
    /// plan (repeatable)
    #[arg(long, value_name = "networkpolicy/NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "is_default")]
    pub set_aside: Vec<String>,
    /// Go on although this gate is closed, for a reason, which is recorded (repeatable)
    #[arg(long = "override", value_name = "GATE=REASON", value_parser = parse_override)]
    #[serde(skip_serializing_if = "is_default")]
    pub overridden: Vec<Overridden>,
}

/// Keys of the experiment's table in `chaos.toml`, for one run. Which of them an experiment has, its
/// table says.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Settings of the experiment")]
pub struct SettingFlags {
    /// How long the fault stays, for example 30s
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "is_default")]
    duration: Option<String>,
    /// How long the system may take to be at its steady state again, for example 2m
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "is_default")]
    recovery_limit: Option<String>,
    /// The workload whose traffic proves the fault, for example deployment/web
    #[arg(long, value_name = "KIND/NAME")]
    #[serde(skip_serializing_if = "is_default")]
    peer: Option<String>,
    /// A Service that the peer reaches all the time
    #[arg(long, value_name = "SERVICE")]
    #[serde(skip_serializing_if = "is_default")]
    control: Option<String>,
    /// What is expected to suffer besides: a Service, SERVICE/PATH, or a URL (repeatable)
    #[arg(long, value_name = "SERVICE")]
    #[serde(skip_serializing_if = "is_default")]
    affected: Vec<String>,
    /// An alert that must fire (repeatable)
    #[arg(long = "alert", value_name = "NAME")]
    #[serde(skip_serializing_if = "is_default")]
    alerts: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Choice {
    /// The flags that not every experiment honours, of those that are given.
    pub fn given(&self) -> Vec<Flag> {
        let selection = &self.selection;
        let given = [
            (Flag::Pod, !selection.pods.is_empty()),
            (Flag::Selector, selection.selector.is_some()),
            (Flag::Workload, !selection.workloads.is_empty()),
            (Flag::Count, selection.count.is_some()),
            (Flag::Share, selection.share.is_some()),
            (Flag::AllowOutage, self.allow_outage),
            (Flag::MaxShare, self.max_share.is_some()),
            (Flag::SetAside, !self.set_aside.is_empty()),
        ];
        let there = given.into_iter().filter(|(_, is_given)| *is_given);
        there.map(|(flag, _)| flag).collect()
    }

    /// The configuration with the settings that were chosen.
    ///
    /// # Errors
    /// The experiment has no such setting.
    pub fn configure(&self, entry: &Entry, config: &Config) -> Result<Config, Failure> {
        let mut config = config.clone();
        let settings = self.settings.of(entry)?;
        config.experiment.tables = config.experiment.tables.with(&settings);
        Ok(config)
    }
}

impl SettingFlags {
    /// As settings of this experiment's table.
    fn of(&self, entry: &Entry) -> Result<Vec<Setting>, Failure> {
        let texts = [
            ("--duration", "duration", &self.duration),
            ("--recovery-limit", "recovery_limit", &self.recovery_limit),
            ("--peer", "peer", &self.peer),
            ("--control", "control", &self.control),
        ];
        let lists = [
            ("--affected", "affected", &self.affected),
            ("--alert", "alerts", &self.alerts),
        ];
        let keys = Keys::of(entry);
        let mut settings = Vec::new();
        for (flag, key, value) in texts {
            if let Some(value) = value {
                settings.push(Setting::text(flag, &keys.whole(flag, key)?, value));
            }
        }
        for (flag, key, values) in lists {
            if !values.is_empty() {
                settings.push(Setting::list(flag, &keys.whole(flag, key)?, values));
            }
        }
        let settings: Result<_, _> = settings.into_iter().collect();
        Ok(settings.expect("these keys are good"))
    }
}

/// The settings that an experiment has.
struct Keys<'e> {
    entry: &'e Entry,
    schema: Schema,
}

impl Keys<'_> {
    fn of(entry: &Entry) -> Keys<'_> {
        let schema = entry.schema();
        Keys { entry, schema }
    }

    /// The whole key of a setting, for a flag.
    fn whole(&self, flag: &str, key: &str) -> Result<String, Failure> {
        let keys = self.schema.get("properties");
        if keys.is_none_or(|keys| keys.get(key).is_none()) {
            let name = self.entry.name;
            return Err(
                Failure::usage(format!("{name} has no {flag}")).hint(format!(
                    "chaos-inject experiments -o json lists the settings of {name}"
                )),
            );
        }
        Ok(format!("experiment.{}.{key}", self.entry.table()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::experiments;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        choice: Choice,
    }

    fn choice(words: &[&str]) -> Choice {
        Line::parse_from(["run"].iter().chain(words)).choice
    }

    fn entry(name: &str) -> &'static Entry {
        let mut all = experiments::all().iter();
        all.find(|entry| entry.name == name).expect("an experiment")
    }

    #[test]
    fn what_is_chosen_is_read_back_from_a_plan() {
        let chosen = choice(&[
            "--workload=deployment/web",
            "--duration=5s",
            "--accept-loss=claim/a,claim/b",
            "--override=gate.health=no Prometheus yet",
        ]);
        let written = serde_json::to_value(&chosen).expect("JSON");
        let expected = json!({
            "selection": { "workloads": ["deployment/web"] },
            "settings": { "duration": "5s" },
            "accepted": ["claim/a", "claim/b"],
            "overridden": [{ "gate": "gate.health", "reason": "no Prometheus yet" }],
        });
        assert_eq!(written, expected);
        assert_eq!(
            serde_json::from_value::<Choice>(written).expect("a choice"),
            chosen
        );
        let nothing = serde_json::to_value(Choice::default()).expect("JSON");
        assert_eq!(nothing, json!({}));
    }

    #[test]
    fn a_setting_by_flag_goes_before_the_configuration() {
        let flags = ["--peer=deployment/web", "--duration=7s", "--alert=Down"];
        let partition = entry("network-partition");
        let config = choice(&flags).configure(partition, &Config::default());
        let config = config.expect("good");
        let table = config.experiment.tables.settings("network_partition");
        let table: serde_json::Value = table.map_err(|error| error.message).expect("readable");
        let expected = json!({ "alerts": ["Down"], "duration": "7s", "peer": "deployment/web" });
        assert_eq!(table, expected);
    }

    #[test]
    fn a_flag_that_the_experiment_does_not_have_is_refused() {
        let refused = choice(&["--peer=deployment/web"])
            .configure(entry("pod-failure"), &Config::default())
            .expect_err("refused");
        assert_eq!(refused.message, "pod-failure has no --peer");
    }

    #[test]
    fn a_wrong_value_is_told_with_its_flag() {
        let partition = entry("network-partition");
        let config = choice(&["--duration=soon", "--workload=deployment/a"]);
        let (selection, config) = (
            config.selection.clone(),
            config
                .configure(partition, &Config::default())
                .expect("read later"),
        );
        let refused = partition.experiment(&selection, &config).err();
        let message = refused.expect("refused").message;
        assert!(message.starts_with("--duration: "), "{message}");
    }
}
