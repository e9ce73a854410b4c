//! What a scalar of YAML without quotes means to kubectl.
//!
//! kubectl reads YAML with `sigs.k8s.io/yaml`, that is with go-yaml 2, which reads YAML 1.1 after its
//! own fashion: `yes` is true, `0o17` and `017` are 15, `1_000` is 1000, `190e3456` is text because
//! no number is so large, `1:30` and `2026-01-01` are text. This is `resolve` in its `resolve.go`.

/// What a scalar is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true`, `yes`, `on` and their like.
    Bool(bool),
    /// A whole number that may be negative.
    Int(i64),
    /// A whole number beyond that.
    Uint(u64),
    /// Any other number; may be infinite or none at all, which JSON does not have.
    Float(f64),
    /// Text, which is what was written.
    Text,
}

impl Scalar {
    /// Of what stands there without quotes and without a tag.
    pub(super) fn of(text: &str) -> Scalar {
        let first = text.bytes().next();
        match first {
            None => Scalar::Null,
            Some(b'+' | b'-' | b'0'..=b'9') => named(text).unwrap_or_else(|| number(text)),
            Some(b'.') => named(text)
                .or_else(|| float(text).map(Scalar::Float))
                .unwrap_or(Scalar::Text),
            Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => {
                named(text).unwrap_or(Scalar::Text)
            }
            Some(_) => Scalar::Text,
        }
    }
}

/// Words with a meaning.
fn named(text: &str) -> Option<Scalar> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str) -> Scalar {
    // All that it takes for a date is text in the end, and none of that is a number.
    let plain = text.replace('_', "");
    if let Some(value) = signed(&plain) {
        return Scalar::Int(value);
    }
    if let Some(value) = unsigned(&plain) {
        return Scalar::Uint(value);
    }
    if let Some(value) = float(&plain) {
        return Scalar::Float(value);
    }
    // So it takes a sign behind the prefix as well.
    let binary = plain
        .strip_prefix("0b")
        .and_then(|digits| i64::from_str_radix(digits, 2).ok());
    binary.map_or(Scalar::Text, Scalar::Int)
}

/// `strconv.ParseInt(text, 0, 64)`.
fn signed(text: &str) -> Option<i64> {
    match text.as_bytes().first()? {
        b'-' => {
            let value = unsigned(&text[1..])?;
            0_i64.checked_sub_unsigned(value)
        }
        b'+' => unsigned(&text[1..])?.try_into().ok(),
        _ => unsigned(text)?.try_into().ok(),
    }
}

/// `strconv.ParseUint(text, 0, 64)`: the prefix says the base.
fn unsigned(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let (base, digits) = match bytes {
        [b'0', b'b' | b'B', _, ..] => (2, &text[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &text[2..]),
        [b'0', b'x' | b'X', _, ..] => (16, &text[2..]),
        [b'0'] => return Some(0),
        [b'0', ..] => (8, &text[1..]),
        _ => (10, text),
    };
    let all = digits.chars().all(|digit| digit.is_digit(base));
    u64::from_str_radix(digits, base).ok().filter(|_| all)
}

/// A number with a point or an exponent, if a float can hold it.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, "")) => digits(whole),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(mantissa),
    };
    let exponent = exponent
        .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    if !mantissa || !exponent {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// How `sigs.k8s.io/yaml` writes a float that is a key: `strconv.FormatFloat(key, 'g', -1, 32)`.
pub(super) fn float_key(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "so does FormatFloat for 32 bits"
    )]
    let short = value as f32;
    if short.is_infinite() {
        return if short > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{short:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..21).contains(&exponent) {
        return format!("{short}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go makes of each (`tests/fixtures/kubernetes/scalars.go` writes the file): the text, a
    /// tab, and its value in JSON.
    #[test]
    fn scalars_are_what_kubectl_takes_them_for() {
        let told = include_str!("../../../tests/fixtures/kubernetes/scalars.tsv");
        let mut seen = 0;
        for line in told.lines() {
            let (text, json) = line.split_once('\t').expect("two columns");
            let ours = match Scalar::of(text) {
                Scalar::Null => "null".to_owned(),
                Scalar::Bool(value) => value.to_string(),
                Scalar::Int(value) => value.to_string(),
                Scalar::Uint(value) => value.to_string(),
                Scalar::Float(value) if !value.is_finite() => "error".to_owned(),
                Scalar::Float(value) => {
                    let theirs: f64 = json.parse().unwrap_or(f64::NAN);
                    assert!(
                        (value - theirs).abs() <= value.abs() * 1e-15,
                        "{text}: {json}"
                    );
                    json.to_owned()
                }
                Scalar::Text => serde_json::to_string(text).expect("text"),
            };
            assert_eq!(ours, json, "{text}");
            seen += 1;
        }
        assert!(seen > 300, "{seen}");
    }

    #[test]
    fn numbers_as_keys_are_text() {
        for (value, key) in [(1.5, "1.5"), (1e21, "1e+21"), (1e-7, "1e-07"), (0.1, "0.1")] {
            assert_eq!(float_key(value), key);
        }
    }
}
