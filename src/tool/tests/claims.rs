//! Experiments, hypotheses and the ledger.

use super::*;
use crate::domain::event::{RunStatus, Status};
use crate::domain::protocol;

fn claim(title: &str) -> Value {
    json!({"title": title, "claim": "improve", "mechanism": "m", "predicts": 0.5,
           "refuted_by": "r"})
}

fn edit(world: &World, agent: &str, old: &str, new: &str) {
    let text = world.text(agent, "train.py").replace(old, new);
    world.put(agent, "train.py", &text);
}

#[tokio::test]
async fn a_run_is_queued_once_with_the_worktree_as_it_is() {
    let world = World::new();
    let ana = world.desk("ana");
    edit(&world, "ana", "LR = 1", "LR = 2");
    let args = json!({"note": "look", "env": {"DEPTH": "3"}});
    assert_eq!(
        call(&ana, "c1", "experiment", args.clone()).await,
        done("queued e1")
    );
    edit(&world, "ana", "LR = 2", "LR = 3");
    let again = recover(&world.desk("ana"), "c1", "experiment", args, None).await;
    assert_eq!(again, done("queued e1"));
    let state = world.state();
    let run = &state.experiments[&1];
    let saved = repo::read_blob(&world.dir.repo_git(), &run.commit, "train.py").unwrap();
    assert!(
        String::from_utf8(saved.unwrap())
            .unwrap()
            .contains("LR = 2")
    );
    assert_eq!(state.agents["ana"].commit.as_ref(), Some(&run.commit));
    assert_eq!(run.env["DEPTH"], "3");
    let baseline: Vec<u64> = (1..u64::from(chart().protocol.baseline))
        .map(|index| protocol::seed(7, index))
        .collect();
    assert!(baseline.contains(&run.seed));
    assert_eq!(state.experiments.len(), 1);
    for name in [
        "ORG_SEED",
        "ORG_OUT",
        "CUDA_VISIBLE_DEVICES",
        "LD_PRELOAD",
        "PATH",
        "PYTHONPATH",
        "A B",
        "",
        "1A",
    ] {
        let args = json!({"note": "n", "env": {name: "1"}});
        let refused = call(&ana, "c2", "experiment", args).await;
        assert!(
            !refused.ok && refused.text.contains("`env`"),
            "{name}: {refused:?}"
        );
    }
    for at in 2..=experiment::QUEUE_LIMIT {
        let id = format!("q{at}");
        assert!(call(&ana, &id, "experiment", json!({"note": "n"})).await.ok);
    }
    let full = call(&ana, "c9", "experiment", json!({"note": "n"})).await;
    assert!(!full.ok, "{full:?}");
    assert!(
        call(&world.desk("ben"), "c1", "experiment", json!({"note": "n"}))
            .await
            .ok
    );
}

#[tokio::test]
async fn a_claim_is_registered_once() {
    let world = World::new();
    let ana = world.desk("ana");
    edit(&world, "ana", "LR = 1", "LR = 2");
    let first = call(&ana, "c1", "hypothesis", claim("raise LR")).await;
    let state = world.state();
    let registered = &state.hypotheses[&1];
    let commit = registered.commit.clone().unwrap();
    assert_eq!(first, done(&format!("registered h1 at {}", &commit[..12])));
    assert_eq!(registered.base, world.base);
    assert_eq!(registered.axis, chart().protocol.matched);
    let again = recover(
        &world.desk("ana"),
        "c1",
        "hypothesis",
        claim("raise LR"),
        None,
    )
    .await;
    assert_eq!(again, first);
    assert_eq!(world.state().hypotheses.len(), 1);
    // The same change by somebody else, whose commit is another one.
    let ben = world.desk("ben");
    edit(&world, "ben", "LR = 1", "LR = 2");
    let twin = call(&ben, "c1", "hypothesis", claim("raise LR too")).await;
    assert!(
        !twin.ok && twin.text.starts_with("rejected: h1 claims the same"),
        "{twin:?}"
    );
    let mut on_purpose = claim("raise LR again");
    on_purpose["replicates"] = "h1".into();
    let twin = call(&ben, "c2", "hypothesis", on_purpose).await;
    assert!(twin.text.starts_with("registered h3 at "), "{twin:?}");
    assert_eq!(world.state().hypotheses[&2].status, Status::Rejected);
}

