//! `--set KEY=VALUE`: a key of `chaos.toml` that the command line sets for one call.

use std::fmt;
use std::str::FromStr;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

/// A key of the configuration, with the value that an option of the command line gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The option, for messages: `--set limits.gate_max_age`, or one with a name of its own.
    option: String,
    /// Key and value as a line of TOML.
    line: String,
}

/// What is no `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASetting {
    /// There is no `=`.
    #[error("it has no value: give KEY=VALUE, for example limits.gate_max_age=1h")]
    NoValue,
    /// What stands before the `=` is no key.
    #[error("{0:?} is no key: give the parts with dots between them, as limits.gate_max_age")]
    NoKey(String),
}

/// A table stands for an element of a list, and no element has its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no [[{list}]] of the name {name:?}")]
pub(super) struct NoSuchElement {
    list: String,
    name: String,
}

impl Setting {
    /// The text that an option with a name of its own sets.
    ///
    /// # Errors
    /// `key` is no key.
    pub fn text(option: &str, key: &str, value: &str) -> Result<Setting, NotASetting> {
        Setting::new(option, key, &Value::String(value.to_owned()).to_string())
    }

    /// The list of texts that an option with a name of its own sets.
    ///
    /// # Errors
    /// `key` is no key.
    pub fn list(option: &str, key: &str, values: &[String]) -> Result<Setting, NotASetting> {
        let values = values.iter().cloned().map(Value::String).collect();
        Setting::new(option, key, &Value::Array(values).to_string())
    }

    /// `value` as TOML has it.
    fn new(option: &str, key: &str, value: &str) -> Result<Setting, NotASetting> {
        let line = format!("{key} = {value}");
        if DeTable::parse(&line).is_err() {
            return Err(NotASetting::NoKey(key.to_owned()));
        }
        Ok(Setting {
            option: option.to_owned(),
            line,
        })
    }

    /// The option that gave it.
    pub fn option(&self) -> &str {
        &self.option
    }

    /// Puts the value where its key says. In a list of tables, a part of the key is the `name` of
    /// one of them: `backup.orders.max_age`.
    pub(super) fn apply<'a>(&'a self, root: &mut DeTable<'a>) -> Result<(), NoSuchElement> {
        let line = DeTable::parse(&self.line).expect("it was parsed when it was made");
        merge(root, line.into_inner())
    }
}

impl FromStr for Setting {
    type Err = NotASetting;
    fn from_str(text: &str) -> Result<Setting, NotASetting> {
        let (key, value) = text.split_once('=').ok_or(NotASetting::NoValue)?;
        let key = key.trim();
        let option = format!("--set {key}");
        // What is no value in TOML is a text: nobody quotes on a command line what need not be. A
        // line feed would begin another key.
        let as_it_is = (!value.contains('\n')).then(|| Setting::new(&option, key, value));
        match as_it_is {
            Some(Ok(setting)) => Ok(setting),
            _ => Setting::text(&option, key, value),
        }
    }
}

// The value may be a secret in the wrong place.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Setting").field(&self.option).finish()
    }
}

fn merge<'a>(into: &mut DeTable<'a>, from: DeTable<'a>) -> Result<(), NoSuchElement> {
    for (key, value) in from {
        let present = into.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut);
        match (present, value.get_ref()) {
            (Some(DeValue::Table(present)), DeValue::Table(_)) => merge(present, table(value))?,
            (Some(DeValue::Array(list)), DeValue::Table(_)) => {
                for (name, value) in table(value) {
                    let element = list.iter_mut().find_map(|one| named(one, name.get_ref()));
                    let missing = || NoSuchElement {
                        list: key.get_ref().to_string(),
                        name: name.get_ref().to_string(),
                    };
                    merge(element.ok_or_else(missing)?, table(value))?;
                }
            }
            _ => {
                into.insert(key, value);
            }
        }
    }
    Ok(())
}

/// The table in this value; an empty one if it is none, which then sets nothing.
fn table(value: Spanned<DeValue<'_>>) -> DeTable<'_> {
    match value.into_inner() {
        DeValue::Table(table) => table,
        _ => DeTable::new(),
    }
}

/// The table in this element of a list, if its `name` is this one.
fn named<'t, 'a>(element: &'t mut Spanned<DeValue<'a>>, name: &str) -> Option<&'t mut DeTable<'a>> {
    let DeValue::Table(table) = element.get_mut() else {
        return None;
    };
    let own = table.get("name").map(Spanned::get_ref);
    let same = matches!(own, Some(DeValue::String(own)) if own == name);
    same.then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str, settings: &[&str]) -> Result<toml::Table, NoSuchElement> {
        let settings: Vec<Setting> = settings
            .iter()
            .map(|setting| setting.parse().expect("a setting"))
            .collect();
        let mut root = DeTable::parse(text).expect("TOML");
        for setting in &settings {
            setting.apply(root.get_mut())?;
        }
        let root = toml::de::Deserializer::from(root);
        Ok(serde::Deserialize::deserialize(root).expect("a table"))
    }

    #[test]
    fn a_key_is_replaced_added_or_made_with_its_tables() {
        let table = applied(
            "[limits]\nlog_errors = 1\nkept = true\n",
            &["limits.log_errors=5", "limits.added=2h", "a.b.c=[\"x\"]"],
        );
        let expected = "a.b.c = ['x']\n[limits]\nadded = '2h'\nkept = true\nlog_errors = 5\n";
        assert_eq!(table.expect("applied"), expected.parse().expect("TOML"));
    }

    #[test]
    fn an_element_of_a_list_is_found_by_its_name() {
        let text = "[[backup]]\nname = 'a'\n[[backup]]\nname = 'b'\npath = 'x'\n";
        let table = applied(text, &["backup.b.path=/y"]).expect("applied");
        assert_eq!(table["backup"][1]["path"].as_str(), Some("/y"));
        assert!(table["backup"][0].get("path").is_none());
        let missing = applied(text, &["backup.c.path=/y"]).expect_err("there is no c");
        assert_eq!(
            missing.to_string(),
            "there is no [[backup]] of the name \"c\""
        );
    }

    #[test]
    fn a_value_that_is_no_toml_is_a_text_and_can_add_no_other_key() {
        let table = applied("", &["a=b = c", "d=1\nlimits = 3", "e=\"q\""]).expect("applied");
        assert_eq!(table["a"].as_str(), Some("b = c"));
        assert_eq!(table["d"].as_str(), Some("1\nlimits = 3"));
        assert_eq!(table["e"].as_str(), Some("q"));
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn what_is_no_setting_is_refused_and_no_value_is_shown() {
        let refused = |text: &str| text.parse::<Setting>().expect_err("refused");
        assert_eq!(refused("limits"), NotASetting::NoValue);
        assert_eq!(refused("a b=1"), NotASetting::NoKey("a b".into()));
        assert_eq!(refused("=1"), NotASetting::NoKey(String::new()));
        let setting: Setting = "notify.slack.webhook=hunter2".parse().expect("a setting");
        assert!(!format!("{setting:?}").contains("hunter2"));
    }
}
