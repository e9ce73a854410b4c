//! Templates: the built-in ones of the runbook, and a team's own.
//!
//! A template has three blocks: `subject` of the mail, `text` of the mail, `short` for chat. One of
//! a team's own may extend the built-in one of its occasion and replace a single block.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chaos_common::record::Occasion;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::{Deserialize, Serialize};

use super::text::{cut, field, line, list};
use super::values::Values;

/// The longest subject, in characters: as much as mail programs show.
const MAX_SUBJECT: usize = 150;

/// Names in templates that are no values: functions and what loops and blocks define.
const LANGUAGE: [&str; 4] = ["loop", "super", "self", "caller"];

const BUILT_IN: [(Occasion, &str); 7] = [
    (Occasion::Scheduled, include_str!("built_in/scheduled.j2")),
    (Occasion::Started, include_str!("built_in/started.j2")),
    (Occasion::Completed, include_str!("built_in/completed.j2")),
    (Occasion::Aborted, include_str!("built_in/aborted.j2")),
    (Occasion::Critical, include_str!("built_in/critical.j2")),
    (Occasion::Monthly, include_str!("built_in/monthly.j2")),
    (Occasion::Test, include_str!("built_in/test.j2")),
];

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wording {
    pub(crate) subject: String,
    pub(crate) text: String,
    /// A line or two, for chat.
    pub(crate) short: String,
}

/// Why a template can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("cannot read the template {}: {source}", .path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{name}:{line}: unknown variable {variable:?}")]
    UnknownVariable {
        name: String,
        line: usize,
        variable: String,
    },
    #[error("{name}:{line}: {why}")]
    Wrong {
        name: String,
        line: usize,
        why: String,
    },
}

impl TemplateError {
    fn wrong(error: &minijinja::Error) -> TemplateError {
        let why = error.detail().map(str::to_owned);
        TemplateError::Wrong {
            name: error.name().unwrap_or("template").to_owned(),
            line: error.line().unwrap_or(0),
            why: why.unwrap_or_else(|| error.kind().to_string()),
        }
    }
}

/// All templates, ready to be filled.
#[derive(Debug)]
pub(crate) struct Forms {
    environment: Environment<'static>,
    /// The team's own, by what they are for (`completed`, `slack/completed`), as file names.
    own: BTreeMap<String, String>,
}

impl Forms {
    /// The built-in templates.
    ///
    /// # Panics
    /// If one of them is wrong, which a test would have seen.
    pub(crate) fn built_in() -> Forms {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter(
            "field",
            |values: Vec<String>, name: String, most: Option<usize>| {
                field(&name, &values, most.unwrap_or(usize::MAX))
            },
        );
        environment.add_filter("list", |values: Vec<String>, most: Option<usize>| {
            list(&values, most.unwrap_or(usize::MAX))
        });
        for (occasion, source) in BUILT_IN {
            environment
                .add_template(occasion.word(), source)
                .expect("a built-in template is well formed");
        }
        Forms {
            environment,
            own: BTreeMap::new(),
        }
    }

    /// The same, and the team's own, by what they are for.
    ///
    /// # Errors
    /// One can't be read, is not well formed, or names a variable that there is not.
    pub(crate) fn with(own: &BTreeMap<String, PathBuf>) -> Result<Forms, TemplateError> {
        let mut forms = Forms::built_in();
        for (purpose, path) in own {
            let name = forms.add(path)?;
            forms.own.insert(purpose.clone(), name);
        }
        Ok(forms)
    }

    /// Adds a file, and gives the name that it goes by.
    fn add(&mut self, path: &Path) -> Result<String, TemplateError> {
        let source = std::fs::read_to_string(path);
        let source = source.map_err(|source| TemplateError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let name = path.display().to_string();
        let added = self.environment.add_template_owned(name.clone(), source);
        added.map_err(|error| TemplateError::wrong(&error))?;
        self.check_names(&name)?;
        Ok(name)
    }

    /// Refuses a name that no value has, whether or not a message would come to it.
    fn check_names(&self, name: &str) -> Result<(), TemplateError> {
        let template = self.environment.get_template(name);
        let template = template.map_err(|error| TemplateError::wrong(&error))?;
        let known = Value::from(Serde(Values::default()));
        let is_global = |name: &str| self.environment.globals().any(|(global, _)| global == name);
        let is_known = |name: &str| {
            known
                .get_attr(name)
                .is_ok_and(|value| !value.is_undefined())
        };
        let mut unknown: Vec<String> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !is_known(name) && !is_global(name) && !LANGUAGE.contains(&&**name))
            .collect();
        unknown.sort();
        let Some(variable) = unknown.into_iter().next() else {
            return Ok(());
        };
        let mut lines = template.source().lines();
        let line = lines.position(|line| names(line, &variable));
        Err(TemplateError::UnknownVariable {
            name: name.to_owned(),
            line: line.map_or(0, |line| line + 1),
            variable,
        })
    }

