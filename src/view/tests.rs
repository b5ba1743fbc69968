//! Tests of status and report: names that scripts read, honesty, and the pages as snapshots.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::paint::Paint;
use super::report::{Block, Document, Sources, Unresolved};
use super::status::{Holder, Seen, Status};
use super::{ledger, report, sample, status};
use crate::domain::event::{Decision, Review, Stage};
use crate::domain::protocol::Part;
use crate::domain::state::State;
use crate::run::chain::Chain;

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
    let all = "agents best budget dir experiments headline hypotheses interventions mock needs_you notices org \
               outages promotions reason run sandbox started state supervisor tmux";
    assert_eq!(sample::keys(&value).join(" "), all);
    let agent = "branch gpu model name pane pid provider reason role since state tasks tokens turns unread \
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
    assert_eq!(names(&value["experiments"]), "done frozen queued running");
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

fn told<T>(state: &State, tell: impl FnOnce(&report::Material<'_>) -> T) -> T {
    let chart = sample::chart();
    let (_, events) = sample::events();
    let deeds: Vec<_> = events
        .into_iter()
        .filter(|event| State::is_intervention(event) && event.seq <= state.seq)
        .collect();
    tell(&report::Material {
        chart: &chart,
        state,
        status: &sample_status(state),
        ledger: &ledger::of(state),
        chain: &Chain::default(),
        deeds: &deeds,
        now: now(),
    })
}

fn report_of(state: &State) -> String {
    told(state, report::text).expect("every number resolves")
}

fn page_of(state: &State) -> String {
    told(state, report::page).expect("every number resolves")
}

/// The sample, as it was after so many events.
fn early(events: usize) -> State {
    let (_, all) = sample::events();
    let mut state = State::default();
    for event in all.iter().take(events) {
        state.apply(event).expect("folds");
    }
    state
}

#[test]
fn the_report_tells_the_whole_story_and_says_mock_first() {
    let (_, state) = sample::run();
    let text = report_of(&state);
    assert!(text.starts_with("> **MOCKED RUN"));
    insta::assert_snapshot!(text);
}

#[test]
fn the_first_ten_lines_have_what_one_wants_to_know_in_the_morning() {
    let (_, state) = sample::run();
    let text = report_of(&state);
    let first: Vec<&str> = text.lines().take(10).collect();
    let first = first.join("\n");
    for words in [
        "What happened",
        "Promoted",
        "raise LR",
        "It cost",
        "Needs you",
        "no key",
        "Confinement",
    ] {
        assert!(first.contains(words), "{words} in {first}");
    }
}

#[test]
fn a_report_of_nothing_claims_nothing() {
    for events in [1, 4, 9] {
        let text = report_of(&early(events));
        for words in [
            "Nothing was promoted",
            "No claim was made",
            "No baseline run has ended",
            "No run was made without a claim",
        ] {
            assert!(text.contains(words), "{words} in {text}");
        }
        page_of(&early(events));
    }
}

#[test]
fn a_report_can_be_had_after_every_event() {
    let (_, all) = sample::events();
    for events in 1..=all.len() {
        report_of(&early(events));
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
        text.contains("n = [2](#runs) seeds ([e1](#e1), [e2](#e2))"),
        "{text}"
    );
    assert!(
        text.contains("The same seed run again ([e8](#e8)) came out [0.05](#e8) apart."),
        "{text}"
    );
}

#[test]
fn a_number_that_comes_from_nowhere_fails_the_report() {
    let (_, state) = sample::run();
    let agents = vec!["ana".to_owned()];
    let sources = Sources::new(&state, &agents);
    assert_eq!(sources.claim(9), Err(Unresolved::NoEntry("h9".to_owned())));
    assert_eq!(sources.run(70), Err(Unresolved::NoEntry("e70".to_owned())));
    assert!(sources.agent("zoe").is_err() && sources.event(10_000).is_err());
    let claim = sources.claim(1).expect("it is there");
    let cited = || Block::Text(vec![claim.number("0.5").into()]);
    assert_eq!(
        Document::new(vec![cited()]),
        Err(Unresolved::NotShown("h1".to_owned()))
    );
    let shown = Block::Part(claim.clone(), Vec::new());
    assert!(Document::new(vec![cited(), shown]).is_ok());
    let typed = Block::Text(vec!["better by 0.5".into()]);
    assert_eq!(
        Document::new(vec![typed]),
        Err(Unresolved::Uncited("better by 0.5"))
    );
    // A log whose parts do not fit each other.
    let mut torn = state.clone();
    torn.promotions.push((77, "a".to_owned(), "b".to_owned()));
    let failed = told(&torn, report::text);
    assert_eq!(failed, Err(Unresolved::NoEntry("h77".to_owned())));
}

#[test]
fn the_page_needs_nothing_else_and_its_links_lead_somewhere() {
    let (_, mut state) = sample::run();
    let claim = state.hypotheses.get_mut(&1).expect("h1");
    claim.title = "<script>alert(1)</script> <img src=x onerror=y> \"quoted\"".to_owned();
    let page = page_of(&state);
    for never in ["<script", "<img", "http://", "https://", "@import", "url("] {
        let found = page
            .replace("http://www.w3.org/2000/svg", "")
            .contains(never);
        assert!(!found, "{never}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("name=\"viewport\""));
    let parts = |begin: &str| -> Vec<String> {
        let pieces = page.split(begin).skip(1);
        pieces
            .map(|piece| piece[..piece.find('"').expect("closed")].to_owned())
            .collect()
    };
    let ids = parts(" id=\"");
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "an id stands for one thing");
    let links = parts(" href=\"#");
    assert!(links.len() > 100, "{}", links.len());
    for link in links {
        assert!(ids.contains(&link), "#{link} leads nowhere");
    }
    for (open, close) in [
        ("<tr", "</tr>"),
        ("<table", "</table>"),
        ("<dl", "</dl>"),
        ("<svg", "</svg>"),
        ("<a ", "</a>"),
    ] {
        assert_eq!(
            page.matches(open).count(),
            page.matches(close).count(),
            "{open}"
        );
    }
}

