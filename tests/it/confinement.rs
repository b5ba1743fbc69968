//! What an agent's command can and cannot do, from inside its shell; and that the org says so.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

use serde_json::Value;

use crate::ground::{ORG, Run, TestEnvironment, project, told, write};
use crate::small::{Small, call};

/// Two agents, of whom one tries everything.
fn task(script: &str) -> Small {
    let shell = call("shell", "command = \"bash tries.sh\"\ntimeout_s = 60");
    Small {
        files: vec![
            ("run.sh", "echo loss: 1.$ORG_SEED\n".to_owned()),
            ("tries.sh", script.to_owned()),
        ],
        task: "run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\n\
               metric = { name = \"loss\", pattern = 'loss: ([0-9.]+)' }"
            .to_owned(),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 2\n".to_owned(),
        agents: vec![("ann", false), ("ben", false)],
        scenario: format!(
            "[[scripts]]\nagent = \"ann\"\n{shell}[[scripts]]\nagent = \"ben\"\n[[scripts.steps]]\nsay = \"hello\"\n"
        ),
    }
}

/// A script that tells of each try whether it worked.
fn script(tries: &[(&str, String)]) -> String {
    let line = |(name, command): &(&str, String)| {
        format!(
            "if ( {command} ) >/dev/null 2>&1; then echo \"{name}: yes\"; else echo \"{name}: no\"; fi\n"
        )
    };
    tries.iter().map(line).collect()
}

/// What worked of it.
fn worked(run: &Run) -> Vec<String> {
    let said = run.answers("ann", "shell").concat();
    assert!(said.contains(": no"), "{said}");
    let yes = said.lines().filter_map(|line| line.strip_suffix(": yes"));
    yes.map(str::to_owned).collect()
}

/// Where the kernel grants namespaces, all of it is denied; `not` is said of nothing.
fn enforced(world: &TestEnvironment, run: &Run) -> bool {
    let status = world.org(&["status", "--json", "--run", &run.id()]).json();
    let rights = status["sandbox"].as_object().expect("rights");
    for right in [
        "read_outside",
        "write_outside",
        "signals_outside",
        "network_tcp",
        "capabilities",
    ] {
        assert!(rights.contains_key(right), "{right} is told of: {rights:?}");
    }
    rights.values().all(|held| held == "enforced")
}

#[test]
fn a_command_is_denied_all_that_is_not_its_own() {
    let mut world = TestEnvironment::new();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let (tcp_port, udp_port) = (
        tcp.local_addr().expect("bound").port(),
        udp.local_addr().expect("bound").port(),
    );
    // Not in the world, which must end without one.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let socket = elsewhere.path().join("office.sock");
    let office = UnixListener::bind(&socket).expect("a socket");
    write(&world.at("home/.ssh/id"), "private");
    write(&world.at("home/notes"), "private");
    fs::create_dir(world.at("outside")).expect("a directory");
    world.set("SECRET_KEY", "sk-not-for-agents");
    let (root, me) = (world.root().display().to_string(), std::process::id());
    let python = |text: &str| format!("python3 -c \"{text}\"");
    let tries: Vec<(&str, String)> = vec![
        ("read the log", format!("cat {root}/runs/*/events.jsonl")),
        (
            "read a colleague",
            format!("cat {root}/runs/*/work/ben/run.sh || ls {root}/runs/*/work/ben"),
        ),
        (
            "read the home",
            format!("cat {root}/home/notes {root}/home/.ssh/id"),
        ),
        ("read the shadow", "grep root /etc/shadow".to_owned()),
        ("read the chart", format!("cat {root}/chart.toml")),
        ("write outside", format!("echo x >{root}/outside/f")),
        (
            "write to /usr",
            "echo x >/usr/share/org-was-here".to_owned(),
        ),
        ("chmod outside", "chmod u+w /usr/bin/env".to_owned()),
        (
            "write to the repository",
            format!("echo x >{root}/runs/*/repo.git/objects/f"),
        ),
        (
            "see a process",
            format!(
                "test -e /proc/{me}/cmdline && grep -q . /proc/{me}/cmdline && test \"$(cat /proc/{me}/comm)\" = it-"
            ),
        ),
        (
            "see the supervisor",
            "grep -l '[s]upervise' /proc/[0-9]*/cmdline".to_owned(),
        ),
        ("signal", format!("kill -0 {me}")),
        ("tcp", format!("exec 3<>/dev/tcp/127.0.0.1/{tcp_port}")),
        (
            "udp",
            python(&format!(
                "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', {udp_port})); s.send(b'x'); s.send(b'x')"
            )),
        ),
        (
            "a unix socket",
            python(&format!(
                "import socket; socket.socket(socket.AF_UNIX).connect('{}')",
                socket.display()
            )),
        ),
        ("mount", "mount -t tmpfs none /tmp".to_owned()),
        (
            "new user namespace with a mount",
            "unshare -Ur mount -t tmpfs none /mnt".to_owned(),
        ),
        (
            "a raw disk",
            "head -c1 /dev/vda || head -c1 /dev/sda || head -c1 /dev/nvme0n1".to_owned(),
        ),
        (
            "a key in the environment",
            "env | grep sk-not-for-agents".to_owned(),
        ),
    ];
    let run = task(&script(&tries)).play(&world);
    let whole = enforced(&world, &run);
    let worked = worked(&run);
    if whole {
        assert_eq!(worked, Vec::<String>::new());
    } else {
        // On a kernel with less, what is told to be enforced is all that can be asked for.
        assert!(
            !worked.iter().any(|what| what.contains("key")),
            "{worked:?}"
        );
    }
    assert!(!world.at("outside/f").exists());
    drop((tcp, udp, office, elsewhere));
}