    /// The words of an occasion for a channel: by the team's template for this channel, else theirs
    /// for the occasion, else the built-in one.
    ///
    /// # Errors
    /// The template can't be filled.
    pub(crate) fn fill(
        &self,
        occasion: Occasion,
        channel: &str,
        values: &Values,
    ) -> Result<Wording, TemplateError> {
        let word = occasion.word();
        let of_channel = self.own.get(&format!("{channel}/{word}"));
        let name = of_channel
            .or_else(|| self.own.get(word))
            .map_or(word, String::as_str);
        self.render(name, values)
            .map_err(|error| TemplateError::wrong(&error))
    }

    fn render(&self, name: &str, values: &Values) -> Result<Wording, minijinja::Error> {
        let template = self.environment.get_template(name)?;
        let mut filled = template.render_captured(Value::from(Serde(values)))?;
        let mut block = |name: &str| filled.with_state_mut(|state| state.render_block(name));
        let text = block("text")?;
        Ok(Wording {
            subject: cut(&line(&block("subject")?), MAX_SUBJECT),
            text: format!("{}\n", text.trim()),
            short: block("short")?.trim().to_owned(),
        })
    }
}

/// Whether a line of a template has this word.
fn names(line: &str, variable: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(variable).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + variable.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(purpose: &str, source: &str) -> Result<Forms, TemplateError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("own.j2");
        std::fs::write(&path, source).expect("writable");
        Forms::with(&BTreeMap::from([(purpose.to_owned(), path)]))
    }

    #[test]
    fn every_built_in_template_can_be_filled_with_nothing_known() {
        let forms = Forms::built_in();
        for (occasion, _) in BUILT_IN {
            let word = occasion.word();
            forms.check_names(word).unwrap_or_else(|e| panic!("{e}"));
            let filled = forms.fill(occasion, "mail", &Values::default());
            let filled = filled.unwrap_or_else(|e| panic!("{word}: {e}"));
            for text in [filled.subject, filled.text, filled.short] {
                assert!(!text.trim().is_empty(), "{word}");
                assert!(!text.contains(['[', '{']), "{word}: {text}");
            }
        }
    }

    #[test]
    fn one_block_can_be_replaced_for_one_channel() {
        let own = "{% extends \"completed\" %}{% block short %}{{ experiment }}!{% endblock %}";
        let forms = forms("slack/completed", own).expect("good");
        let values = Values {
            experiment: "pod-failure".into(),
            ..Values::default()
        };
        let of = |channel| forms.fill(Occasion::Completed, channel, &values);
        let (slack, mail) = (of("slack").expect("good"), of("mail").expect("good"));
        assert_eq!(slack.short, "pod-failure!");
        assert_ne!(mail.short, slack.short);
        assert_eq!((mail.subject, mail.text), (slack.subject, slack.text));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let wrong = |source| forms("test", source).expect_err("wrong").to_string();
        let unknown = wrong("{% block subject %}\n{{ experiments }}{% endblock %}");
        assert!(
            unknown.ends_with("own.j2:2: unknown variable \"experiments\""),
            "{unknown}"
        );
        let broken = wrong("\n\n{{ experiment }");
        assert!(broken.contains("own.j2:3: "), "{broken}");
        let missing = BTreeMap::from([("test".to_owned(), PathBuf::from("/no/such.j2"))]);
        let error = Forms::with(&missing).expect_err("missing").to_string();
        assert!(error.contains("/no/such.j2"), "{error}");
        let half = forms("test", "{% block text %}x{% endblock %}").expect("well formed");
        let error = half.fill(Occasion::Test, "mail", &Values::default());
        let error = error.expect_err("no subject").to_string();
        assert!(error.contains("subject"), "{error}");
    }

    #[test]
    fn values_are_text_and_no_templates() {
        let values = Values {
            experiment: "{{ run }}\r\nBcc: x".into(),
            ..Values::default()
        };
        let filled = Forms::built_in().fill(Occasion::Scheduled, "mail", &values);
        let subject = filled.expect("good").subject;
        assert!(subject.contains("{{ run }} Bcc: x"), "{subject}");
    }
}
