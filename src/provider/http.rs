//! The one place where models are spoken to over a network.
//!
//! Owns connections, their limits, and the framing of server-sent events. Exists apart so that the
//! wires stay pure. Dropping an exchange in flight closes its connection, which ends the generation
//! at the vendor; nothing here outlives it. Must not retry: who asks knows what a second try costs.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::{Stream, StreamExt};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, Url, redirect};

use super::error::{ProviderError, plain};
use super::{Decoder, Provider};
use crate::domain::chat::{Delta, Reply};

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(15);
/// How long nothing may come. OpenAI sends nothing while a model reasons, so this is long.
const SILENCE: Duration = Duration::from_secs(300);
/// How long to wait for the end of a body after its last event, so that the connection can be used
/// again; it costs nothing with servers that end their replies.
const PARTING: Duration = Duration::from_millis(100);
/// Most bytes of one streamed reply: far above what the longest reply takes.
const REPLY_BYTES: usize = 256 << 20;
/// Most bytes read of a refusal.
const REFUSAL_BYTES: usize = 64 << 10;

/// Speaks to model servers, and keeps connections for the next exchange.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    /// For our own machine: no proxy, no certificates.
    near: OnceLock<reqwest::Client>,
    /// For `http://` elsewhere: no certificates, whose loading takes 56 ms.
    plain: OnceLock<reqwest::Client>,
    /// For `https://`.
    secure: OnceLock<reqwest::Client>,
}

#[derive(Debug)]
struct Limits {
    connect: Duration,
    silence: Duration,
    reply: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Route {
    Near,
    Plain,
    Secure,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client without connections. Costs nothing until it is used.
    #[must_use]
    pub fn new() -> Self {
        Self::limited(Limits {
            connect: CONNECT,
            silence: SILENCE,
            reply: REPLY_BYTES,
        })
    }

    fn limited(limits: Limits) -> Self {
        Self {
            limits,
            near: OnceLock::new(),
            plain: OnceLock::new(),
            secure: OnceLock::new(),
        }
    }

    /// Asks once, and hands on what streams in until the whole reply is there.
    ///
    /// May be dropped at any await; the server then sees the connection close.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or breaks off. What was handed on until then must
    /// not be used.
    pub async fn exchange(
        &self,
        provider: &dyn Provider,
        base_url: &str,
        key: Option<&str>,
        body: Vec<u8>,
        on_delta: &mut (dyn FnMut(Delta) + Send),
    ) -> Result<Reply, ProviderError> {
        let (url, route) = address(base_url, provider.path())?;
        let headers = headers(provider.headers(key))?;
        let request = self.route(route)?.post(url).headers(headers).body(body);
        let response = request
            .send()
            .await
            .map_err(|error| broken(error, base_url))?;
        if response.status().as_u16() != 200 {
            return Err(refused(provider, response).await);
        }
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        if let Some(kind) = kind.filter(|kind| !kind.contains("event-stream")) {
            let message = plain(&format!(
                "{base_url} answered with {kind} in place of a stream"
            ));
            return Err(ProviderError::Malformed { message });
        }
        let bytes = response
            .bytes_stream()
            .map(|chunk| chunk.map_err(|e| broken(e, base_url)));
        fold(bytes, self.limits.reply, provider.decoder(), on_delta).await
    }

    fn route(&self, route: Route) -> Result<&reqwest::Client, ProviderError> {
        let cell = match route {
            Route::Near => &self.near,
            Route::Plain => &self.plain,
            Route::Secure => &self.secure,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        // A failure is not kept: certificates may be installed meanwhile.
        let built = build(route, &self.limits).map_err(|error| ProviderError::Connect {
            message: plain(&root(&error)),
        })?;
        Ok(cell.get_or_init(|| built))
    }
}

fn build(route: Route, limits: &Limits) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("org/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .read_timeout(limits.silence)
        // A key goes to the server that the chart names, and nowhere else.
        .redirect(redirect::Policy::none());
    let ring = rustls::crypto::ring::default_provider();
    match route {
        Route::Secure => {
            // Someone may have installed one already; that one serves as well.
            let _already = ring.install_default();
            builder.build()
        }
        Route::Near => builder
            .no_proxy()
            .tls_backend_preconfigured(trusting_nobody(ring))
            .build(),
        Route::Plain => builder
            .tls_backend_preconfigured(trusting_nobody(ring))
            .build(),
    }
}

/// The TLS of a client that never uses it. `reqwest` would load the system's certificates otherwise.
fn trusting_nobody(ring: rustls::crypto::CryptoProvider) -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(ring))
        .with_safe_default_protocol_versions()
        .expect("ring serves rustls' default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

fn address(base_url: &str, path: &str) -> Result<(Url, Route), ProviderError> {
    let bad = |why: &str| ProviderError::BadRequest {
        message: plain(&format!("base_url {base_url:?}: {why}")),
    };
    let url = format!("{}{path}", base_url.trim_end_matches('/'));
    let url = Url::parse(&url).map_err(|error| bad(&error.to_string()))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let near = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let route = match url.scheme() {
        "https" => Route::Secure,
        "http" if near => Route::Near,
        "http" => Route::Plain,
        _ => return Err(bad("it must begin with https:// or http://")),
    };
    Ok((url, route))
}

fn headers(pairs: Vec<(&'static str, String)>) -> Result<HeaderMap, ProviderError> {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let mut value = HeaderValue::from_str(&value).map_err(|_| ProviderError::KeyRefused {
            message: format!("what would go into {name} has a line break or the like in it"),
        })?;
        value.set_sensitive(matches!(name, "x-api-key" | "authorization"));
        map.insert(HeaderName::from_static(name), value);
    }
    Ok(map)
}

