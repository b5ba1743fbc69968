//! What an agent adds to its model: the time from a reply to the next request, and what a tool costs;
//! against a bare exchange of the same bodies with the same server, and a bare `sh -c`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use org::domain::chart::Wire;
use org::domain::chat::{Head, Raw};
use org::domain::event::{Event, Kind};
use org::domain::texts::ToolTexts;
use org::os::exec::{Detached, Output};
use org::os::{clock, lock};
use org::provider::{self, Provider};
use org::run::log::Log;
use org::run::paths::RunDir;
use org::tool;

use super::Broken;
use super::proc;
use super::scene::{Scene, chart, done, project, put};
use super::table::{Ceiling, Goal, Table, median, ms};

/// Steps of the conversation.
const STEPS: usize = 200;
/// Of which so many run a command.
const COMMANDS: usize = 40;
/// Output of the step that says much.
const MUCH: usize = 10_000_000;
/// Times that the run is made, in turns with its floor.
const ROUNDS: usize = 3;

/// Measures turns and tools.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let chart = put(scene.path().join("turns.toml"), &chart_text())?;
    let scenario = put(scene.path().join("lines.toml"), &scenario_text())?;
    let mut figures = Figures::default();
    for round in 0..ROUNDS {
        scene.run(&[
            "up",
            &chart,
            "--mock",
            "--headless",
            "--detach",
            "--scenario",
            &scenario,
        ])?;
        let dir = scene.newest()?;
        scene.wait(&dir, |log| {
            log.state().agents.values().all(|agent| agent.done)
        })?;
        let holder = lock::holder(&dir.agent_lock("solo")).ok_or("the agent is gone")?;
        figures.rss.push(proc::memory(holder.pid).rss);
        figures.read(&dir)?;
        figures.bare.extend(bare(&scene, &dir, &scenario)?);
        scene.run(&["down"])?;
        sync_floor(&scene, round, &mut figures)?;
        command_floor(&scene, &mut figures)?;
    }
    figures.print(table);
    Ok(())
}

/// Everything that was taken, in milliseconds; memory in MiB.
#[derive(Default)]
struct Figures {
    step: Vec<f64>,
    between: Vec<f64>,
    exchange: Vec<f64>,
    bare: Vec<f64>,
    syncs: Vec<f64>,
    command: Vec<f64>,
    shell: Vec<f64>,
    much: Vec<f64>,
    much_floor: Vec<f64>,
    rss: Vec<f64>,
}

impl Figures {
    /// Takes the times between the events of a run.
    fn read(&mut self, dir: &RunDir) -> Result<(), Broken> {
        let (mut reserved, mut received, mut intended): (Option<Timestamp>, Option<Timestamp>, _) =
            (None, None, None);
        let apart = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64() * 1e3;
        for event in events(dir)? {
            let at = event.at;
            match &event.body {
                Kind::RequestReserved { .. } => {
                    let noted = matches!(intended, Some((_, Did::Note)));
                    if let Some(before) = received.filter(|_| noted) {
                        self.between.push(apart(before, at));
                    }
                    reserved = Some(at);
                }
                Kind::ReplyReceived { .. } => {
                    if let Some(asked) = reserved {
                        self.exchange.push(apart(asked, at));
                    }
                    received = Some(at);
                }
                Kind::ToolIntent { tool, brief, .. } => {
                    intended = Some((at, Did::of(tool, brief)));
                }
                Kind::ToolResult { .. } => match intended {
                    Some((begun, Did::Nothing)) => self.command.push(apart(begun, at)),
                    Some((begun, Did::Much)) => self.much.push(apart(begun, at)),
                    _ => {}
                },
                _ => {}
            }
        }
        self.step.push(mean(&self.between) + mean(&self.exchange));
        Ok(())
    }

