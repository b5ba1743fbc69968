//! Servers that are none, keys that are none, and replies that make no sense: each ends as a plain
//! sentence in `org logs` and in the agent's pane, holds or parks its agent, and costs nobody else
//! anything.

use std::fs;

use serde_json::Value;

use crate::ground::{ORG, Run, TestEnvironment, until, write};
use crate::terminal::Terminal;

/// A server that is none: what it answers depends on the path.
const BAD_SERVER: &str = r#"
import http.server, json, os, socket, sys, threading
KEY = b'{"error":{"message":"Incorrect API key","type":"invalid_request_error","code":"invalid_api_key"}}'
MODEL = b'{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}'
CLAUDE_KEY = b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'
CLAUDE_MODEL = b'{"type":"error","error":{"type":"not_found_error","message":"model: m-c-model"}}'
def done(items):
    return {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": items,
        "usage": {"input_tokens": 9, "output_tokens": 9}}}
def message(text):
    return {"type": "message", "id": "m", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]}
def call(at, name, arguments):
    return {"type": "function_call", "id": "f%d" % at, "call_id": "c%d" % at, "name": name,
        "arguments": arguments, "status": "completed"}
CALLS = [call(*it) for it in [
    (0, "shell", '{"command": "echo'), (1, "teleport", '{}'), (2, "read", '{"path": 3}'),
    (3, "read", '{"path": "../../../../etc/passwd"}'), (4, "write", '{"path": "/tmp/outside", "content": "x"}'),
    (5, "shell", '[1]'), (6, "shell", '{}'), (7, "read", '{"path": "train.sh", "speed": 2}')]]
def claude(content, stop):
    yield {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m",
        "content": [], "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}}}
    for at, (block, deltas) in enumerate(content):
        yield {"type": "content_block_start", "index": at, "content_block": block}
        for delta in deltas: yield {"type": "content_block_delta", "index": at, "delta": delta}
        yield {"type": "content_block_stop", "index": at}
    yield {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}}
    yield {"type": "message_stop"}
def claude_text(pieces):
    return [({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces])]
