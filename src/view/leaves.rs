//! The tips of what was tried: attempts that nothing was built upon, for `org ledger leaves`.
//!
//! Owns the question, over commits: an attempt is built upon where another attempt's commit has it
//! among its ancestors. Must not know how commits are read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::figure;
use super::ledger;
use super::paint::{Paint, Tint};
use super::table::{Cell, Table};
use crate::domain::event::{RunStatus, Stage, Status};
use crate::domain::state::State;

/// An attempt that nothing was built upon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leaf {
    /// `h3` or `e7`.
    pub id: String,
    /// Other attempts at the same commit.
    pub also: Vec<String>,
    /// Whose.
    pub agent: String,
    /// Its tip: where it was promoted, the programme's commit with it.
    pub commit: String,
    /// How it stands.
    pub status: &'static str,
    /// Whether the programme stands here.
    pub champion: bool,
    /// The metric's mean in its own runs.
    pub value: Option<f64>,
    /// Its gain over its base, positive is better.
    pub effect: Option<f64>,
    /// Title or note.
    pub title: String,
}

/// What was tried at some commits.
struct Node {
    leaf: Leaf,
    commits: Vec<String>,
    rank: u8,
}

/// The commits whose ancestors have to be known.
#[must_use]
pub fn tips(state: &State) -> Vec<String> {
    let commits: BTreeSet<String> = nodes(state)
        .into_iter()
        .flat_map(|node| node.commits)
        .collect();
    commits.into_iter().collect()
}

/// The leaves, the champion first and dead ends last, by the parents of each commit.
#[must_use]
pub fn of(state: &State, parents: &BTreeMap<String, Vec<String>>) -> Vec<Leaf> {
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (commit, of) in parents {
        for parent in of {
            children.entry(parent).or_default().push(commit);
        }
    }
    let nodes = nodes(state);
    let mut owners: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for commit in &node.commits {
            owners.entry(commit).or_default().insert(at);
        }
    }
    let built_upon = |at: usize| {
        // Those at the same commit are the same attempt, and not one built upon it.
        let same = |commit: &str| owners.get(commit).is_some_and(|of| of.contains(&at));
        let mut left: Vec<&str> = nodes[at].commits.iter().map(String::as_str).collect();
        let mut seen: BTreeSet<&str> = left.iter().copied().collect();
        while let Some(commit) = left.pop() {
            if owners.contains_key(commit) && !same(commit) {
                return true;
            }
            let next = children.get(commit).into_iter().flatten();
            left.extend(next.filter(|child| seen.insert(child)));
        }
        false
    };
    let mut leaves: Vec<(u8, usize, Leaf)> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        if built_upon(at) {
            continue;
        }
        let twin = leaves
            .iter_mut()
            .find(|(_, _, leaf)| leaf.commit == node.leaf.commit);
        match twin {
            Some((_, _, leaf)) => leaf.also.push(node.leaf.id.clone()),
            None => leaves.push((node.rank, at, node.leaf.clone())),
        }
    }
    leaves.sort_by_key(|(rank, at, _)| (*rank, *at));
    leaves.into_iter().map(|(_, _, leaf)| leaf).collect()
}

/// Everything that was tried and has a commit: claims that were not refused, then looks around.
fn nodes(state: &State) -> Vec<Node> {
    let claims = state
        .hypotheses
        .values()
        .filter(|claim| claim.status != Status::Rejected)
        .filter_map(|claim| {
            let own = claim.commit.clone()?;
            let promoted = state
                .promotions
                .iter()
                .rev()
                .find(|(id, ..)| *id == claim.id);
            let after = promoted.map(|(_, _, after)| after.clone());
            let tip = after.clone().unwrap_or_else(|| own.clone());
            let champion = tip == state.champion;
            Some(Node {
                rank: if champion { 0 } else { rank(claim.status) },
                leaf: Leaf {
                    id: format!("h{}", claim.id),
                    also: Vec::new(),
                    agent: claim.agent.clone(),
                    commit: tip,
                    status: claim.status.word(),
                    champion,
                    value: state.value_of(claim.id),
                    effect: claim.verdict.as_ref().and_then(|verdict| verdict.effect),
                    title: claim.title.clone(),
                },
                commits: std::iter::once(own).chain(after).collect(),
            })
        });
    let looks = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Explore && run.status != RunStatus::Cancelled)
        .map(|run| Node {
            rank: rank(Status::Undecided),
            leaf: Leaf {
                id: format!("e{}", run.id),
                also: Vec::new(),
                agent: run.agent.clone().unwrap_or_else(|| "lab".to_owned()),
                commit: run.commit.clone(),
                status: run.status.word(),
                champion: false,
                value: run.measured.value,
                effect: None,
                title: run.note.clone(),
            },
            commits: vec![run.commit.clone()],
        });
    claims.chain(looks).collect()
}