    fn print(&self, table: &mut Table) {
        let bare = mean(&self.bare);
        table.row(
            "step of a turn, whole, against a bare exchange",
            "ms",
            Some(bare),
            median(&self.step),
            Goal::Open,
        );
        table.row(
            "  request on disk -> reply on disk",
            "ms",
            Some(bare),
            mean(&self.exchange),
            Goal::Open,
        );
        let syncs = mean(&self.syncs);
        table.row(
            "  reply -> next request, against 4 synced lines",
            "ms",
            Some(syncs),
            mean(&self.between),
            Goal::Ratio(2.0),
        );
        let shell = median(&self.shell);
        table.guarded(
            Ceiling::Most(20.0),
            ("tool `shell true`, confined, against sh -c true", "ms"),
            Some(shell),
            median(&self.command),
            Goal::Above(10.0),
        );
        let much = median(&self.much_floor);
        table.guarded(
            Ceiling::Most(100.0),
            ("tool output of 10 MB, against reading it", "ms"),
            Some(much),
            median(&self.much),
            Goal::Most(100.0),
        );
        table.guarded(
            Ceiling::Most(25.0),
            ("memory, agent after 200 steps, RSS", "MiB"),
            None,
            median(&self.rss),
            Goal::Most(12.0),
        );
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy)]
enum Did {
    Note,
    Nothing,
    Much,
}

impl Did {
    fn of(tool: &str, brief: &str) -> Self {
        match tool {
            "shell" if brief == "true" => Self::Nothing,
            "shell" => Self::Much,
            _ => Self::Note,
        }
    }
}

fn mean(sample: &[f64]) -> f64 {
    sample.iter().sum::<f64>() / sample.len().max(1) as f64
}

pub(crate) fn events(dir: &RunDir) -> Result<Vec<Event>, Broken> {
    let mut events = Vec::new();
    Log::open_with(dir, |event| events.push(event.clone()))?;
    Ok(events)
}

/// The smoke chart's task with one agent that measures nothing.
pub(crate) fn chart_text() -> String {
    let repo = project("examples/smoke/repo");
    let prompt = project("prompts/researcher.md");
    format!(
        r#"version = 1
name = "turns"
mission = "Take two hundred steps."

[task]
repo = "{repo}"
run = "python3 train.py"
metric = {{ name = "val_loss", goal = "min", pattern = 'val_loss: ([0-9.]+)' }}

[task.measure]
flops = 'flops: (\d+)'

[budget]
usd = 100000.0

[roles.researcher]
prompt = "{prompt}"
tools = ["shell", "notebook"]

[[agents]]
name = "solo"
role = "researcher"
model = "claude-opus-5-5"
"#
    )
}

fn scenario_text() -> String {
    let mut text = "version = 1\n\n[[scripts]]\nagent = \"solo\"\n".to_owned();
    let much = format!("head -c {MUCH} /dev/zero | tr '\\\\0' x");
    for step in 0..STEPS {
        let line = match step {
            it if it == STEPS / 2 => format!("tool = \"shell\"\ncommand = \"{much}\""),
            it if it % (STEPS / COMMANDS) == 0 => "tool = \"shell\"\ncommand = \"true\"".to_owned(),
            it => format!("tool = \"note\"\ntext = \"step {it} went as expected\""),
        };
        text.push_str(
            "\n[[scripts.steps]]\nsay = \"I take the next step and write down what it was.\"\n",
        );
        text.push_str("[[scripts.steps.call]]\n");
        text.push_str(&line);
        text.push('\n');
    }
    text + "\n[[scripts.steps]]\n[[scripts.steps.call]]\ntool = \"done\"\nsummary = \"all steps\"\n"
}

/// The same bodies to the same server, over one connection and with nothing in between.
fn bare(scene: &Scene, dir: &RunDir, scenario: &str) -> Result<Vec<f64>, Broken> {
    let (mut server, port) = serve(scene, scenario)?;
    let provider = provider::provider(Wire::Anthropic);
    let head = head(dir)?;
    let mut times = Vec::new();
    let mut items: Vec<Raw> = Vec::new();
    let blobs = Log::open(dir)?.blobs();
    let mut wire = Connection::open(port)?;
    for event in events(dir)? {
        let (names, ask) = match event.body {
            Kind::RequestReserved { items, .. } => (items, true),
            Kind::ReplyReceived { items, .. } => (items, false),
            _ => continue,
        };
        for name in names {
            items.push(Raw::new(blobs.get_text(&name)?));
        }
        if ask {
            let request = wire.request(provider.as_ref(), provider.body(&head, &items));
            let begun = clock::monotonic();
            wire.exchange(&request)?;
            times.push(ms(begun.elapsed()));
        }
    }
    server.kill()?;
    Ok(times)
}

