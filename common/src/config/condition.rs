//! What a value must be: `">= 3"`, `"== ready"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A comparison with a number or a text, written as `OPERATOR VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    operator: Operator,
    wanted: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// The operators, those of two characters first.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// A text that is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a condition such as \">= 3\", \"< 0.5\" or \"== ready\"")]
pub struct NotACondition(String);

/// A value that can't be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no number, and can't be compared with one")]
pub struct NotComparable(String);

impl Condition {
    /// Whether a value meets it. Two numbers are compared as numbers, so that 3 is 3.0; for the
    /// order of values both must be numbers.
    ///
    /// # Errors
    /// It can't be told: the value is no number (`NaN` is none either), and one is needed.
    pub fn holds(&self, value: &str) -> Result<bool, NotComparable> {
        let read = |text: &str| text.parse::<f64>().ok().filter(|number| !number.is_nan());
        let wanted = read(&self.wanted);
        let Some((number, wanted)) = read(value).zip(wanted) else {
            let same = value == self.wanted;
            return match self.operator {
                // A number is wanted, and this is none: that is no answer to the question.
                _ if wanted.is_some() => Err(NotComparable(value.to_owned())),
                Operator::Equal => Ok(same),
                Operator::NotEqual => Ok(!same),
                _ => Err(NotComparable(value.to_owned())),
            };
        };
        let Some(order) = number.partial_cmp(&wanted) else {
            return Err(NotComparable(value.to_owned()));
        };
        Ok(match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::AtMost => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::AtLeast => order.is_ge(),
        })
    }
}

impl FromStr for Condition {
    type Err = NotACondition;
    fn from_str(text: &str) -> Result<Condition, NotACondition> {
        let wrong = || NotACondition(text.to_owned());
        let trimmed = text.trim();
        let found = OPERATORS.iter().find_map(|(sign, operator)| {
            let wanted = trimmed.strip_prefix(sign)?.trim();
            Some((*operator, wanted.to_owned()))
        });
        let (operator, wanted) = found.ok_or_else(wrong)?;
        let order = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if wanted.is_empty() || (order && wanted.parse::<f64>().is_err()) {
            return Err(wrong());
        }
        Ok(Condition { operator, wanted })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS
            .iter()
            .find(|(_, operator)| *operator == self.operator)
            .map_or("", |(sign, _)| sign);
        write!(f, "{sign} {}", self.wanted)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Condition, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Condition {
    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^\\s*(==|!=|<=|>=|<|>)\\s*\\S" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, value: &str) -> Option<bool> {
        let condition: Condition = condition.parse().expect("a condition");
        condition.holds(value).ok()
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_texts_as_texts() {
        assert_eq!(holds(">= 3", "3.0"), Some(true));
        assert_eq!(holds("== 3", "3.0"), Some(true));
        assert_eq!(holds("< 0.5", "5e-1"), Some(false));
        assert_eq!(holds("!= 0", "-0"), Some(false));
        assert_eq!(holds("==ready", "ready"), Some(true));
        assert_eq!(holds("!= ready", "waiting"), Some(true));
        assert_eq!(holds(" > 10", "9"), Some(false));
        assert_eq!(holds("<= 1", "+Inf"), Some(false));
    }

    #[test]
    fn what_is_no_number_is_neither_more_nor_less_nor_different() {
        assert_eq!(holds(">= 3", "many"), None);
        assert_eq!(holds(">= 3", "NaN"), None);
        assert_eq!(holds("!= 3", "NaN"), None);
        assert_eq!(holds("== 3", ""), None);
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["", "3", "=> 3", ">", "> many", "~ x"] {
            assert!(text.parse::<Condition>().is_err(), "{text:?}");
        }
        let written: Condition = ">=3".parse().expect("a condition");
        assert_eq!(written.to_string(), ">= 3");
    }
}
