//! The HTTP server: who asks, on which wire, and what goes back.
//!
//! Owns routes, authentication and the connections. It listens on loopback only and starts no
//! tasks: all connections live in the one future that `serve` is, and end with it. Must not know
//! what a scenario says.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::deliver::{self, Body};
use super::exchange::{Ask, EPOCH, Refusal, digest};
use super::memory::{StateError, Store};
use super::stage::{Answer, Caller, Stage};
use super::{anthropic, openai, twist};
use crate::domain::chart::Wire;
use crate::domain::scenario::{Fault, Roster, Scenario};

/// Largest request, as Anthropic documents it.
const MAX_BODY: usize = 32 << 20;
/// Pause after a connection that could not be accepted, for want of descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Seconds of `retry-after` where a 429 names none.
const RETRY_AFTER: f64 = 1.0;
/// The models that are listed where no roster names any.
const MODELS: [&str; 2] = ["claude-opus-5-5", "gpt-6.2-sol"];
/// What a model is said to take and give, in tokens.
const MODEL_LIMITS: (u64, u64) = (1_000_000, 128_000);

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";

/// What the server is started with.
#[derive(Debug)]
pub struct Options {
    /// What is played.
    pub scenario: Scenario,
    /// The port on loopback; 0 takes any.
    pub port: u16,
    /// Where positions are kept: an existing directory (one file an agent), or a file; none keeps
    /// them in memory.
    pub state: Option<PathBuf>,
    /// What is known of the agents.
    pub roster: Roster,
    /// Milliseconds between two pieces of a stream; none leaves the scenario's.
    pub pace_ms: Option<u64>,
}

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum MockError {
    /// The port is taken, most likely.
    #[error("listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The positions cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Serves until dropped; `bound` gets the port once connections are taken.
///
/// # Errors
/// Where the port or the state cannot be had. Afterwards it does not fail.
pub async fn serve(options: Options, bound: impl FnOnce(u16)) -> Result<Infallible, MockError> {
    let Options {
        scenario,
        port,
        state,
        roster,
        pace_ms,
    } = options;
    let server = Server {
        pace: Duration::from_millis(pace_ms.unwrap_or(scenario.pace_ms)),
        stage: Mutex::new(Stage::open(scenario, roster, Store::at(state.as_deref()))?),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |source| MockError::Listen { port, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    bound(listener.local_addr().map_err(failed)?.port());
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.push(server.converse(stream)),
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
}

struct Server {
    stage: Mutex<Stage>,
    pace: Duration,
}

/// What is wanted of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Reply,
    Counting,
    Compaction,
}

/// What a path and method ask for.
enum Route {
    Reply(Wire),
    Compact,
    Count(Wire),
    Models,
    Model(String),
    Unknown(Wire),
}

fn route(method: &Method, path: &str) -> Route {
    match (method, path.trim_end_matches('/')) {
        (&Method::POST, "/v1/messages") => Route::Reply(Wire::Anthropic),
        (&Method::POST, "/v1/messages/count_tokens") => Route::Count(Wire::Anthropic),
        (&Method::POST, "/v1/responses/input_tokens" | "/responses/input_tokens") => {
            Route::Count(Wire::Openai)
        }
        (&Method::POST, "/v1/responses" | "/responses") => Route::Reply(Wire::Openai),
        (&Method::POST, "/v1/responses/compact" | "/responses/compact") => Route::Compact,
        (&Method::GET, "/v1/models" | "/models") => Route::Models,
        (&Method::GET, path) if path.starts_with("/v1/models/") => {
            Route::Model(path["/v1/models/".len()..].to_owned())
        }
        (_, path) if path.contains("/responses") => Route::Unknown(Wire::Openai),
        _ => Route::Unknown(Wire::Anthropic),
    }
}

/// The key that a request carries, in either vendor's header.
fn key(headers: &HeaderMap) -> Option<&str> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || header("authorization")?.strip_prefix("Bearer ");
    header("x-api-key")
        .or_else(bearer)
        .map(str::trim)
        .filter(|key| !key.is_empty())
}

impl Server {
    async fn converse(&self, stream: TcpStream) {
        // Deltas are smaller than a segment; without this each would wait for the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay not set");
        }
        let service = service_fn(async |request| Ok::<_, Infallible>(self.respond(request).await));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        // A client that goes away, and a cut that was asked for, end up here.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended early");
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let route = route(&parts.method, parts.uri.path());
        let Some(caller) = key(&parts.headers).map(Caller::of_key) else {
            let wire = match route {
                Route::Reply(wire) | Route::Count(wire) | Route::Unknown(wire) => wire,
                Route::Compact => Wire::Openai,
                Route::Models | Route::Model(_) => models_wire(&parts.headers),
            };
            return failure(wire, 401, None, None);
        };
        match route {
            Route::Unknown(wire) => failure(wire, 404, None, None),
            Route::Models => self.models(models_wire(&parts.headers)),
            Route::Model(id) => json_response(model(models_wire(&parts.headers), &id)),
            Route::Count(wire) => match read_body(body).await {
                Ok(bytes) => count(wire, &bytes, &parts.headers),
                Err(status) => failure(wire, status, None, None),
            },
            Route::Reply(wire) => match read_body(body).await {
                Ok(bytes) => {
                    let asked = Asked::Reply;
                    self.reply(wire, asked, &caller, &bytes, &parts.headers)
                        .await
                }
                Err(status) => failure(wire, status, None, None),
            },
            Route::Compact => match read_body(body).await {
                Ok(bytes) => {
                    let asked = Asked::Compaction;
                    self.reply(Wire::Openai, asked, &caller, &bytes, &parts.headers)
                        .await
                }
                Err(status) => failure(Wire::Openai, status, None, None),
            },
        }
    }

    async fn reply(
        &self,
        wire: Wire,
        asked: Asked,
        caller: &Caller,
        bytes: &[u8],
        headers: &HeaderMap,
    ) -> Response<Body> {
        let mut ask = match ask(wire, bytes, headers, asked == Asked::Counting) {
            Ok(ask) => ask,
            Err(refusal) => return failure(wire, refusal.status, Some(&refusal), None),
        };
        ask.compacts |= asked == Asked::Compaction;
        let text = String::from_utf8_lossy(bytes);
        let name = match wire {
            Wire::Anthropic => "anthropic",
            Wire::Openai if ask.compacts => "openai compaction",
            Wire::Openai => "openai",
        };
        let body = digest(&[name, &text]);
        // The position is on disk before this returns, and so before the first byte goes out.
        let answer = {
            let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
            stage.answer(caller, &ask, &body)
        };
        match answer {
            Ok(answer) => {
                deliver::delay(answer.fault.as_ref()).await;
                if asked == Asked::Compaction {
                    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
                    let users = openai::users(&body);
                    return json_response(openai::compacted(&answer.reply, users));
                }
                self.deliver(wire, &ask, &answer)
            }
            Err(error) => {
                tracing::error!(%error, "no reply");
                let message = format!("the mock failed to {error}");
                let refusal = Refusal {
                    status: 500,
                    code: None,
                    message,
                };
                failure(wire, 500, Some(&refusal), None)
            }
        }
    }

    fn deliver(&self, wire: Wire, ask: &Ask, answer: &Answer) -> Response<Body> {
        let Answer { reply, fault } = answer;
        let fault = fault.as_ref();
        if let Some(status) = fault.and_then(|fault| fault.status) {
            return failure(wire, status, None, fault);
        }
        let mut response = if ask.stream {
            let mut events = match wire {
                Wire::Anthropic => anthropic::events(reply),
                Wire::Openai => openai::events(reply),
            };
            if let Some(fault) = fault {
                let interruption = || match wire {
                    Wire::Anthropic => anthropic::interruption(),
                    Wire::Openai => openai::interruption(reply),
                };
                events = twist::twisted(wire, events, fault, interruption);
            }
            deliver::response(200, EVENTS, deliver::stream(events, fault, self.pace))
        } else {
            let whole = match wire {
                Wire::Anthropic => anthropic::whole(reply),
                Wire::Openai => openai::whole(reply),
            };
            let body = match fault {
                Some(_) => deliver::whole(&whole.to_string(), fault),
                None => deliver::plain(whole.to_string()),
            };
            deliver::response(200, JSON, body)
        };
        name_request(&mut response, wire, &reply.id);
        response
    }

    fn models(&self, wire: Wire) -> Response<Body> {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let mut models = stage.models();
        drop(stage);
        if models.is_empty() {
            models = MODELS.map(str::to_owned).into();
        }
        let data: Vec<Value> = models.iter().map(|id| model(wire, id)).collect();
        json_response(match wire {
            Wire::Anthropic => {
                let (first, last) = (models.first(), models.last());
                json!({"data": data, "has_more": false, "first_id": first, "last_id": last})
            }
            Wire::Openai => json!({"object": "list", "data": data}),
        })
    }
}

