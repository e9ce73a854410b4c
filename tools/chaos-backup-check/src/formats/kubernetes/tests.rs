use chaos_common::record::{Contents, Status};

use super::{examine, expected_checks, restorable_check};
use crate::formats::error::FormatError;
use crate::formats::inspection::Expectations;

const LIST: &str = "\
apiVersion: v1
items:
- apiVersion: v1
  data:
    password: aHVudGVyMg==
  kind: Secret
  metadata:
    name: database
    namespace: shop
    resourceVersion: \"12\"
- apiVersion: v1
  data:
    port: \"8000\"
    nginx.conf: |
      server {
        listen 80;
      }
  kind: ConfigMap
  metadata:
    name: backend
    namespace: shop
kind: List
metadata:
  resourceVersion: \"\"
";

fn check(text: &str) -> Result<(Contents, String), FormatError> {
    examine(text.as_bytes(), Some(text.len() as u64))
        .map(|objects| (objects.contents, objects.message))
}

fn objects(text: &str) -> usize {
    match check(text) {
        Ok((Contents::Kubernetes { objects, .. }, _)) => objects,
        other => panic!("not good, but {other:?}"),
    }
}

fn damage(text: &str) -> String {
    match check(text) {
        Err(FormatError::Damaged(why)) => why,
        other => panic!("not damaged, but {other:?}"),
    }
}

fn object(kind: &str, name: &str) -> String {
    format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n")
}

#[test]
fn lists_documents_and_json_pass() {
    assert_eq!(objects(LIST), 2);
    let documents = format!(
        "---\n{}---\n# none\n---\n{}...\n",
        object("ConfigMap", "a"),
        object("Secret", "a")
    );
    assert_eq!(objects(&documents), 2);
    let json = r#"{"apiVersion":"v1","kind":"ConfigMapList","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}"#;
    assert_eq!(objects(json), 2, "items of a typed list have its kind");
    let custom =
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\ndata: [1, {x: y}]\n";
    assert_eq!(
        objects(custom),
        1,
        "other kinds may have anything called data"
    );
    let (_, message) = check(LIST).expect("good");
    assert!(message.contains("1 ConfigMap, 1 Secret"), "{message}");
}

#[test]
fn a_list_that_is_cut_is_found_wherever_it_is_cut() {
    let last = LIST
        .find("metadata:\n  resourceVersion: \"\"")
        .expect("there");
    for length in (0..last).filter(|length| LIST.is_char_boundary(*length)) {
        assert!(
            check(&LIST[..length]).is_err(),
            "cut to {length}: {}",
            &LIST[..length]
        );
    }
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    for length in 0..json.len() {
        assert!(check(&json[..length]).is_err(), "cut to {length}");
    }
}

#[test]
fn empty_files_and_lists_fail() {
    for text in [
        "\n",
        "---\n",
        "apiVersion: v1\nkind: List\nitems: []\n",
        "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}",
    ] {
        assert!(
            damage(text).contains("holds no object"),
            "{text:?}: {}",
            damage(text)
        );
    }
}

#[test]
fn objects_without_their_names_fail() {
    assert!(damage("kind: Secret\nmetadata: {name: a}\n").contains("no apiVersion"));
    assert!(damage("apiVersion: v1\nmetadata: {name: a}\n").contains("no kind"));
    assert!(damage("apiVersion: v1\nkind: Secret\nmetadata: {}\n").contains("no metadata.name"));
    assert!(damage("just text\n").contains("no Kubernetes object"));
    assert!(damage("- a\n- b\n").contains("no Kubernetes object"));
}

#[test]
fn duplicates_fail_and_the_same_name_elsewhere_does_not() {
    let twice = format!("{}---\n{}", object("Secret", "a"), object("Secret", "a"));
    assert!(
        damage(&twice).contains("Secret a twice"),
        "{}",
        damage(&twice)
    );
    let elsewhere = format!(
        "{}  namespace: a\n---\n{}  namespace: b\n",
        object("Secret", "a"),
        object("Secret", "a")
    );
    assert_eq!(objects(&elsewhere), 2);
    assert!(damage(&format!("{}kind: Secret\n", object("Secret", "a"))).contains("same key twice"));
}

