//! How a reply's bytes leave the server, faults included.
//!
//! Owns pace, silence, odd chunks, and broken ends. Must not know what the bytes say.

use std::time::Duration;

use futures_util::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};

use super::exchange::Event;
use crate::domain::scenario::Fault;

/// How long a cut waits, so that what stands before it is on its way.
const CUT_GRACE: Duration = Duration::from_millis(20);

/// A body whose connection is cut.
#[derive(Debug, thiserror::Error)]
#[error("cut the connection, as the scenario asks")]
pub(super) struct Cut;

/// The body of every response.
pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

/// A body that goes out at once.
pub(super) fn plain(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A stream of events.
pub(super) fn stream(events: Vec<Event>, fault: Option<&Fault>, pace: Duration) -> Body {
    let fault = fault.cloned().unwrap_or_default();
    let middle = events.len() / 2;
    let last = events.len().saturating_sub(1);
    let mut pieces: Vec<Piece> = events
        .iter()
        .map(|event| Piece {
            wait: if event.is_delta() {
                pace
            } else {
                Duration::ZERO
            },
            bytes: framed(event, fault.strange),
        })
        .collect();
    let mut cut = false;
    if fault.malformed {
        let event = &events[middle];
        let half: String = event
            .data
            .chars()
            .take(event.data.chars().count() / 2)
            .collect();
        pieces[middle].bytes = format!("event: {}\ndata: {half}\n\n", event.name).into_bytes();
        pieces.truncate(middle + 1);
    }
    if let Some(after) = fault.cut_after {
        // The last event never goes out: with it, the reply would be whole.
        pieces.truncate(usize::try_from(after).unwrap_or(last).min(last));
        cut = true;
    }
    send(pieces, cut, &fault)
}

/// An event as it goes out; `strange`: as no vendor sends it, though all may.
fn framed(event: &Event, strange: bool) -> Vec<u8> {
    let Event { name, data } = event;
    if !strange {
        return format!("event: {name}\ndata: {data}\n\n").into_bytes();
    }
    let value: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
    let lines = serde_json::to_string_pretty(&value).unwrap_or_default();
    let mut text = ": keep-alive\r\nid: 1\r\nretry: 5\r\n".to_owned();
    for line in lines.lines() {
        text.push_str("data: ");
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// One JSON text.
pub(super) fn whole(text: &str, fault: Option<&Fault>) -> Body {
    let fault = fault.cloned().unwrap_or_default();
    let broken = fault.malformed || fault.cut_after.is_some();
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    let mut pieces = vec![Piece {
        wait: Duration::ZERO,
        bytes: first.to_vec(),
    }];
    if !broken {
        pieces.push(Piece {
            wait: Duration::ZERO,
            bytes: second.to_vec(),
        });
    }
    send(pieces, fault.cut_after.is_some(), &fault)
}

/// Turns a response into one that starts late.
pub(super) async fn delay(fault: Option<&Fault>) {
    if let Some(delay_ms) = fault.and_then(|fault| fault.delay_ms) {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
}

/// Bytes and the silence before them.
struct Piece {
    wait: Duration,
    bytes: Vec<u8>,
}

fn send(mut pieces: Vec<Piece>, cut: bool, fault: &Fault) -> Body {
    if let Some(size) = fault.chunk_bytes {
        pieces = chunked(pieces, usize::try_from(size).unwrap_or(usize::MAX).max(1));
    }
    if let Some(stall_ms) = fault.stall_ms {
        let middle = pieces.len() / 2;
        if let Some(piece) = pieces.get_mut(middle) {
            piece.wait += Duration::from_millis(stall_ms);
        }
    }
    let separate = fault.chunk_bytes.is_some();
    let end = cut.then_some(Err(Cut));
    let pieces = pieces.into_iter().map(Ok).chain(end);
    let frames = futures_util::stream::iter(pieces).then(move |piece| async move {
        match piece {
            Ok(piece) => {
                if !piece.wait.is_zero() {
                    tokio::time::sleep(piece.wait).await;
                } else if separate {
                    // A pause of the stream is when the connection flushes, so that each chunk
                    // travels alone.
                    tokio::task::yield_now().await;
                }
                Ok(Frame::data(Bytes::from(piece.bytes)))
            }
            Err(cut) => {
                tokio::time::sleep(CUT_GRACE).await;
                Err(cut)
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The same bytes and silences in pieces of one size.
fn chunked(pieces: Vec<Piece>, size: usize) -> Vec<Piece> {
    let all: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
    let chunks = all.chunks(size);
    chunks
        .map(|chunk| Piece {
            wait: Duration::ZERO,
            bytes: chunk.to_vec(),
        })
        .collect()
}

/// A response with its content type.
pub(super) fn response(status: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        hyper::header::HeaderValue::from_static(content_type),
    );
    headers.insert(
        "cache-control",
        hyper::header::HeaderValue::from_static("no-cache"),
    );
    response
}