/// How much there is to hope for.
fn rank(status: Status) -> u8 {
    match status {
        Status::Promoted => 1,
        Status::Confirmed | Status::Reviewed => 2,
        Status::Registered | Status::Smoke | Status::Screened => 3,
        Status::Undecided => 4,
        _ => 5,
    }
}

/// The leaves for people.
#[must_use]
pub fn text(leaves: &[Leaf], metric: &str, width: usize, paint: Paint) -> String {
    let mut table = Table::new(&[
        "ID", "STATUS", "AGENT", "COMMIT", ">VALUE", ">EFFECT", "TITLE",
    ]);
    let maybe = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for leaf in leaves {
        let ids = std::iter::once(&leaf.id).chain(&leaf.also);
        let ids: Vec<&str> = ids.map(String::as_str).collect();
        let (tint, status) = if leaf.champion {
            (Tint::Good, "champion".to_owned())
        } else {
            (ledger::status_tint(leaf.status), leaf.status.to_owned())
        };
        table.row(vec![
            Cell::tinted(Tint::Bold, ids.join(" ")),
            Cell::tinted(tint, status),
            (&leaf.agent).into(),
            figure::commit(&leaf.commit).into(),
            maybe(leaf.value.map(figure::number)).into(),
            maybe(leaf.effect.map(figure::signed)).into(),
            (&leaf.title).into(),
        ]);
    }
    let head = format!("value: mean of {metric}; effect: gain over what it was built on\n");
    let mut out = table.text(width, paint);
    out.push_str(&paint.tint(Tint::Dim, &head));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |of: &[&str]| of.iter().map(|&it| it.to_owned()).collect();
        edges
            .iter()
            .map(|&(commit, parents)| (commit.to_owned(), owned(parents)))
            .collect()
    }

    fn ids(leaves: &[Leaf]) -> Vec<&str> {
        leaves.iter().map(|leaf| leaf.id.as_str()).collect()
    }

    #[test]
    fn what_was_built_upon_is_no_leaf_and_a_merge_is_no_attempt_of_its_own() {
        let (_, state) = sample::run();
        let merged = ("champ22222", ["base000000", "cand111111"].as_slice());
        let alone = graph(&[
            ("cand111111", &["base000000"]),
            ("look333333", &["base000000"]),
            merged,
        ]);
        let leaves = of(&state, &alone);
        assert_eq!(ids(&leaves), ["h1", "e7"]);
        assert!(leaves[0].champion && leaves[0].commit == "champ22222");
        let upon_the_champion = graph(&[
            ("cand111111", &["base000000"]),
            ("between", &["champ22222"]),
            ("look333333", &["between"]),
            merged,
        ]);
        assert_eq!(ids(&of(&state, &upon_the_champion)), ["e7"]);
        let upon_the_candidate = graph(&[
            ("cand111111", &["base000000"]),
            ("look333333", &["cand111111"]),
            merged,
        ]);
        assert_eq!(ids(&of(&state, &upon_the_candidate)), ["e7"]);
    }

    #[test]
    fn attempts_at_one_commit_are_one_leaf() {
        let (_, mut state) = sample::run();
        let mut twin = state.experiments[&7].clone();
        twin.id = 8;
        state.experiments.insert(8, twin);
        let leaves = of(&state, &graph(&[("look333333", &["base000000"])]));
        assert_eq!(ids(&leaves), ["h1", "e7"]);
        assert_eq!(leaves[1].also, ["e8"]);
        let text = text(&leaves, "val_loss", 80, Paint::Plain);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }
}
