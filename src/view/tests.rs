//! Tests of status and report: names that scripts read, honesty, and the pages as snapshots.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::paint::Paint;
use super::status::{Holder, Seen, Status};
use super::{ledger, report, sample, status};
use crate::domain::state::State;

fn seen() -> Seen {
    Seen {
        dir: "/runs/t-abcd".to_owned(),
        supervisor: true,
        agents: BTreeMap::from([
            ("ana".to_owned(), Holder::Process(Some(42))),
            ("ben".to_owned(), Holder::Nobody),
        ]),
        disk_bytes: 3 << 20,
    }
}

fn now() -> Timestamp {
    sample::start() + SignedDuration::from_mins(10)
}

fn sample_status(state: &State) -> Status {
    status::of(&sample::chart(), state, &seen(), now())
}

#[test]
fn status_has_the_names_that_scripts_read() {
    let (_, state) = sample::run();
    let value = serde_json::to_value(sample_status(&state)).expect("plain data");
    let all = "agents best budget dir experiments headline hypotheses interventions mock needs_you org \
               promotions reason run sandbox started state supervisor tmux";
    assert_eq!(sample::keys(&value).join(" "), all);
    let agent = "branch gpu model name pane pid provider reason role since state tokens turns unread \
                 usd worktree";
    assert_eq!(sample::keys(&value["agents"][0]).join(" "), agent);
    let names = |of: &serde_json::Value| sample::keys(of).join(" ");
    assert_eq!(
        names(&value["agents"][0]["tokens"]),
        "cache_read cache_write input output"
    );
    assert_eq!(
        names(&value["budget"]),
        "disk_bytes gpu_seconds usd wall_seconds"
    );
    assert_eq!(names(&value["budget"]["usd"]), "cap reserved spent");
    assert_eq!(names(&value["experiments"]), "done queued running");
    assert_eq!(names(&value["best"]), "hypothesis value");
    assert_eq!(names(&value["tmux"]), "session socket");
    assert_eq!(names(&value["needs_you"][0]), "agent command reason since");
    assert_eq!(value["sandbox"]["network"], "not");
    assert_eq!(value["sandbox"]["reads"], "enforced");
    assert_eq!(value["agents"][0]["provider"], "anthropic");
    assert_eq!(value["agents"][0]["gpu"], 0);
    assert_eq!(value["agents"][1]["gpu"], serde_json::Value::Null);
    assert_eq!(value["best"]["hypothesis"], "h1");
    assert_eq!(value["started"], "2026-02-03T04:05:06Z");
    assert_eq!(value["budget"]["wall_seconds"]["spent"], 600.0);
}

#[test]
fn a_pid_is_shown_only_of_who_holds_a_lock_and_what_was_not_asked_is_unknown() {
    let (_, state) = sample::run();
    let mut seen = seen();
    let shown = |seen: &Seen| {
        let status = status::of(&sample::chart(), &state, seen, now());
        (status.agents[0].pid, status.agents[0].state)
    };
    assert_eq!(shown(&seen), (Some(42), "thinking"));
    seen.agents.insert("ana".to_owned(), Holder::Nobody);
    assert_eq!(shown(&seen), (None, "unknown"));
    seen.agents.remove("ana");
    assert_eq!(shown(&seen), (None, "unknown"));
}

#[test]
fn the_status_page_is_calm_at_80_columns() {
    let (_, state) = sample::run();
    let text = super::status_text(&sample_status(&state), now(), 80, Paint::Plain);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    insta::assert_snapshot!(text);
}

fn report_of(state: &State) -> String {
    let chart = sample::chart();
    report::text(&report::Material {
        chart: &chart,
        state,
        status: &sample_status(state),
        ledger: &ledger::of(state),
        now: now(),
    })
}

#[test]
fn the_report_tells_the_whole_story_and_says_mock_first() {
    let (_, state) = sample::run();
    let text = report_of(&state);
    assert!(text.starts_with("MOCKED RUN"));
    insta::assert_snapshot!(text);
}

#[test]
fn a_report_of_nothing_claims_nothing() {
    let (_, events) = sample::events();
    let mut state = State::default();
    for event in events.iter().take(9) {
        state.apply(event).expect("folds");
    }
    let text = report_of(&state);
    for words in [
        "Nothing was promoted",
        "No claim was made",
        "No baseline run has ended",
        "No run was made without a claim",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[test]
fn a_seed_that_was_run_twice_is_one_sample() {
    let (_, mut state) = sample::run();
    let mut again = state.experiments[&1].clone();
    again.id = 8;
    again.measured.value = Some(1.15);
    state.experiments.insert(8, again);
    let text = report_of(&state);
    assert!(
        text.contains("n = 2 seeds ([e1](#e1), [e2](#e2))"),
        "{text}"
    );
    assert!(
        text.contains("The same seed run again ([e8](#e8)) came out 0.05 apart."),
        "{text}"
    );
}