#[tokio::test]
async fn a_refusal_is_in_the_ledger_too() {
    let world = World::new();
    let ana = world.desk("ana");
    let mut said = Vec::new();
    let nothing = call(&ana, "c1", "hypothesis", claim("nothing")).await;
    said.push(nothing.text);
    world.put("ana", "eval.py", "x = 2\n");
    said.push(call(&ana, "c2", "hypothesis", claim("eval")).await.text);
    world.put("ana", "eval.py", "x = 1\n");
    world.put("ana", "notes.txt", "x\n");
    said.push(call(&ana, "c3", "hypothesis", claim("notes")).await.text);
    fs::remove_file(world.file("ana", "notes.txt")).unwrap();
    edit(&world, "ana", "random.seed(1)", "random.seed(2)");
    said.push(call(&ana, "c4", "hypothesis", claim("seed")).await.text);
    let mut silly = claim("silly");
    silly["predicts"] = json!(-1);
    said.push(call(&ana, "c5", "hypothesis", silly).await.text);
    let wanted = [
        "rejected: nothing changed against the baseline",
        "rejected: eval.py is protected",
        "rejected: notes.txt is outside of what a claim may change: train.py, src",
        "rejected: the diff changes how randomness is seeded",
        "rejected: `predicts` must be more than 0",
    ];
    for (said, wanted) in said.iter().zip(wanted) {
        assert!(said.starts_with(wanted), "{said}");
    }
    let state = world.state();
    assert_eq!(state.hypotheses.len(), 5);
    for (id, said) in (1..).zip(&said) {
        let claim = &state.hypotheses[&id];
        assert_eq!(claim.status, Status::Rejected);
        assert_eq!(*said, format!("rejected: {}", claim.reason));
    }
    let repeated = recover(&ana, "c4", "hypothesis", claim("seed"), None).await;
    assert_eq!(repeated.text, said[3]);
    assert_eq!(world.state().hypotheses.len(), 5);
    let unknown = call(&ana, "c6", "hypothesis", json!({"claim": "magic"})).await;
    assert!(
        !unknown.ok && unknown.text.starts_with("Not executed"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn two_agents_cannot_register_one_change_at_once() {
    let world = World::new();
    let (ana, ben) = (world.desk("ana"), world.desk("ben"));
    for agent in ["ana", "ben"] {
        edit(&world, agent, "WIDTH = 2", "WIDTH = 3");
    }
    let (one, other) = tokio::join!(
        call(&ana, "c1", "hypothesis", claim("a")),
        call(&ben, "c1", "hypothesis", claim("b")),
    );
    assert!(one.ok != other.ok, "{one:?} {other:?}");
}

#[tokio::test]
async fn a_dead_end_is_tried_again_only_on_purpose() {
    let world = World::new();
    let (ana, ben) = (world.desk("ana"), world.desk("ben"));
    let body = "a = relu(x)\nb = a * a\nc = norm(b)\nd = c @ w\n";
    let append = |agent: &str, more: &str| {
        let text = world.text("chief", "train.py");
        world.put(agent, "train.py", &format!("{text}{more}"));
    };
    let end = |id: u64, status: Status| {
        let reason = "it came to nothing".to_owned();
        let verdict = None;
        let moved = Kind::HypothesisMoved {
            id,
            status,
            reason,
            verdict,
        };
        world.write(&Actor::Lab, moved);
    };
    append("ana", body);
    assert!(
        call(&ana, "c1", "hypothesis", claim("square the relu"))
            .await
            .ok
    );
    // The same but for a comment and the layout: known while it is still under way.
    append("ben", &body.replace("a * a", "a  *  a  # squared"));
    let same = call(&ben, "c1", "hypothesis", claim("relu, squared")).await;
    assert!(
        same.text.starts_with("rejected: h1 claims the same change"),
        "{same:?}"
    );
    // Nearly the same is somebody's own business, until the first has come to nothing.
    append("ben", &format!("{body}e = d + d\n"));
    assert!(
        call(&ben, "c2", "hypothesis", claim("relu and a half"))
            .await
            .ok
    );
    end(1, Status::Parked);
    end(3, Status::Withdrawn);
    append("ben", &format!("{body}e = d * d\n"));
    let near = call(&ben, "c3", "hypothesis", claim("relu and more")).await;
    let why = "rejected: h1 is nearly the same change and ended parked";
    assert!(near.text.starts_with(why), "{near:?}");
    assert_eq!(world.state().hypotheses[&4].status, Status::Rejected);
    let mut on_purpose = claim("relu and more");
    on_purpose["replicates"] = "h1".into();
    let again = call(&ben, "c4", "hypothesis", on_purpose).await;
    assert!(again.text.starts_with("registered h5"), "{again:?}");
    assert_eq!(world.state().hypotheses[&5].replicates, Some(1));
    let query = json!({"query": "squared relu"});
    let ledger = call(&ana, "c", "ledger", query).await.text;
    assert!(ledger.contains("h1 | parked (dead end) | ana"), "{ledger}");
    assert!(ledger.contains("ben, repeats h1"), "{ledger}");
    // Another number is another experiment.
    append("ana", "LR = 3\n");
    assert!(call(&ana, "c5", "hypothesis", claim("LR")).await.ok);
    end(6, Status::Refuted);
    append("ana", "LR = 4\n");
    assert!(call(&ana, "c6", "hypothesis", claim("LR")).await.ok);
}

#[tokio::test]
async fn open_claims_are_counted_and_a_champion_is_the_base_of_who_builds_on_it() {
    let world = World::new();
    let ana = world.desk("ana");
    for at in 1..=lint::OPEN_CLAIMS {
        let text = world.text("ben", "train.py");
        world.put(
            "ana",
            "train.py",
            &text.replace("LR = 1", &format!("LR = {at}0")),
        );
        let title = format!("t{at}");
        let outcome = call(&ana, &title, "hypothesis", claim(&title)).await;
        assert!(outcome.ok, "{outcome:?}");
    }
    edit(&world, "ana", "WIDTH = 2", "WIDTH = 9");
    let full = call(&ana, "full", "hypothesis", claim("full")).await;
    assert!(full.text.contains("under way already"), "{full:?}");
    // The lab promotes the last one: its commit is the champion, and ana builds on it.
    let last = lint::OPEN_CLAIMS as u64;
    let champion = world.state().hypotheses[&last].commit.clone().unwrap();
    let commit = champion.clone();
    world.write(
        &Actor::Lab,
        Kind::ProgrammeAdvanced {
            hypothesis: last,
            commit,
        },
    );
    world.write(
        &Actor::Lab,
        Kind::HypothesisMoved {
            id: last,
            status: Status::Promoted,
            reason: String::new(),
            verdict: None,
        },
    );
    let next = call(&ana, "next", "hypothesis", claim("wider")).await;
    assert!(next.ok, "{next:?}");
    assert_eq!(world.state().hypotheses[&(last + 2)].base, champion);
    // ben does not have it yet, and is compared with where he began.
    edit(&world, "ben", "LR = 1", "LR = 77");
    let ben = call(&world.desk("ben"), "c", "hypothesis", claim("ben's")).await;
    assert!(ben.ok, "{ben:?}");
    assert_eq!(world.state().hypotheses[&(last + 3)].base, world.base);
}

#[tokio::test]
async fn the_ledger_shows_all_with_the_nearest_first() {
    let world = World::new();
    let ana = world.desk("ana");
    let ledger = |query: &str| call(&ana, "c", "ledger", json!({ "query": query }));
    assert_eq!(ledger("").await, done("no claims yet\n\nno runs yet"));
    for (call_id, title, new) in [
        ("c1", "raise LR <mail>", "LR = 2"),
        ("c2", "warm up", "LR = 3"),
    ] {
        let old = world.text("ana", "train.py");
        let old = old.lines().find(|line| line.starts_with("LR")).unwrap();
        edit(&world, "ana", old, new);
        assert!(call(&ana, call_id, "hypothesis", claim(title)).await.ok);
    }
    assert!(
        call(&ana, "c3", "experiment", json!({"note": "look | x"}))
            .await
            .ok
    );
    let all = call(&ana, "c", "ledger", json!({})).await.text;
    let ids = |text: &str| {
        text.lines()
            .filter_map(|line| line.split(" | ").next())
            .filter(|id| id.starts_with('h') || id.starts_with('e'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&all), ["h2", "h1", "e1"]);
    assert!(
        all.contains("raise LR ‹mail>") && all.contains("look / x"),
        "{all}"
    );
    assert_eq!(ids(&ledger("raise").await.text), ["h1", "h2", "e1"]);
    assert_eq!(ids(&ledger("what of h1").await.text), ["h1", "h2", "e1"]);
    // Another agent's looking around is its own.
    let ben = call(&world.desk("ben"), "c", "ledger", json!({}))
        .await
        .text;
    assert_eq!(ids(&ben), ["h2", "h1"]);
    assert_eq!(world.state().experiments[&1].status, RunStatus::Queued);
}