#[test]
fn values_are_judged_and_never_repeated() {
    let secret = object("Secret", "a");
    let not_base64 = damage(&format!("{secret}data:\n  password: hunter2hunter\n"));
    assert!(
        not_base64.contains("\"password\" in Secret a is not base64"),
        "{not_base64}"
    );
    assert!(!not_base64.contains("hunter2"), "{not_base64}");
    assert!(damage(&format!("{secret}data: {{n: 12}}\n")).contains("no text"));
    assert_eq!(
        objects(&format!("{secret}stringData: {{password: hunter2}}\n")),
        1
    );
    let map = object("ConfigMap", "a");
    assert!(damage(&format!("{map}data: {{n: {{a: b}}}}\n")).contains("no text"));
    assert!(damage(&format!("{map}binaryData: {{n: '!'}}\n")).contains("not base64"));
    for broken in [
        "\"hunter2",
        "hunter2: hunter2",
        "[hunter2",
        "!!binary hunter2",
        "*hunter2",
        "|\n hunter2\n\tx",
    ] {
        let why = damage(&format!("{secret}data:\n  password: {broken}\n"));
        assert!(!why.contains("hunter2"), "{why}");
    }
    let json = r#"{"apiVersion":"v1","kind":"Secret","metadata":"hunter2"}"#;
    assert!(!damage(json).contains("hunter2"), "{}", damage(json));
}

#[test]
fn a_last_line_without_end_may_be_cut() {
    let text = object("Secret", "database");
    let cut = check(&text[..text.len() - 4]);
    assert!(matches!(cut, Err(FormatError::CannotTell(why)) if why.contains("may be cut")));
}

