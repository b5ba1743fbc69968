//! How this machine reaches the world: proxies, and the certificates of those that look inside.
//!
//! Owns their names in an environment and their use; read once at `up` and handed on with the keys,
//! since a proxy's address may carry a password, and nothing of a run has the caller's environment.
//! Must not know models.

use std::fmt;
use std::path::PathBuf;

use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy};
use serde::{Deserialize, Serialize};

/// Proxies and certificates, as the usual variables name them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detour {
    http: Option<String>,
    https: Option<String>,
    all: Option<String>,
    none: Option<String>,
    certificates: Option<PathBuf>,
}

impl fmt::Debug for Detour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Detour")
    }
}

/// A variable that says what cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DetourError {
    /// Not the address of a proxy.
    #[error("the proxy that {0} names is no address")]
    Proxy(&'static str, #[source] reqwest::Error),
    /// Not a file of certificates.
    #[error("the certificates of SSL_CERT_FILE cannot be used: {0}")]
    Certificates(String),
}

impl Detour {
    /// What an environment says. `env` looks a variable up; small letters count, as with curl.
    #[must_use]
    pub fn of(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let small = env(&name.to_ascii_lowercase());
            small
                .or_else(|| env(name))
                .filter(|value| !value.is_empty())
        };
        Self {
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            all: either("ALL_PROXY"),
            none: either("NO_PROXY"),
            certificates: env("SSL_CERT_FILE").map(PathBuf::from),
        }
    }

    /// Sends what a client asks this way. `secure`: it will speak TLS.
    ///
    /// # Errors
    /// [`DetourError`], which names the variable.
    pub(super) fn take(
        &self,
        builder: ClientBuilder,
        secure: bool,
    ) -> Result<ClientBuilder, DetourError> {
        let near = self.none.as_deref().and_then(NoProxy::from_string);
        let (name, url) = match (secure, &self.https, &self.http, &self.all) {
            (true, Some(url), ..) => ("HTTPS_PROXY", Some(url)),
            (false, _, Some(url), _) => ("HTTP_PROXY", Some(url)),
            (_, _, _, all) => ("ALL_PROXY", all.as_ref()),
        };
        let mut builder = builder.no_proxy();
        if let Some(url) = url {
            let proxy = Proxy::all(url).map_err(|error| DetourError::Proxy(name, error))?;
            builder = builder.proxy(proxy.no_proxy(near));
        }
        if let Some(file) = self.certificates.as_ref().filter(|_| secure) {
            let why = |error: &dyn fmt::Display| {
                DetourError::Certificates(format!("{}: {error}", file.display()))
            };
            let pem = std::fs::read(file).map_err(|error| why(&error))?;
            let all = Certificate::from_pem_bundle(&pem).map_err(|error| why(&error))?;
            builder = builder.tls_certs_merge(all);
        }
        Ok(builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detour(pairs: &[(&str, &str)]) -> Detour {
        Detour::of(&|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_usual_variables_are_understood() {
        let both = detour(&[
            ("HTTPS_PROXY", "http://big:1"),
            ("https_proxy", "http://small:1"),
        ]);
        assert_eq!(both.https.as_deref(), Some("http://small:1"));
        assert_eq!(detour(&[("http_proxy", "")]), Detour::default());
        let json = serde_json::to_string(&both).expect("plain data");
        assert_eq!(
            serde_json::from_str::<Detour>(&json).expect("its own"),
            both
        );
        assert_eq!(
            format!("{both:?}"),
            "Detour",
            "a proxy's password is not shown"
        );
        let bad = detour(&[("ALL_PROXY", "http://[")]);
        let refused = bad.take(reqwest::Client::builder(), true);
        assert!(
            refused
                .expect_err("no address")
                .to_string()
                .contains("ALL_PROXY")
        );
        let missing = detour(&[("SSL_CERT_FILE", "/nowhere.pem")]);
        assert!(missing.take(reqwest::Client::builder(), false).is_ok());
        let refused = missing.take(reqwest::Client::builder(), true);
        assert!(
            refused
                .expect_err("no file")
                .to_string()
                .contains("/nowhere.pem")
        );
    }
}
