//! Up to the point where a server is ready for a mail. Nothing is delivered yet when this fails.

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::extension::ClientId;

use super::hello::hello;
use super::{Encryption, Mail};
use crate::delivery::{Answer, Watch};
use crate::template::line;

const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

impl Mail {
    /// Connects, encrypts and logs in.
    pub(super) async fn connect(&self, watch: &Watch) -> Result<AsyncSmtpConnection, Answer> {
        let proxy = self.proxy.as_ref();
        let next = proxy.map_or((self.host.as_str(), self.port), |proxy| {
            (proxy.host.as_str(), proxy.port)
        });
        let hello = within(watch, async {
            Ok(hello(self.hello.as_deref(), next).await)
        });
        let hello = hello.await.map_err(|error| self.broken("connect", error))?;
        let mut connection = self.greeted(watch, &hello).await?;
        if self.tls == Encryption::Starttls {
            if !connection.can_starttls() {
                return Err(Answer::refused(
                    "the server does not offer STARTTLS, \
                     and notify.mail.tls does not allow to go without",
                ));
            }
            let upgrade = connection.starttls(self.tls_parameters()?, &hello);
            self.step(watch, "STARTTLS", upgrade).await?;
        }
        if let Some(credentials) = &self.credentials {
            let login = connection.auth(&MECHANISMS, credentials);
            within(watch, login).await.map_err(login_failed)?;
        }
        Ok(connection)
    }

    /// A connection on which the server has answered EHLO.
    async fn greeted(
        &self,
        watch: &Watch,
        hello: &ClientId,
    ) -> Result<AsyncSmtpConnection, Answer> {
        if let Some(proxy) = &self.proxy {
            let tunnel = proxy.connect(&self.host, self.port);
            let tunnel = tokio::time::timeout(watch.step(), tunnel).await;
            let tunnel = tunnel.unwrap_or_else(|_| Err(self.broken("connect", None)))?;
            let greeting = AsyncSmtpConnection::connect_with_transport(tunnel, hello);
            return self.step(watch, "connect", greeting).await;
        }
        let at_once = match self.tls {
            Encryption::Tls => Some(self.tls_parameters()?),
            Encryption::Starttls | Encryption::None => None,
        };
        let server = (self.host.as_str(), self.port);
        let limit = Some(watch.step());
        let connecting = AsyncSmtpConnection::connect_tokio1(server, limit, hello, at_once, None);
        self.step(watch, "connect", connecting).await
    }

    fn tls_parameters(&self) -> Result<TlsParameters, Answer> {
        let error = |error: Error| Answer::refused(format!("cannot set up TLS: {error}"));
        let mut builder: TlsParametersBuilder = TlsParameters::builder(self.host.clone());
        if let Some(pem) = &self.ca {
            builder = builder
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(pem).map_err(error)?);
        }
        builder.build_rustls().map_err(error)
    }

    /// A step before the message is sent.
    pub(super) async fn step<T>(
        &self,
        watch: &Watch,
        name: &str,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Answer> {
        let done = within(watch, step).await;
        done.map_err(|error| self.broken(name, error))
    }

    /// What an error before the message was sent means: only the server's plain no is final.
    pub(super) fn broken(&self, step: &str, error: Option<Error>) -> Answer {
        match error {
            Some(error) if error.is_permanent() => {
                Answer::refused(format!("{step}: {}", self.reply(&error)))
            }
            Some(error) => Answer::later(format!("{step}: {}", self.reply(&error))),
            None => Answer::later(format!("{step}: no answer in time")),
        }
    }

    /// The server's answer, or what went wrong, in one line and without the password.
    pub(super) fn reply(&self, error: &Error) -> String {
        line(&self.scrub.clean(&error.to_string()))
    }
}

/// Waits for a step of the dialogue; `None` is a time-out.
pub(super) async fn within<T>(
    watch: &Watch,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Option<Error>> {
    match tokio::time::timeout(watch.step(), step).await {
        Ok(result) => result.map_err(Some),
        Err(_) => Err(None),
    }
}

/// What a login that failed means. The server's words are left out: they could repeat what was sent
/// to it.
fn login_failed(error: Option<Error>) -> Answer {
    let code = |error: &Error| {
        let code = error.status();
        code.map_or_else(|| "no code".to_owned(), |code| code.to_string())
    };
    match error {
        Some(error) if error.is_permanent() => {
            Answer::refused(format!("the login is refused ({})", code(&error)))
        }
        Some(error) if error.is_transient() => {
            Answer::later(format!("the login is put off ({})", code(&error)))
        }
        Some(error) if error.is_client() => {
            Answer::refused("the server offers no login that this tool knows (PLAIN, LOGIN)")
        }
        _ => Answer::later("the connection broke during the login"),
    }
}