pub(crate) fn head(dir: &RunDir) -> Result<Head, Broken> {
    let chart = chart(dir)?;
    let agent = chart.agent("solo").ok_or("no agent is called so")?;
    let tools = tool::granted(&chart.role_of(agent).tools);
    let words = ToolTexts::parse(&std::fs::read_to_string(dir.prompts().join("tools.toml"))?)
        .map_err(|error| error.to_string())?;
    Ok(Head {
        model: agent.model.clone(),
        system: std::fs::read_to_string(dir.system_prompt("solo"))?,
        tools: tool::specs(&tools, &words),
        effort: None,
        patient: true,
        max_output: 32_000,
        cache_key: "bench".to_owned(),
    })
}

fn serve(scene: &Scene, scenario: &str) -> Result<(Detached, u16), Broken> {
    let mut server = scene
        .org(&["mock", "--scenario", scenario])
        .stdout(Output::Pipe)
        .spawn_detached()?;
    let said: OwnedFd = server.take_stdout().ok_or("no output")?;
    let mut said = std::fs::File::from(said);
    let (mut line, mut byte) = (Vec::new(), [0]);
    while said.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let line = String::from_utf8(line)?;
    let port = line
        .rsplit(':')
        .next()
        .and_then(|it| it.trim().parse().ok());
    Ok((server, port.ok_or("the server did not say its port")?))
}

struct Connection {
    wire: TcpStream,
    port: u16,
    answer: Vec<u8>,
}

impl Connection {
    fn open(port: u16) -> Result<Self, Broken> {
        let wire = TcpStream::connect(("127.0.0.1", port))?;
        wire.set_nodelay(true)?;
        let answer = Vec::new();
        Ok(Self { wire, port, answer })
    }

    fn request(&self, provider: &dyn Provider, body: Vec<u8>) -> Vec<u8> {
        let mut text = format!(
            "POST {} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n",
            provider.path(),
            self.port
        );
        for (name, value) in provider.headers(Some("mock-solo")) {
            text.push_str(&[name, ": ", &value, "\r\n"].concat());
        }
        let length = body.len().to_string();
        text.push_str(
            "content-type: application/json
content-length: ",
        );
        text.push_str(&length);
        text.push_str(
            "

",
        );
        let mut request = text.into_bytes();
        request.extend(body);
        request
    }

    /// Sends a request and reads the answer to its last chunk.
    fn exchange(&mut self, request: &[u8]) -> Result<(), Broken> {
        self.wire.write_all(request)?;
        self.answer.clear();
        let mut piece = [0; 16 * 1024];
        while !self.answer.ends_with(b"\r\n0\r\n\r\n") {
            let read = self.wire.read(&mut piece)?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            self.answer.extend_from_slice(&piece[..read]);
        }
        if self.answer.starts_with(b"HTTP/1.1 200") {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&self.answer).into_owned().into())
    }
}

/// What must be on disk between a reply and the next request: the reply, the intent, the result and
/// the reservation.
fn sync_floor(scene: &Scene, round: usize, figures: &mut Figures) -> Result<(), Broken> {
    let mut file = std::fs::File::create(scene.path().join(format!("syncs-{round}")))?;
    for _ in 0..50 {
        let begun = clock::monotonic();
        for _ in 0..4 {
            file.write_all(&[b'x'; 316])?;
            file.sync_data()?;
        }
        figures.syncs.push(ms(begun.elapsed()));
    }
    Ok(())
}

fn command_floor(scene: &Scene, figures: &mut Figures) -> Result<(), Broken> {
    let shell = if Path::new("/bin/bash").exists() {
        "/bin/bash"
    } else {
        "sh"
    };
    for _ in 0..COMMANDS {
        figures.shell.push(timed(scene, shell, "true")?);
    }
    figures.much_floor.push(timed(
        scene,
        shell,
        &format!("head -c {MUCH} /dev/zero | tr '\\0' x"),
    )?);
    Ok(())
}

fn timed(scene: &Scene, shell: &str, command: &str) -> Result<f64, Broken> {
    let begun: Instant = clock::monotonic();
    done(scene.exec(shell).args(["-c", command]), command)?;
    Ok(ms(begun.elapsed()))
}
