//! Mail: how soon a message that is on disk is in the hands of whoever waits for it, and how many go
//! through, against a bare write, sync, rename and watch.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use org::domain::event::{Actor, FORMAT, Kind, Text};
use org::os::clock;
use org::run::bell::Bell;
use org::run::log::Log;
use org::run::maildir::{Maildir, Posting};
use org::run::paths::RunDir;
use rustix::fs::inotify;

use super::Broken;
use super::scene::{Scene, block_on};
use super::table::{Ceiling, Goal, Table, median, ms, quantile};

/// Messages of each kind.
const ROUNDS: usize = 300;
/// Agents that write at the same time.
const SENDERS: usize = 8;
/// Messages of each of them.
const EACH: usize = 60;
/// A usual message.
const BODY: usize = 1024;

/// Measures latency, throughput and fan-out.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let dir = begin(&scene.path().join("m-1"))?;
    latency(table, &dir, &scene.path().join("raw"))?;
    throughput(table, &dir, scene.path())?;
    fan_out(table, &dir, scene.path())
}

/// A run without processes: a log, mailboxes and eight seats.
pub(crate) fn begin(at: &Path) -> Result<RunDir, Broken> {
    let dir = RunDir::at(at);
    for path in dir.skeleton() {
        fs::create_dir_all(path)?;
    }
    let created = Kind::RunCreated {
        format: FORMAT,
        run: dir.id(),
        org: "bench".to_owned(),
        mock: true,
        headless: true,
        version: "0".to_owned(),
        base: "0".repeat(40),
    };
    let mut log = Log::create(&dir, created)?;
    let mut seats = Vec::new();
    for name in names() {
        Maildir::at(dir.mailbox(&name)).create()?;
        seats.push(Kind::AgentSeated {
            branch: format!("agent/{name}"),
            worktree: dir.work(&name).display().to_string(),
            agent: name,
            gpu: None,
        });
    }
    log.append(&Actor::Supervisor, seats)?;
    Ok(dir)
}

/// Who sits there.
pub(crate) fn names() -> Vec<String> {
    (1..=SENDERS).map(|number| format!("a-{number}")).collect()
}

fn letter(to: &[String]) -> Kind {
    Kind::MailSent {
        id: 0,
        from: "human".to_owned(),
        to: to.to_vec(),
        subject: "a usual message".to_owned(),
        body: Text::Whole("x".repeat(BODY)),
        now: false,
        assignment: false,
        call: None,
    }
}

/// Sends as `org send` does: into the log, on disk, and then into the mailboxes.
fn send(log: &mut Log, to: &[String]) -> Result<Instant, Broken> {
    log.append(&Actor::Human, vec![letter(to)])?;
    let kept = clock::monotonic();
    let mail = log.state().mails.values().next_back().cloned();
    let mail = mail.ok_or("no mail was folded")?;
    let body = "x".repeat(BODY);
    let mut posting = Posting::new(&mail, &body);
    for name in to {
        posting.deliver(&Maildir::at(log.dir().mailbox(name)))?;
    }
    log.drain();
    Ok(kept)
}

fn latency(table: &mut Table, dir: &RunDir, raw: &Path) -> Result<(), Broken> {
    fs::create_dir_all(raw.join("new"))?;
    fs::create_dir_all(raw.join("tmp"))?;
    let (by_log, in_log) = channel();
    let (by_box, in_box) = channel();
    let (by_raw, in_raw) = channel();
    let to = names()[..1].to_vec();
    let new = Maildir::at(dir.mailbox(&to[0])).new_dir();
    let (log_dir, raw_new) = (dir.clone(), raw.join("new"));
    let readers = [
        std::thread::spawn(move || follow_log(&log_dir, &by_log)),
        std::thread::spawn(move || follow_box(&new, &by_box)),
        std::thread::spawn(move || follow_raw(&raw_new, &by_raw).expect("inotify is there")),
    ];
    for ready in [&in_log, &in_box, &in_raw] {
        ready.recv()?;
    }
    let mut log = Log::open(dir)?;
    let (mut noticed, mut filed, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    let (mut floor, mut floor_kept) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let begun = clock::monotonic();
        let on_disk = send(&mut log, &to)?;
        kept.push(ms(on_disk - begun));
        noticed.push(ms(after(&in_log, begun)?));
        filed.push(ms(after(&in_box, begun)?));
        let begun = clock::monotonic();
        raw_mail(raw, round)?;
        floor_kept.push(ms(begun.elapsed()));
        floor.push(ms(after(&in_raw, begun)?));
    }
    // The readers end with their next news: nobody listens to them any more.
    drop((in_log, in_box, in_raw));
    send(&mut log, &to)?;
    raw_mail(raw, ROUNDS)?;
    for reader in readers {
        reader.join().map_err(|_| "a reader panicked")?;
    }
    let mut both = |what: &str, floor: &[f64], ours: &[f64]| {
        let p50 = Goal::Ratio(1.5);
        table.row(
            &format!("mail, {what}, p50"),
            "ms",
            Some(median(floor)),
            median(ours),
            p50,
        );
        let p99 = |sample: &[f64]| quantile(sample, 0.99);
        table.guarded(
            Ceiling::Most(10.0),
            (&format!("mail, {what}, p99"), "ms"),
            Some(p99(floor)),
            p99(ours),
            Goal::Ratio(2.0),
        );
    };
    both("sent -> the agent has it", &floor, &noticed);
    both("sent -> in the mailbox for others", &floor, &filed);
    both("send returns, on disk", &floor_kept, &kept);
    Ok(())
}

