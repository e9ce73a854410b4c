//! How an HTTP server that wants to know who asks is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Credential;
use super::misfit::Misfit;

/// Certificates, credentials and headers of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpAccess {
    /// File with the certificates that are trusted instead of the system's, in PEM.
    pub ca: Option<PathBuf>,
    /// Our own certificate, and its key.
    pub identity: Option<Identity>,
    /// Who we say that we are.
    pub login: Option<Login>,
    /// Headers of every request.
    pub headers: BTreeMap<String, HeaderText>,
}

/// A certificate that we show, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// File with the certificate and those that lead to its authority.
    pub certificate: PathBuf,
    /// File with its key.
    pub key: PathBuf,
}

impl Identity {
    /// Of the keys `certificate` and `key` of a table: both or none.
    pub(super) fn of(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Identity>, Misfit> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Identity { certificate, key })),
            (None, None) => Ok(None),
            _ => Err(Misfit::new(
                "certificate and key go together: one without the other is of no use",
            )),
        }
    }

    pub(super) fn files_mut(&mut self) -> [&mut PathBuf; 2] {
        [&mut self.certificate, &mut self.key]
    }
}

/// What goes into the header `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Login {
    /// `Bearer TOKEN`
    Bearer(Credential),
    /// `Basic`, a user and a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Credential,
    },
}

impl Login {
    /// Of the keys of a table: a token, or a user with a password, or neither.
    pub(super) fn of(
        token: Option<Credential>,
        user: Option<String>,
        password: Option<Credential>,
    ) -> Result<Option<Login>, Misfit> {
        match (token, user, password) {
            (None, None, None) => Ok(None),
            (Some(token), None, None) => Ok(Some(Login::Bearer(token))),
            (None, Some(user), Some(password)) => Ok(Some(Login::Basic { user, password })),
            (None, ..) => Err(Misfit::new(
                "user and password go together: one without the other is of no use",
            )),
            (Some(_), ..) => Err(Misfit::new(
                "token and user exclude each other: there is one Authorization",
            )),
        }
    }

    pub(super) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Login::Bearer(secret) => secret.file_mut(),
            Login::Basic { password, .. } => password.file_mut(),
        }
    }
}

/// The value of a header: a text, or a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderText {
    /// As it stands.
    Plain(String),
    /// A secret.
    Secret(Credential),
}

impl HttpAccess {
    /// All files that it names.
    pub(super) fn files_mut(&mut self) -> Vec<&mut PathBuf> {
        let identity = self.identity.iter_mut().flat_map(Identity::files_mut);
        let headers = self.headers.values_mut().filter_map(|value| match value {
            HeaderText::Secret(secret) => secret.file_mut(),
            HeaderText::Plain(_) => None,
        });
        let login = self.login.iter_mut().filter_map(Login::file_mut);
        let ca = self.ca.iter_mut();
        ca.chain(identity).chain(login).chain(headers).collect()
    }

    /// The credentials in it.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        let login = self.login.iter().map(|login| match login {
            Login::Bearer(secret) => secret,
            Login::Basic { password, .. } => password,
        });
        let headers = self.headers.values().filter_map(|value| match value {
            HeaderText::Secret(secret) => Some(secret),
            HeaderText::Plain(_) => None,
        });
        login.chain(headers)
    }

    /// Whether it can't be used through something that speaks HTTP itself, such as the API server,
    /// which keeps `Authorization` and certificates to itself.
    pub fn wants_own_connection(&self) -> bool {
        self.login.is_some() || self.identity.is_some()
    }
}