#[test]
fn what_research_needs_goes_on_working_inside() {
    let world = TestEnvironment::new();
    let tries: Vec<(&str, String)> = vec![
        ("git", "git switch -qc idea && echo y >>run.sh && git commit -qam idea && git stash list && git log -1".to_owned()),
        ("private tmp", "f=$(mktemp) && echo x >$f && test \"$(cat $f)\" = x && touch /tmp/own".to_owned()),
        ("home and caches", "touch $HOME/own $UV_CACHE_DIR/own $TRITON_CACHE_DIR/own $TORCHINDUCTOR_CACHE_DIR/own $HF_HOME/own".to_owned()),
        ("shared memory", "python3 -c \"import multiprocessing as m; assert m.Pool(2).map(abs, [-1, -2]) == [1, 2]\"".to_owned()),
        ("talking to itself", "python3 -c \"import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); socket.create_connection(s.getsockname())\"".to_owned()),
        ("names of users", "getent passwd root".to_owned()),
        ("a terminal", "python3 -c \"import pty; pty.openpty()\"".to_owned()),
        ("its own processes", "sleep 9 & kill -0 $! && kill $!".to_owned()),
        ("nothing", "false".to_owned()),
    ];
    let run = task(&script(&tries)).play(&world);
    let mut expected: Vec<String> = tries.iter().map(|(name, _)| (*name).to_owned()).collect();
    expected.pop();
    assert_eq!(worked(&run), expected, "{:?}", run.answers("ann", "shell"));
}

#[test]
fn an_ordinary_user_is_confined_as_well() {
    if !rustix::process::getuid().is_root() {
        // Then every other test here is this one.
        return;
    }
    let world = TestEnvironment::new();
    let tries = [
        (
            "read the log",
            format!("cat {}/runs/*/events.jsonl", world.root().display()),
        ),
        (
            "write outside",
            format!("echo x >{}/tmp/f", world.root().display()),
        ),
        ("signal", format!("kill -0 {}", std::process::id())),
        ("commit", "echo y >>run.sh && git commit -qam y".to_owned()),
    ];
    let chart = task(&script(&tries)).chart(&world);
    let nobody = |words: &[&str]| {
        let mut command = world.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", ORG]);
        command.args(words);
        told(command, "")
    };
    let mut give = world.command("chown");
    give.args(["-R", "65534:65534"]).arg(world.root());
    told(give, "").well();
    assert!(project().exists());
    if nobody(&["--version"]).code != 0 {
        // The build directory is closed to others; there is no program to be tried.
        return;
    }
    let chart = chart.display().to_string();
    nobody(&["up", &chart, "--mock", "--headless", "--until", "done"]);
    let run = world.run();
    let status: Value = nobody(&["status", "--json"]).json();
    assert_eq!(status["sandbox"]["read_outside"], "enforced", "{status}");
    assert_eq!(
        worked(&run),
        ["commit"],
        "{:?}",
        run.answers("ann", "shell")
    );
    let ends = run.of("experiment.finished");
    assert!(
        !ends.is_empty() && ends.iter().all(|end| end["status"] == "ok"),
        "{ends:?}"
    );
    world.nothing_lives();
}