/// When the reader had the message that was begun at `begun`. Older news is of older messages.
fn after(news: &Receiver<Instant>, begun: Instant) -> Result<std::time::Duration, Broken> {
    loop {
        let at = news.recv()?;
        if at > begun {
            return Ok(at - begun);
        }
    }
}

/// An agent's way: the bell, then the log.
fn follow_log(dir: &RunDir, news: &Sender<Instant>) {
    let mut log = Log::open(dir).expect("the log is there");
    block_on(async {
        let mut bell = Bell::on(&[dir.events()]);
        news.send(clock::monotonic()).ok();
        let mut seen = log.state().mails.len();
        loop {
            bell.wait().await;
            log.catch_up().expect("the log is whole");
            log.drain();
            let mails = log.state().mails.len();
            if mails > seen && news.send(clock::monotonic()).is_err() {
                return;
            }
            seen = mails;
        }
    });
}

/// Another program's way: the bell, then the files.
fn follow_box(new: &Path, news: &Sender<Instant>) {
    block_on(async {
        let mut bell = Bell::on(&[new.to_owned()]);
        news.send(clock::monotonic()).ok();
        loop {
            bell.wait().await;
            let mut any = false;
            for entry in fs::read_dir(new).into_iter().flatten().flatten() {
                any |= fs::read(entry.path()).is_ok_and(|body| body.len() > BODY);
                fs::remove_file(entry.path()).ok();
            }
            if any && news.send(clock::monotonic()).is_err() {
                return;
            }
        }
    });
}

/// The floor's way: one descriptor, one event, one file.
fn follow_raw(new: &Path, news: &Sender<Instant>) -> Result<(), Broken> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, new, inotify::WatchFlags::MOVED_TO)?;
    news.send(clock::monotonic())?;
    let mut space = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watch, &mut space);
    loop {
        let event = events.next()?;
        let name = event.file_name().ok_or("an event without a name")?;
        let path = new.join(name.to_str()?);
        let body = fs::read(&path)?;
        fs::remove_file(&path)?;
        if body.len() >= BODY && news.send(clock::monotonic()).is_err() {
            return Ok(());
        }
    }
}

/// A maildir delivery with nothing around it; on disk when it returns.
fn raw_mail(at: &Path, number: usize) -> Result<(), Broken> {
    let name = format!("r{number}.{}", thread());
    let draft = at.join("tmp").join(&name);
    let mut file = File::create(&draft)?;
    file.write_all("x".repeat(BODY).as_bytes())?;
    file.sync_data()?;
    fs::rename(&draft, at.join("new").join(&name))?;
    File::open(at.join("new"))?.sync_all()?;
    Ok(())
}

fn thread() -> String {
    format!("{:?}", std::thread::current().id())
}

/// Eight agents write at once.
fn throughput(table: &mut Table, dir: &RunDir, root: &Path) -> Result<(), Broken> {
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let boxes: Vec<PathBuf> = (0..SENDERS)
            .map(|it| root.join(format!("t{round}-{it}")))
            .collect();
        for at in &boxes {
            fs::create_dir_all(at.join("new"))?;
            fs::create_dir_all(at.join("tmp"))?;
        }
        floor.push(per_second(|who| {
            (0..EACH).for_each(|number| raw_mail(&boxes[who], number).expect("written"));
        }));
        ours.push(per_second(|who| {
            let mut log = Log::open(dir).expect("the log is there");
            let to = vec![names()[who].clone()];
            for _ in 0..EACH {
                send(&mut log, &to).expect("sent");
            }
        }));
    }
    let (floor, ours) = (median(&floor), median(&ours));
    table.guarded(
        Ceiling::Least(1000.0),
        ("mail, 8 senders, on disk", "per s"),
        Some(floor),
        ours,
        Goal::Share(0.7),
    );
    Ok(())
}

fn per_second(work: impl Fn(usize) + Sync) -> f64 {
    let begun = clock::monotonic();
    std::thread::scope(|scope| {
        for who in 0..SENDERS {
            let work = &work;
            scope.spawn(move || work(who));
        }
    });
    (SENDERS * EACH) as f64 / begun.elapsed().as_secs_f64()
}

/// One message to eight, against one synced file that is linked into eight mailboxes.
fn fan_out(table: &mut Table, dir: &RunDir, root: &Path) -> Result<(), Broken> {
    let at = root.join("fan");
    fs::create_dir_all(&at)?;
    let mut log = Log::open(dir)?;
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for round in 0..60 {
        let begun = clock::monotonic();
        let mut file = File::create(at.join(format!("{round}")))?;
        file.write_all("x".repeat(BODY).as_bytes())?;
        file.sync_data()?;
        for who in 0..SENDERS {
            fs::hard_link(
                at.join(format!("{round}")),
                at.join(format!("{round}-{who}")),
            )?;
        }
        File::open(&at)?.sync_all()?;
        floor.push(ms(begun.elapsed()));
        let begun = clock::monotonic();
        send(&mut log, &names())?;
        ours.push(ms(begun.elapsed()));
    }
    let (floor, ours) = (median(&floor), median(&ours));
    table.guarded(
        Ceiling::Most(6.0),
        ("mail, one to eight, send returns", "ms"),
        Some(floor),
        ours,
        Goal::Ratio(1.5),
    );
    Ok(())
}
