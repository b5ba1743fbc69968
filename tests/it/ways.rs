//! Ways into the world: proxies, as the usual variables name them.

use std::fs;

use serde_json::Value;

use crate::ground::{TestEnvironment, until, write};

/// A proxy that answers for the server behind it, and lets nobody through to another.
const PROXY: &str = r#"
import http.server, json, os, sys
REPLY = {"id": "r", "object": "response", "status": "completed", "model": "m",
    "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "came through", "annotations": []}]}],
    "usage": {"input_tokens": 9, "output_tokens": 9}}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *words): pass
    def seen(self):
        with open(sys.argv[2], "a") as seen:
            seen.write("%s %s %s\n" % (self.command, self.path, self.headers.get("proxy-authorization")))
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.seen()
        body = json.dumps(REPLY).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_CONNECT(self):
        self.seen()
        self.send_response(403, "not from here")
        self.send_header("content-length", "0")
        self.end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
open(sys.argv[1] + ".new", "w").write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
"#;

const CHART: &str = r#"version = 1
name = "ways"
mission = "Get through."
[task]
repo = "task"
base = "main"
run = "sh train.sh"
gpus = 0
metric = { name = "loss", goal = "min", pattern = 'loss: ([0-9.]+)' }
[protocol]
baseline = 2
[roles.worker]
prompt = "worker.md"
tools = ["files"]
"#;

#[test]
fn models_are_asked_through_the_proxies_that_the_environment_names() {
    let mut world = TestEnvironment::new();
    write(&world.at("proxy.py"), PROXY);
    let (port_file, seen) = (world.at("port"), world.at("seen"));
    let mut proxy = world.command("python3");
    proxy.arg(world.at("proxy.py")).args([&port_file, &seen]);
    let mut proxy = proxy.spawn().unwrap();
    let port = until("the proxy's port", || fs::read_to_string(&port_file).ok());
    let members: String = [
        ("plain", "http://plain.invalid/v1"),
        ("secure", "https://secure.invalid/v1"),
        ("direct", "http://direct.invalid/v1"),
    ]
    .map(|(name, url)| {
        format!(
            "[providers.{name}]\nwire = \"openai\"\nbase_url = \"{url}\"\n[models.\"m-{name}\"]\n\
             provider = \"{name}\"\n[[agents]]\nname = \"a-{name}\"\nrole = \"worker\"\nmodel = \"m-{name}\"\n"
        )
    })
    .concat();
    write(&world.at("org/task/train.sh"), "echo 'loss: 1'\n");
    write(&world.at("org/worker.md"), "You are {{agent.name}}.\n");
    write(&world.at("org/ways.toml"), format!("{CHART}{members}"));
    let chart = world.at("org/ways.toml").display().to_string();
    world.set(
        "HTTP_PROXY",
        format!("http://ann:pa55word@127.0.0.1:{port}"),
    );
    world.set("https_proxy", format!("http://127.0.0.1:{port}"));
    world.set("NO_PROXY", "direct.invalid");
    world.org(&["up", &chart, "--headless", "--detach"]).well();
    let run = world.run();
    run.wait_for("a reply through the proxy", |events| {
        let came = |it: &&Value| it["kind"] == "reply.received" && it["text"] == "came through";
        events.iter().find(came).map(drop)
    });
    // A proxy that lets nobody through, and a name that nobody knows, are outages like any other.
    for (agent, word) in [
        ("a-secure", "secure.invalid"),
        ("a-direct", "direct.invalid"),
    ] {
        let failed = run.wait_for(agent, |events| {
            let failed = |it: &&Value| it["kind"] == "request.failed" && it["agent"] == agent;
            events.iter().find(failed).cloned()
        });
        assert!(failed["error"].as_str().unwrap().contains(word), "{failed}");
        assert!(failed["retry_at"].is_string(), "{failed}");
    }
    let asked = fs::read_to_string(&seen).unwrap();
    // Basic authorisation of `ann:pa55word`.
    let plain = "POST http://plain.invalid/v1/responses Basic YW5uOnBhNTV3b3Jk\n";
    assert!(asked.contains(plain), "{asked}");
    assert!(asked.contains("CONNECT secure.invalid:443"), "{asked}");
    assert!(!asked.contains("direct.invalid"), "{asked}");
    // A password of a proxy is as secret as a key.
    for (_, words) in world.processes() {
        assert!(!words.contains("pa55word"), "{words}");
    }
    let log = fs::read_to_string(run.path("events.jsonl")).unwrap();
    assert!(!log.contains("pa55word") && !log.contains("YW5u"));
    world.org(&["down"]).well();
    proxy.kill().unwrap();
    proxy.wait().unwrap();
    world.nothing_lives();
}