async fn refused(provider: &dyn Provider, mut response: Response) -> ProviderError {
    let status = response.status().as_u16();
    let headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let mut body = Vec::new();
    // The status alone says much, so a body that breaks off is read as far as it came.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(REFUSAL_BYTES - body.len())]);
        if body.len() == REFUSAL_BYTES {
            break;
        }
    }
    provider.refusal(status, &headers, &body)
}

/// Reads a body as server-sent events until the reply is whole.
pub(super) async fn fold<S, B>(
    bytes: S,
    limit: usize,
    mut decoder: Box<dyn Decoder>,
    on_delta: &mut (dyn FnMut(Delta) + Send),
) -> Result<Reply, ProviderError>
where
    S: Stream<Item = Result<B, ProviderError>> + Send,
    B: AsRef<[u8]> + Send,
{
    let mut events = pin!(capped(bytes, limit).eventsource());
    while !decoder.done() {
        let Some(event) = events.next().await else {
            break;
        };
        for delta in decoder.event(&event.map_err(unframed)?.data)? {
            on_delta(delta);
        }
    }
    if decoder.done() {
        let rest = async { while events.next().await.is_some_and(|event| event.is_ok()) {} };
        // Whether the body ends in time only decides if the connection is kept.
        let _ended = tokio::time::timeout(PARTING, rest).await;
    }
    decoder.finish()
}

/// The same bytes, and an error in place of those above the limit.
fn capped<S, B>(bytes: S, limit: usize) -> impl Stream<Item = Result<B, ProviderError>> + Send
where
    S: Stream<Item = Result<B, ProviderError>> + Send,
    B: AsRef<[u8]> + Send,
{
    let mut left = limit;
    bytes.map(move |chunk| {
        let chunk = chunk?;
        left = left
            .checked_sub(chunk.as_ref().len())
            .ok_or_else(|| ProviderError::Malformed {
                message: format!("more than {limit} bytes in one reply"),
            })?;
        Ok(chunk)
    })
}

fn unframed(error: EventStreamError<ProviderError>) -> ProviderError {
    match error {
        EventStreamError::Transport(error) => error,
        // The body ended within a character.
        EventStreamError::Utf8(error) if error.utf8_error().error_len().is_none() => {
            ProviderError::Cut {
                message: "it ended within a character".to_owned(),
            }
        }
        EventStreamError::Utf8(error) => ProviderError::Malformed {
            message: error.to_string(),
        },
        EventStreamError::Parser(error) => ProviderError::Malformed {
            message: plain(&format!("no event stream: {error}")),
        },
    }
}

/// What a failure of the connection means.
fn broken(error: reqwest::Error, base_url: &str) -> ProviderError {
    let message = plain(&format!("{base_url}: {}", root(&error)));
    if error.is_connect() {
        ProviderError::Connect { message }
    } else if error.is_timeout() {
        ProviderError::Timeout { message }
    } else if error.is_builder() {
        ProviderError::BadRequest { message }
    } else {
        ProviderError::Cut { message }
    }
}

/// The innermost cause; the outer ones only say that a request failed.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
