//! Fields of objects, by the way that leads to them. A part in brackets, `[NAME]`, is the element of
//! that `name` in a list.

use serde_json::{Value, json};

/// A field's name for people: `spec.replicas`.
pub fn path(field: &[String]) -> String {
    field.join(".")
}

/// A field's value; null if it is absent.
pub fn get(object: &Value, field: &[String]) -> Value {
    let step = |value: Option<Value>, part: &String| {
        let value = value?;
        match element_of_list(part) {
            Some(wanted) => value
                .as_array()?
                .iter()
                .find(|one| one["name"] == wanted)
                .cloned(),
            None => value.get(part).cloned(),
        }
    };
    field
        .iter()
        .fold(Some(object.clone()), step)
        .unwrap_or(Value::Null)
}

/// The name of a list's element, where a part of a field's path is one: `[NAME]`.
fn element_of_list(part: &str) -> Option<&str> {
    part.strip_prefix('[')?.strip_suffix(']')
}

/// The value inside the objects and lists that lead to it.
pub fn nest(field: &[String], value: &Value) -> Value {
    field
        .iter()
        .rev()
        .fold(value.clone(), |inner, part| match element_of_list(part) {
            Some(name) => {
                let mut element = inner;
                element["name"] = name.into();
                json!([element])
            }
            None => json!({ part: inner }),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lead_through_lists_by_name() {
        let field: Vec<String> = ["spec", "containers", "[shop]", "image"]
            .map(str::to_owned)
            .to_vec();
        let pod = json!({ "spec": { "containers": [{ "name": "side", "image": "a" }, { "name": "shop", "image": "b" }] } });
        assert_eq!(get(&pod, &field), json!("b"));
        assert_eq!(
            nest(&field, &json!("c")),
            json!({ "spec": { "containers": [{ "name": "shop", "image": "c" }] } })
        );
        assert_eq!(get(&pod, &["spec".into(), "none".into()]), Value::Null);
    }
}