#[test]
fn what_would_take_too_much_is_refused() {
    assert!(matches!(
        examine(&b""[..], Some(65 << 20)),
        Err(FormatError::CannotTell(_))
    ));
    // In JSON, which is skipped more quickly than YAML.
    let endless = std::io::Read::chain(&b"{\"a\":\""[..], std::io::repeat(b'x'));
    assert!(matches!(
        examine(endless, None),
        Err(FormatError::CannotTell(_))
    ));
    let deep = format!("{}spec: {}\n", object("Secret", "a"), "[".repeat(10_000));
    assert!(check(&deep).is_err());
    let lines = (1..9).map(|n| format!("  a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(9)));
    let bomb = format!(
        "{}spec:\n  a0: &a0 x\n{}",
        object("Secret", "a"),
        lines.collect::<String>()
    );
    assert!(
        matches!(check(&bomb), Err(FormatError::CannotTell(_))),
        "{:?}",
        check(&bomb)
    );
}

#[test]
fn what_only_a_server_makes_is_reported_with_its_fields() {
    let of = |text: &str| {
        restorable_check(
            &examine(text.as_bytes(), Some(text.len() as u64))
                .expect("good")
                .all,
            "x",
        )
    };
    let clean = format!("{}  creationTimestamp: null\n", object("ConfigMap", "a"));
    assert_eq!(of(&clean).status, Status::Pass);
    let exported = of(LIST);
    assert_eq!(exported.status, Status::Warn);
    assert!(
        exported.message.contains("(resourceVersion in 1)"),
        "{}",
        exported.message
    );
    let more = format!(
        "{}  uid: x\n  managedFields: []\nstatus: {{}}\n",
        object("ConfigMap", "a")
    );
    assert!(
        of(&more)
            .message
            .contains("managedFields in 1, status in 1, uid in 1"),
        "{}",
        of(&more).message
    );
}

#[test]
fn values_are_the_same_by_what_they_mean() {
    let values = |text: &str| {
        let mut objects = examine(text.as_bytes(), Some(text.len() as u64))
            .expect("good")
            .all;
        objects.pop().expect("one").values
    };
    let secret = object("Secret", "a");
    let encoded = values(&format!("{secret}data: {{password: aHVudGVyMg==}}\n"));
    assert_eq!(encoded.keys().collect::<Vec<_>>(), ["password"]);
    assert_eq!(
        encoded,
        values(&format!("{secret}stringData: {{password: hunter2}}\n"))
    );
    assert_eq!(
        encoded,
        values(&format!(
            "{secret}data: {{password: \"aHVudGVy\\nMg==\"}}\n"
        ))
    );
    assert_ne!(
        encoded,
        values(&format!("{secret}data: {{password: aHVudGVyMw==}}\n"))
    );
    let map = object("ConfigMap", "a");
    assert_eq!(
        values(&format!("{map}data: {{k: hunter2}}\n")),
        values(&format!("{map}binaryData: {{k: aHVudGVyMg==}}\n")),
        "one key, one value"
    );
    assert_ne!(
        values(&format!("{map}data: {{k: aHVudGVyMg==}}\n")),
        values(&format!("{map}data: {{k: hunter2}}\n")),
        "text that looks like base64 is text"
    );
}

#[test]
fn scalars_without_quotes_are_what_kubectl_takes_them_for() {
    let map = object("ConfigMap", "a");
    for text in [
        "190e3456",
        "1e999",
        "2026-01-01",
        "1:30",
        "0o19",
        "tru",
        "1.2.3",
    ] {
        assert_eq!(objects(&format!("{map}data:\n  k: {text}\n")), 1, "{text}");
    }
    for other in ["0o17", "yes", "1_000", "017", "1e3", "0x1f", "on", "1.5"] {
        let why = damage(&format!("{map}data:\n  k: {other}\n"));
        assert!(
            why.contains("\"k\" in ConfigMap a is no text"),
            "{other}: {why}"
        );
        let quoted = format!("{map}data:\n  k: \"{other}\"\n");
        assert_eq!(objects(&quoted), 1, "{other}");
    }
    assert_eq!(
        objects(&format!("{map}data:\n  k:\n")),
        1,
        "nothing is no value"
    );
    let why = damage(&format!("{map}spec:\n  limit: .inf\n"));
    assert!(
        why.contains("no Kubernetes object"),
        "JSON has no such number: {why}"
    );
}

#[test]
fn wrong_types_are_damage() {
    for text in [
        "apiVersion: v1\nkind: Secret\nmetadata: {name: 12}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: yes}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {v: 1}}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a, annotations: [a]}\n",
        "apiVersion: 1\nkind: Secret\nmetadata: {name: a}\n",
        "apiVersion: v1\nkind: [Secret]\nmetadata: {name: a}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: a\n",
        "apiVersion: v1\nkind: List\nitems: {a: b}\n",
    ] {
        assert!(
            damage(text).contains("no Kubernetes object"),
            "{text}: {}",
            damage(text)
        );
    }
    for (field, data) in [
        ("data", "text"),
        ("data", "[a]"),
        ("stringData", "12"),
        ("data", "yes"),
    ] {
        let why = damage(&format!("{}{field}: {data}\n", object("Secret", "a")));
        assert!(
            why.contains(&format!("{field} of Secret a is no map")),
            "{why}"
        );
    }
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":["x"]}"#;
    assert!(damage(json).contains("is no map"), "{}", damage(json));
}

#[test]
fn anchors_are_read_and_merge_keys_are_not() {
    let text = format!(
        "{}  labels: &l {{app: shop}}\n  annotations: *l\ndata: {{a: &v x, b: *v}}\n",
        object("ConfigMap", "a")
    );
    let found = examine(text.as_bytes(), None).expect("good");
    let values = &found.all[0].values;
    assert_eq!(values.get("a"), values.get("b"));
    assert!(values.get("a").is_some());
    let merged = format!("{}data:\n  <<: {{a: b}}\n", object("ConfigMap", "a"));
    assert!(matches!(check(&merged), Err(FormatError::CannotTell(_))));
    let itself = format!("{}spec: &a [*a]\n", object("ConfigMap", "a"));
    assert!(check(&itself).is_err());
}

#[test]
fn comments_may_stand_anywhere_and_be_very_many() {
    let comments = "# one\n".repeat(5_000);
    let map = object("ConfigMap", "a");
    assert_eq!(
        objects(&format!(
            "{comments}{map}{comments}data:\n{comments}  k: v\n"
        )),
        1
    );
    let list = format!(
        "{comments}apiVersion: v1\nkind: List\nitems:\n{comments}- {{apiVersion: v1, kind: Secret, metadata: {{name: a}}}}\n"
    );
    assert_eq!(objects(&list), 1);
}

#[test]
fn windows_programs_write_utf_16() {
    let little: Vec<u8> = LIST.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = [b"\xff\xfe", &little[..]].concat();
    let found = examine(&wide[..], Some(wide.len() as u64)).expect("good");
    assert_eq!(found.all.len(), 2);
    assert_eq!(objects(&LIST.replace('\n', "\r\n")), 2);
}

#[test]
fn something_with_items_that_is_no_list_is_one_object() {
    let text = "apiVersion: example.com/v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: \
                {name: b}}\n- {apiVersion: v1, kind: Secret}\nkind: Basket\nmetadata: {name: a}\n";
    let (_, message) = check(text).expect("good");
    assert!(message.contains("1 object (1 Basket)"), "{message}");
}

#[test]
fn objects_and_kinds_that_are_expected_are_there() {
    let found = examine(LIST.as_bytes(), None).expect("good").all;
    let judged = |expect: &[&str], resources: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let want = Expectations {
            expect: owned(expect),
            resources: owned(resources),
            ..Expectations::default()
        };
        let checks = expected_checks(&found, &want, "x");
        checks
            .into_iter()
            .map(|check| check.status)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        judged(
            &["Secret/database", "ConfigMap/*", "configmap/backend"],
            &[]
        ),
        [Status::Pass]
    );
    assert_eq!(judged(&["Secret/other"], &[]), [Status::Fail]);
    assert_eq!(judged(&["Ingress/*"], &[]), [Status::Fail]);
    assert_eq!(judged(&[], &["configmaps", "secrets"]), [Status::Pass]);
    assert_eq!(
        judged(&[], &["configmaps", "ingresses.networking.k8s.io"]),
        [Status::Fail]
    );
    assert_eq!(
        judged(&["Secret/x"], &["secrets"]),
        [Status::Fail, Status::Pass]
    );
}
