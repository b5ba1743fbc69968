//! What the office's borders and status line say: each agent's state, and how much needs a person.
//!
//! Derived from the fold and told to tmux only where it changed, in one call, at most twice a second:
//! a border that flickers tells nobody anything. A failure costs a colour, nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::{needs, standing};
use crate::office::Mark;
use crate::os::clock;

use super::supervise::{Report, Supervisor};
use super::{seats, task};

/// Shortest time between two calls.
const SPACING: Duration = Duration::from_millis(500);

/// What was last told.
#[derive(Debug, Default)]
pub(super) struct Told {
    words: BTreeMap<String, &'static str>,
    needs: u32,
    built: u64,
    at: Option<Instant>,
    telling: bool,
}

impl Told {
    /// The last call is over.
    pub(super) fn over(&mut self) {
        self.telling = false;
    }
}

impl Supervisor {
    /// Tells the office what changed; says when to look again where it is too early.
    pub(super) fn mark(&mut self) -> Option<Duration> {
        let office = self.log.state().office.clone()?;
        if self.told.telling {
            return None;
        }
        if office.built != self.told.built {
            self.told = Told {
                built: office.built,
                at: self.told.at,
                ..Told::default()
            };
        }
        let (marks, words, needs) = self.changes(&office.panes);
        if marks.is_empty() {
            return None;
        }
        let now = clock::monotonic();
        if let Some(at) = self.told.at
            && now.duration_since(at) < SPACING
        {
            return Some(SPACING - now.duration_since(at));
        }
        self.told.at = Some(now);
        self.told.telling = true;
        self.told.words.extend(words);
        self.told.needs = needs;
        let report = self.report.clone();
        let door = seats::office(&self.dir, &self.clean).ok()?;
        task::start(async move {
            if let Err(error) = door.mark(&marks).await {
                tracing::debug!(%error, "the office was not told");
            }
            report.send(Report::Marked).ok();
        });
        None
    }

    fn changes(
        &self,
        panes: &BTreeMap<String, String>,
    ) -> (Vec<Mark>, BTreeMap<String, &'static str>, u32) {
        let state = self.log.state();
        let (mut marks, mut words) = (Vec::new(), BTreeMap::new());
        for (name, pane) in panes
            .iter()
            .filter(|(name, _)| state.agents.contains_key(*name))
        {
            let alive = self.alive.contains_key(name);
            let word = standing::agent(state, name, Some(alive), clock::now()).word;
            if self.told.words.get(name) != Some(&word) {
                words.insert(name.clone(), word);
                let (pane, word) = (pane.clone(), word.to_owned());
                marks.push(Mark::State { pane, word });
            }
        }
        let needs = u32::try_from(needs::needs_you(&self.chart, state, clock::now()).len())
            .unwrap_or(u32::MAX);
        if needs != self.told.needs {
            marks.push(Mark::Needs(needs));
        }
        (marks, words, needs)
    }
}