async fn read_body(body: Incoming) -> Result<Vec<u8>, u16> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes().to_vec()),
        Err(_) => Err(413),
    }
}

fn ask(wire: Wire, bytes: &[u8], headers: &HeaderMap, counting: bool) -> Result<Ask, Refusal> {
    let body: Value = serde_json::from_slice(bytes).map_err(|error| {
        Refusal::invalid(format!("The request body is not valid JSON: {error}"))
    })?;
    let text = String::from_utf8_lossy(bytes);
    match wire {
        Wire::Anthropic => {
            let version = headers
                .get("anthropic-version")
                .and_then(|value| value.to_str().ok());
            let betas = headers.get("anthropic-beta");
            let betas = betas.and_then(|value| value.to_str().ok());
            let told = anthropic::Told {
                version,
                betas: betas.unwrap_or_default(),
            };
            anthropic::read(&body, &text, told, counting)
        }
        Wire::Openai => openai::read(&body, &text),
    }
}

fn count(wire: Wire, bytes: &[u8], headers: &HeaderMap) -> Response<Body> {
    let tokens = match ask(wire, bytes, headers, true) {
        Ok(ask) => ask.tokens(),
        Err(refusal) => return failure(wire, refusal.status, Some(&refusal), None),
    };
    json_response(match wire {
        Wire::Anthropic => json!({"input_tokens": tokens}),
        Wire::Openai => json!({"object": "response.input_tokens", "input_tokens": tokens}),
    })
}

