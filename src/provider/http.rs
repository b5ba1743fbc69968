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
use super::{Asking, Decoder, Detour, Provider};
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
    detour: Detour,
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
        Self::behind(Detour::default())
    }

    /// The same, with a way to the world.
    #[must_use]
    pub fn behind(detour: Detour) -> Self {
        let limits = Limits {
            connect: CONNECT,
            silence: SILENCE,
            reply: REPLY_BYTES,
        };
        Self {
            detour,
            ..Self::limited(limits)
        }
    }

    fn limited(limits: Limits) -> Self {
        Self {
            limits,
            detour: Detour::default(),
            near: OnceLock::new(),
            plain: OnceLock::new(),
            secure: OnceLock::new(),
        }
    }

    /// Asks for the next step of a conversation, as [`Client::send`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn exchange(
        &self,
        provider: &dyn Provider,
        base_url: &str,
        key: Option<&str>,
        body: Vec<u8>,
        on_delta: &mut (dyn FnMut(Delta) + Send),
    ) -> Result<Reply, ProviderError> {
        let asking = Asking {
            path: provider.path(),
            headers: Vec::new(),
            body,
        };
        self.send(provider, base_url, key, asking, on_delta).await
    }

    /// Asks once, and hands on what streams in until the whole reply is there.
    ///
    /// May be dropped at any await; the server then sees the connection close.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or breaks off. What was handed on until then must
    /// not be used.
    pub async fn send(
        &self,
        provider: &dyn Provider,
        base_url: &str,
        key: Option<&str>,
        asking: Asking,
        on_delta: &mut (dyn FnMut(Delta) + Send),
    ) -> Result<Reply, ProviderError> {
        let Asking {
            path,
            headers: more,
            body,
        } = asking;
        let (url, route) = address(base_url, path)?;
        let mut all = headers(provider.headers(key))?;
        all.extend(headers(more)?);
        let headers = all;
        let request = self.route(route)?.post(url).headers(headers).body(body);
        let response = request
            .send()
            .await
            .map_err(|error| broken(error, base_url))?;
        if response.status().as_u16() != 200 {
            return Err(refused(provider, response, base_url).await);
        }
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/json")) {
            let text = whole(response, self.limits.reply, base_url).await?;
            return provider.whole(&text);
        }
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
        let built = build(route, &self.limits, &self.detour)?;
        Ok(cell.get_or_init(|| built))
    }
}

fn build(route: Route, limits: &Limits, detour: &Detour) -> Result<reqwest::Client, ProviderError> {
    let failed = |message: &str| ProviderError::Connect {
        message: plain(message),
    };
    let builder = reqwest::Client::builder()
        .user_agent(concat!("org/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .read_timeout(limits.silence)
        // A key goes to the server that the chart names, and nowhere else.
        .redirect(redirect::Policy::none());
    let ring = rustls::crypto::ring::default_provider();
    let way = |builder, secure| {
        let taken = detour.take(builder, secure);
        taken.map_err(|error| failed(&error.to_string()))
    };
    let builder = match route {
        Route::Secure => {
            // Someone may have installed one already; that one serves as well.
            let _already = ring.install_default();
            way(builder, true)?
        }
        Route::Near => builder
            .no_proxy()
            .tls_backend_preconfigured(trusting_nobody(ring)),
        Route::Plain => way(
            builder.tls_backend_preconfigured(trusting_nobody(ring)),
            false,
        )?,
    };
    builder.build().map_err(|error| failed(&root(&error)))
}

/// All of a body that is one text.
async fn whole(
    mut response: Response,
    limit: usize,
    base_url: &str,
) -> Result<String, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| broken(e, base_url))? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            return Err(ProviderError::Malformed {
                message: format!("more than {limit} bytes in one reply"),
            });
        }
    }
    String::from_utf8(body).map_err(|error| ProviderError::Malformed {
        message: error.to_string(),
    })
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