CLAUDE_CALLS = [({"type": "tool_use", "id": it["call_id"], "name": it["name"], "input": {}},
    [{"type": "input_json_delta", "partial_json": it["arguments"]}]) for it in CALLS]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *words): pass
    def answer(self, status, kind, body, **headers):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items(): self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    def events(self, items, deltas=()):
        events = list(deltas)
        events += [{"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(items)]
        body = "".join("data: %s\n\n" % json.dumps(event) for event in events + [done(items)])
        self.answer(200, "text/event-stream", body.encode())
    def claude(self, content, stop="end_turn"):
        events = claude(content, stop)
        body = "".join("event: %s\ndata: %s\n\n" % (it["type"], json.dumps(it)) for it in events)
        self.answer(200, "text/event-stream", body.encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with open(sys.argv[2], "ab") as seen:
            seen.write(b"%s %s\n" % (self.path.encode(), str(self.headers.get("authorization")).encode()))
        what = self.path.split("/")[1]
        if what == "html": self.answer(200, "text/html", b"<html>hello</html>")
        elif what == "moved": self.answer(302, "text/html", b"", location="http://elsewhere/")
        elif what == "key": self.answer(401, "application/json", KEY)
        elif what == "c-html": self.answer(200, "text/html", b"<html>hello</html>")
        elif what == "c-moved": self.answer(302, "text/html", b"", location="http://elsewhere/")
        elif what == "c-key": self.answer(401, "application/json", CLAUDE_KEY)
        elif what == "c-model": self.answer(404, "application/json", CLAUDE_MODEL)
        elif what == "c-big": self.claude(claude_text(["x" * 65536] * 160))
        elif what == "c-calls":
            if b"tool_result" in body: self.claude(claude_text(["all seen"]))
            else: self.claude(CLAUDE_CALLS, "tool_use")
        elif what == "model": self.answer(404, "application/json", MODEL)
        elif what == "hang": threading.Event().wait()
        elif what == "big":
            piece = "x" * 65536
            deltas = [{"type": "response.output_text.delta", "delta": piece}] * 160
            self.events([message(piece * 160)], deltas)
        elif what == "calls":
            self.events([message("all seen")] if b"function_call_output" in body else CALLS)
        else: self.connection.shutdown(socket.SHUT_RDWR); self.close_connection = True
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 0), Handler)
open(sys.argv[1] + ".new", "w").write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
"#;

const CHART: &str = r#"version = 1
name = "bad"
mission = "Endure."
[task]
repo = "task"
base = "main"
run = "sh train.sh"
timeout = "60s"
gpus = 0
metric = { name = "loss", goal = "min", pattern = 'loss: ([0-9.]+)' }
[protocol]
baseline = 2
[roles.worker]
prompt = "worker.md"
tools = ["shell", "files"]
"#;

/// A world with the server in it, which ends with it.
struct Served {
    world: TestEnvironment,
    server: std::process::Child,
    seen: std::path::PathBuf,
    port: String,
}

impl Served {
    fn begin() -> Self {
        let world = TestEnvironment::new();
        write(&world.at("server.py"), BAD_SERVER);
        let (port_file, seen) = (world.at("port"), world.at("seen"));
        let mut server = world.command("python3");
        server.arg(world.at("server.py")).args([&port_file, &seen]);
        let server = server.spawn().unwrap();
        let port = until("the server's port", || fs::read_to_string(&port_file).ok());
        write(&world.at("org/task/train.sh"), "echo 'loss: 1'\n");
        write(&world.at("org/worker.md"), "You are {{agent.name}}.\n");
        Self {
            world,
            server,
            seen,
            port,
        }
    }

    /// An agent for each path of the server; one has no server at all.
    fn chart(&self, paths: &[&str]) -> String {
        let member = |path: &&str| {
            // Nobody listens on the port of no process.
            let port = if *path == "refused" { "9" } else { &self.port };
            let wire = if path.starts_with("c-") {
                "anthropic"
            } else {
                "openai"
            };
            format!(
                "[providers.{path}]\nwire = \"{wire}\"\nbase_url = \"http://127.0.0.1:{port}/{path}\"\n\
                 key_env = \"A_KEY\"\n[models.\"m-{path}\"]\nprovider = \"{path}\"\n\
                 [[agents]]\nname = \"a-{path}\"\nrole = \"worker\"\nmodel = \"m-{path}\"\n"
            )
        };
        let members: String = paths.iter().map(member).collect();
        write(&self.world.at("org/bad.toml"), format!("{CHART}{members}"));
        self.world.at("org/bad.toml").display().to_string()
    }

    /// That an agent's pane and its log say something.
    #[track_caller]
    fn says(&self, run: &Run, agent: &str, word: &str) {
        self.world.org(&["logs", agent]).well().naming(&[word]);
        let pane = format!("exec {ORG} pane {agent} --run {}", run.path("").display());
        Terminal::open(&self.world, 150, 40, &pane).shows(word);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

#[test]
fn servers_and_keys_that_are_none_end_in_a_plain_sentence() {
    let mut served = Served::begin();
    let paths = [
        "html", "moved", "key", "model", "reset", "refused", "c-html", "c-moved", "c-key",
        "c-model",
    ];
    let chart = served.chart(&paths);
    let up = ["up", &chart, "--headless", "--detach"];
    served.world.org(&up).refused(1).naming(&["A_KEY"]);
    served.world.set("A_KEY", "");
    served.world.org(&up).refused(1).naming(&["A_KEY"]);
    served.world.set("A_KEY", "sk-canary-123");
    served.world.org(&up).well();
    let run = served.world.run();
    for (name, word) in [
        ("html", "text/html"),
        ("moved", "elsewhere"),
        ("key", "Incorrect API key"),
        ("model", "does not exist"),
        ("c-html", "text/html"),
        ("c-moved", "elsewhere"),
        ("c-key", "invalid x-api-key"),
        ("c-model", "m-c-model"),
    ] {
        let agent = format!("a-{name}");
        let held = run.wait_for(&agent, |events| {
            let held = |it: &&Value| it["kind"] == "agent.held" && it["agent"] == agent.as_str();
            events.iter().find(held).cloned()
        });
        assert!(held["reason"].as_str().unwrap().contains(word), "{held}");
        served.says(&run, &agent, word);
    }
    // What cannot be reached, or breaks off, is an outage: parked, never held.
    for (agent, what, words) in [
        ("a-reset", "cut", "reply was cut off"),
        ("a-refused", "connect", "cannot reach model server"),
    ] {
        run.wait_for(what, |events| {
            let failed = |it: &&Value| it["agent"] == agent && it["what"] == what;
            events.iter().find(failed).cloned()
        });
        served.says(&run, agent, words);
        let status = served.world.org(&["status", "--json"]).json();
        let agents = status["agents"].as_array().unwrap();
        let row = agents.iter().find(|it| it["name"] == agent).unwrap();
        assert_eq!(row["state"], "thinking", "{row}");
    }
    let asked = fs::read_to_string(&served.seen).unwrap();
    assert!(
        asked.contains("/key/responses Bearer sk-canary-123\n"),
        "{asked}"
    );
    served.world.org(&["down"]).well();
    // No key lies anywhere in the run.
    let log = fs::read_to_string(run.path("events.jsonl")).unwrap();
    assert!(!log.contains("sk-canary"));
}

#[test]
fn a_server_that_hangs_stops_nobody_from_stepping_in() {
    let mut served = Served::begin();
    served.world.set("A_KEY", "k");
    let chart = served.chart(&["hang"]);
    served
        .world
        .org(&["up", &chart, "--headless", "--detach"])
        .well();
    let run = served.world.run();
    until("the request", || fs::metadata(&served.seen).ok());
    let status = served.world.org(&["status", "--json"]).json();
    assert_eq!(status["agents"][0]["reason"], "a request is in flight");
    served
        .world
        .org(&["send", "--now", "a-hang", "what is it?"])
        .well();
    run.wait_for(
        "the request is given up, and made anew with the word",
        |events| {
            let stopped = |it: &&Value| it["what"] == "interrupted";
            let asked = |it: &&Value| it["kind"] == "request.reserved";
            let stopped = events.iter().filter(stopped).count();
            (stopped == 1 && events.iter().filter(asked).count() == 2).then_some(())
        },
    );
    served.world.org(&["down"]).well();
    served.server.kill().unwrap();
    served.server.wait().unwrap();
    served.world.nothing_lives();
}

#[test]
fn replies_that_are_large_or_make_no_sense_are_told_to_the_model_and_harm_nobody() {
    let mut served = Served::begin();
    served.world.set("A_KEY", "k");
    let chart = served.chart(&["big", "calls", "c-big", "c-calls"]);
    served
        .world
        .org(&["up", &chart, "--headless", "--detach"])
        .well();
    let run = served.world.run();
    for agent in ["a-big", "a-calls", "a-c-big", "a-c-calls"] {
        run.wait_for(agent, |events| {
            let ended = |it: &&Value| it["kind"] == "turn.ended" && it["agent"] == agent;
            events.iter().find(ended).map(drop)
        });
    }
    // Ten megabytes are a reply like any other: whole in a blob, its beginning in the log.
    let replies = run.of("reply.received");
    for agent in ["a-big", "a-c-big"] {
        let big = replies.iter().find(|it| it["agent"] == agent).unwrap();
        assert_eq!(run.text(&big["text"]).len(), 160 * 65536);
        served.says(&run, agent, "xxxxxxxx");
    }
    assert!(fs::metadata(run.path("events.jsonl")).unwrap().len() < 1 << 20);
    for agent in ["a-calls", "a-c-calls"] {
        let shell = run.answers(agent, "shell");
        let read = run.answers(agent, "read");
        let answers = [
            (&shell[0], "are not valid"),
            (&shell[1], "not a JSON object"),
            (&shell[2], "command"),
            (&read[0], "path"),
            (&read[1], "outside"),
            (&read[2], "speed"),
            (&run.answers(agent, "teleport")[0], "teleport"),
            (&run.answers(agent, "write")[0], "outside"),
        ];
        for (answer, word) in answers {
            assert!(answer.contains(word), "{agent}: {word}: {answer}");
        }
        served.says(&run, agent, "all seen");
    }
    assert!(run.of("tool.result").iter().all(|it| it["ok"] == false));
    assert_eq!(run.of("agent.died"), Vec::<Value>::new());
    served.world.org(&["down"]).well();
}