/// Both vendors list models at the same path; only Anthropic's clients name an API version.
fn models_wire(headers: &HeaderMap) -> Wire {
    if headers.contains_key("anthropic-version") {
        Wire::Anthropic
    } else {
        Wire::Openai
    }
}

fn model(wire: Wire, id: &str) -> Value {
    let (input, output) = MODEL_LIMITS;
    match wire {
        Wire::Anthropic => json!({
            "type": "model", "id": id, "display_name": id, "created_at": "2026-09-22T00:00:00Z",
            "lifecycle": "active", "max_input_tokens": input, "max_tokens": output,
        }),
        Wire::Openai => json!({"id": id, "object": "model", "created": EPOCH, "owned_by": "mock"}),
    }
}

fn json_response(value: Value) -> Response<Body> {
    deliver::response(200, JSON, deliver::plain(value.to_string()))
}

/// The vendor's error for a status.
fn failure(
    wire: Wire,
    status: u16,
    refusal: Option<&Refusal>,
    fault: Option<&Fault>,
) -> Response<Body> {
    let asked = fault.and_then(|fault| fault.retry_after);
    let code = fault.and_then(|fault| fault.code.as_deref());
    let wait = asked.or_else(|| (status == 429).then_some(RETRY_AFTER));
    let id = digest(&["failure", &status.to_string()]);
    let body = match wire {
        Wire::Anthropic => anthropic::error(status, refusal, code, &format!("req_{id}")),
        Wire::Openai => openai::error(status, refusal, code, wait),
    };
    let body = deliver::plain(body.to_string());
    let mut response = deliver::response(status, JSON, body);
    name_request(&mut response, wire, &id);
    if let Some(wait) = wait {
        let headers = response.headers_mut();
        // Whole seconds in the standard header, as HTTP has it; both vendors' own takes fractions.
        set(headers, "retry-after", &format!("{}", wait.ceil()));
        if wait.fract() > 0.0 {
            set(
                headers,
                "retry-after-ms",
                &format!("{}", (wait * 1000.0).round()),
            );
        }
    }
    response
}

fn name_request(response: &mut Response<Body>, wire: Wire, id: &str) {
    let name = match wire {
        Wire::Anthropic => "request-id",
        Wire::Openai => "x-request-id",
    };
    set(response.headers_mut(), name, &format!("req_{id}"));
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