async fn refused(provider: &dyn Provider, mut response: Response, base_url: &str) -> ProviderError {
    let status = response.status().as_u16();
    if response.status().is_redirection() {
        let to = response.headers().get("location");
        let to = to.and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
        // A key goes to the server that the chart names, and nowhere else.
        let message =
            format!("{base_url} redirects to {to} (HTTP {status}), which is not followed");
        return ProviderError::BadRequest {
            message: plain(&message),
        };
    }
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

#[cfg(test)]
mod tests {
    use std::future::Future;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::*;
    use crate::domain::chart::Wire;
    use crate::provider::provider;

    const SAY: &[u8] = include_bytes!("../../tests/fixtures/sse/orgmock_anthropic_say.http");
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
        transfer-encoding: chunked\r\n\r\n";

    /// A server on our own machine, and its base URL.
    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, url)
    }

    /// The next request on a connection; empty where the client has left.
    async fn request(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 1_024];
            let count = stream.read(&mut piece).await.unwrap_or(0);
            bytes.extend_from_slice(&piece[..count]);
            let text = String::from_utf8(bytes.clone()).unwrap();
            let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                body.len() == length.unwrap().parse::<usize>().unwrap()
            });
            if whole || count == 0 {
                return text;
            }
        }
    }

    async fn chunk(stream: &mut TcpStream, bytes: &[u8]) {
        stream
            .write_all(format!("{:x}\r\n", bytes.len()).as_bytes())
            .await
            .unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }

    fn said() -> &'static [u8] {
        let at = SAY.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        &SAY[at + 4..]
    }

    /// Compiles only where an exchange may move between threads.
    fn movable<F: Future + Send>(future: F) -> F {
        future
    }

    async fn ask(client: &Client, url: &str) -> Result<Reply, ProviderError> {
        let anthropic = provider(Wire::Anthropic);
        let body = br#"{"a":1}"#.to_vec();
        movable(client.exchange(&*anthropic, url, Some("k"), body, &mut |_| ())).await
    }

    /// What a client makes of a server that does this on its first connection.
    async fn against<F: Future<Output = ()>>(
        client: Client,
        serve: impl FnOnce(TcpStream) -> F,
    ) -> Result<Reply, ProviderError> {
        let (listener, url) = listen().await;
        let (reply, ()) = tokio::join!(ask(&client, &url), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            serve(stream).await;
        });
        reply
    }

    fn impatient() -> Client {
        let silence = Duration::from_millis(40);
        Client::limited(Limits {
            connect: CONNECT,
            silence,
            reply: 600,
        })
    }

    #[tokio::test]
    async fn a_reply_in_small_pieces_is_read_and_its_connection_used_again() {
        let (listener, url) = listen().await;
        let client = Client::new();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            for size in [3, 1] {
                let asked = request(&mut stream).await;
                assert!(
                    asked.starts_with("POST /v1/messages HTTP/1.1\r\n"),
                    "{asked}"
                );
                assert!(asked.contains("\r\nx-api-key: k\r\n"), "{asked}");
                assert!(asked.ends_with("\r\n\r\n{\"a\":1}"), "{asked}");
                stream.write_all(HEAD.as_bytes()).await.unwrap();
                for piece in said().chunks(size) {
                    chunk(&mut stream, piece).await;
                }
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        };
        let asking = async { [ask(&client, &url).await, ask(&client, &url).await] };
        let (replies, ()) = tokio::join!(asking, serve);
        for reply in replies {
            assert_eq!(reply.unwrap().text, "héllo 🧪");
        }
    }

    #[tokio::test]
    async fn a_server_that_keeps_the_body_open_after_the_end_is_not_waited_for() {
        let reply = against(Client::new(), async |mut stream| {
            stream.write_all(HEAD.as_bytes()).await.unwrap();
            chunk(&mut stream, said()).await;
            assert_eq!(request(&mut stream).await, "", "the client leaves");
        });
        assert_eq!(reply.await.unwrap().text, "héllo 🧪");
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_a_cut() {
        let reply = against(Client::new(), async |mut stream| {
            stream.write_all(HEAD.as_bytes()).await.unwrap();
            chunk(&mut stream, &said()[..700]).await;
        });
        assert_eq!(reply.await.unwrap_err().kind(), "cut");
        let reply = against(Client::new(), async |stream| drop(stream));
        assert_eq!(reply.await.unwrap_err().kind(), "cut");
        let reply = against(Client::new(), async |mut stream| {
            stream.write_all(HEAD.as_bytes()).await.unwrap();
            chunk(&mut stream, &said()[..700]).await;
            stream.write_all(b"0\r\n\r\n").await.unwrap();
        });
        assert_eq!(
            reply.await.unwrap_err().kind(),
            "cut",
            "an end without message_stop"
        );
    }

    #[tokio::test]
    async fn silence_before_and_within_a_reply_is_a_timeout() {
        for begun in [false, true] {
            let reply = against(impatient(), async |mut stream| {
                if begun {
                    stream.write_all(HEAD.as_bytes()).await.unwrap();
                    chunk(&mut stream, &said()[..300]).await;
                }
                assert_eq!(request(&mut stream).await, "", "the client leaves");
            });
            assert_eq!(reply.await.unwrap_err().kind(), "timeout", "begun: {begun}");
        }
    }

    #[tokio::test]
    async fn an_endless_reply_is_left() {
        let reply = against(impatient(), async |mut stream| {
            stream.write_all(HEAD.as_bytes()).await.unwrap();
            chunk(&mut stream, said()).await;
        });
        assert_eq!(reply.await.unwrap_err().kind(), "malformed");
    }

    #[tokio::test]
    async fn refusals_and_strangers_are_told_apart() {
        for (answer, want, wait) in [
            (
                "429 Slow\r\nRetry-After: 2\r\ncontent-length: 0\r\n\r\n",
                "rate_limited",
                Some(2.0),
            ),
            (
                "529 Busy\r\ncontent-length: 99\r\n\r\nbroken off",
                "overloaded",
                None,
            ),
            (
                "302 Found\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n",
                "bad_request",
                None,
            ),
            (
                "200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi",
                "malformed",
                None,
            ),
        ] {
            let reply = against(Client::new(), async |mut stream| {
                stream
                    .write_all(format!("HTTP/1.1 {answer}").as_bytes())
                    .await
                    .unwrap();
            });
            let error = reply.await.unwrap_err();
            assert_eq!(
                (error.kind(), error.retry_after()),
                (want, wait),
                "{answer}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn a_dropped_exchange_closes_its_connection() {
        let (listener, url) = listen().await;
        let begun = Notify::new();
        let client = Client::new();
        let anthropic = provider(Wire::Anthropic);
        let mut on_delta = |_| begun.notify_one();
        let asking = async {
            let exchange = client.exchange(&*anthropic, &url, None, vec![b' '], &mut on_delta);
            tokio::select! {
                reply = exchange => panic!("it ended by itself: {reply:?}"),
                () = begun.notified() => {}
            }
        };
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            stream.write_all(HEAD.as_bytes()).await.unwrap();
            chunk(&mut stream, &said()[..900]).await;
            assert_eq!(request(&mut stream).await, "", "the client leaves");
        };
        tokio::join!(asking, serve);
    }

    #[tokio::test]
    async fn what_cannot_be_reached_or_sent_says_so() {
        let (listener, url) = listen().await;
        drop(listener);
        let refused = ask(&Client::new(), &url).await.unwrap_err();
        assert_eq!(refused.kind(), "connect");
        assert!(refused.to_string().contains(&url), "{refused}");
        let secure = ask(&Client::new(), &url.replace("http:", "https:"))
            .await
            .unwrap_err();
        assert_eq!(secure.kind(), "connect", "{secure}");
        for bad in ["ftp://x", "localhost:80", ""] {
            assert_eq!(
                ask(&Client::new(), bad).await.unwrap_err().kind(),
                "bad_request",
                "{bad}"
            );
        }
        let openai = provider(Wire::Openai);
        let broken = Client::new();
        let broken = broken
            .exchange(&*openai, &url, Some("a\nb"), vec![], &mut |_| ())
            .await;
        assert_eq!(broken.unwrap_err().kind(), "key_refused");
    }

    #[test]
    fn only_our_own_machine_goes_without_proxies_and_only_https_with_certificates() {
        for (url, want) in [
            ("http://127.0.0.1:8000/v1/", Route::Near),
            ("http://localhost", Route::Near),
            ("http://[::1]:80", Route::Near),
            ("http://gpu7:8000/v1", Route::Plain),
            ("https://api.openai.com/v1", Route::Secure),
        ] {
            assert!(address(url, "/responses").unwrap().1 == want, "{url}");
        }
        let (url, _) = address("http://127.0.0.1:8000/v1/", "/responses").unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8000/v1/responses");
    }
}