#[test]
fn a_ledger_that_was_changed_is_the_first_thing_said() {
    let (_, state) = sample::run();
    let (_, events) = sample::events();
    let mut chain = Chain::default();
    for event in &events {
        let prev = "f".repeat(64);
        chain.see(
            event,
            format!("{{\"prev\":\"{prev}\",\"seq\":{}}}", event.seq).as_bytes(),
        );
    }
    let said = told(&state, |material| {
        report::text(&report::Material {
            chain: &chain,
            ..*material
        })
    });
    let said = said.expect("told all the same");
    let third = said.lines().nth(2).expect("a line");
    assert!(third.contains("THE LEDGER WAS CHANGED"), "{said}");
}

#[test]
fn the_parts_of_a_promoted_bundle_are_told_one_by_one() {
    let (_, mut state) = sample::run();
    let claim = state.hypotheses.get_mut(&1).expect("h1");
    claim.dropped = vec![("the warm-up".to_owned(), "no worse without it".to_owned())];
    claim.split = Some(vec![Part {
        name: "the norm".to_owned(),
        without: "less000000".to_owned(),
    }]);
    let mut left_out = state.experiments[&6].clone();
    left_out.id = 8;
    left_out.stage = Stage::Ablate;
    left_out.commit = "less000000".to_owned();
    left_out.measured.value = Some(0.75);
    state.experiments.insert(8, left_out);
    let text = report_of(&state);
    let without = "[h1](#h1) without the norm: **[0.75](#h1)**, with it [0.5](#h1); it does its work ([e8](#e8))";
    assert!(text.contains(without), "{text}");
    let dropped = "[h1](#h1): **dropped** was the warm-up: no worse without it";
    assert!(text.contains(dropped), "{text}");
}

#[test]
fn what_others_decided_on_a_claim_is_told_with_what_they_checked() {
    let (_, mut state) = sample::run();
    let review = Review {
        hypothesis: 1,
        by: "ben".to_owned(),
        decision: Decision::Approve,
        checks: vec!["equal FLOPs".to_owned(), "no leak".to_owned()],
        reason: "the mechanism fits".into(),
        call: None,
    };
    state.society.reviews.insert(1, vec![review]);
    let text = report_of(&state);
    let told =
        "- **review**: **approved** by `ben`: the mechanism fits (checked: equal FLOPs; no leak)";
    assert!(text.contains(told), "{text}");
}
