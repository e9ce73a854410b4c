//! `drill.url`: a PostgreSQL by its URL, for PostgreSQL's own programs.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// Where a server is, and how to log in.
#[derive(Debug)]
pub(super) struct ServerUrl {
    /// What PostgreSQL's programs are told through the environment.
    pub(super) env: BTreeMap<String, String>,
    /// The database to ask in first.
    pub(super) database: String,
}

/// Why a URL is not used. No part of it is told: it may hold a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlError {
    #[error("it cannot be read")]
    Unreadable,
    #[error("it does not begin with postgres://")]
    Scheme,
    #[error("it is not well escaped")]
    Escapes,
    #[error("its parameter {0:?} is not known here")]
    Parameter(String),
}

impl ServerUrl {
    /// Reads a URL.
    pub(super) fn parse(url: &str) -> Result<ServerUrl, UrlError> {
        let url: Url = url.parse().map_err(|_| UrlError::Unreadable)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(UrlError::Scheme);
        }
        let host = url.host_str().unwrap_or("localhost");
        let mut env = BTreeMap::from([
            ("PGHOST".to_owned(), plain(host.trim_matches(['[', ']']))?),
            ("PGPORT".to_owned(), url.port().unwrap_or(5432).to_string()),
        ]);
        for (name, value) in [
            ("PGUSER", url.username()),
            ("PGPASSWORD", url.password().unwrap_or_default()),
        ] {
            if !value.is_empty() {
                env.insert(name.to_owned(), plain(value)?);
            }
        }
        for (key, value) in url.query_pairs() {
            let name = match key.as_ref() {
                "sslmode" => "PGSSLMODE",
                "sslrootcert" => "PGSSLROOTCERT",
                "host" => "PGHOST",
                other => return Err(UrlError::Parameter(other.to_owned())),
            };
            env.insert(name.to_owned(), value.into_owned());
        }
        let database = plain(url.path().trim_start_matches('/'))?;
        let first = if database.is_empty() {
            "postgres".to_owned()
        } else {
            database
        };
        Ok(ServerUrl {
            env,
            database: first,
        })
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        format!(
            "PostgreSQL at {}:{}",
            self.env["PGHOST"], self.env["PGPORT"]
        )
    }
}

/// Text of a URL in which `%41` stands for `A`. A `%` that begins no escape is a mistake: a
/// password would be another than the one that is meant.
fn plain(text: &str) -> Result<String, UrlError> {
    let escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(escape) {
        return Err(UrlError::Escapes);
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| UrlError::Escapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_url_are_read() {
        assert_eq!(plain("p%40ss%2Fw").as_deref(), Ok("p@ss/w"));
        for bad in ["%4", "%zz", "a%", "%ff"] {
            assert_eq!(plain(bad), Err(UrlError::Escapes), "{bad}");
        }
    }

    #[test]
    fn a_url_becomes_what_programs_are_told() {
        let url = "postgres://me:p%40ss@[::1]:5433/shop?sslmode=require";
        let parsed = ServerUrl::parse(url).expect("a URL");
        let env: Vec<_> = parsed.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            env,
            [
                "PGHOST=::1",
                "PGPASSWORD=p@ss",
                "PGPORT=5433",
                "PGSSLMODE=require",
                "PGUSER=me"
            ]
        );
        assert_eq!(parsed.database, "shop");
        assert_eq!(parsed.name(), "PostgreSQL at ::1:5433");
        let wrong = |url| ServerUrl::parse(url).expect_err("wrong");
        assert_eq!(wrong("mysql://x"), UrlError::Scheme);
        assert_eq!(wrong("no url"), UrlError::Unreadable);
        let parameter = UrlError::Parameter("options".to_owned());
        assert_eq!(wrong("postgres://x/?options=1"), parameter);
    }
}
