//! What an agent does with its tools: the calls that it works on, and the latest that it made.
//!
//! Owns the memory that outlives a conversation: one that begins anew in the middle of a turn is told
//! what was done already, or a model would do it again. Must not know what a tool does.

use std::collections::VecDeque;

use crate::domain::event::{LoggedCall, Text};

/// Calls that are remembered: a long turn's worth, in a few hundred tokens.
const REMEMBERED: usize = 16;

/// A call of the reply that an agent is working on.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCall {
    /// The call.
    pub call: LoggedCall,
    /// The request that brought it.
    pub request: u64,
    /// Whether it was begun.
    pub intent: bool,
    /// Hash of the file that it was about to change.
    pub pre: Option<String>,
    /// What it gave.
    pub result: Option<(bool, Text)>,
}

impl OpenCall {
    /// A call that nothing was done about yet.
    #[must_use]
    pub fn new(call: &LoggedCall, request: u64) -> Self {
        Self {
            call: call.clone(),
            request,
            intent: false,
            pre: None,
            result: None,
        }
    }

    /// What names the call among all of its agent's: some servers number each reply's calls anew.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.request, self.call.id)
    }
}

/// A call that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    call: String,
    /// Its tool.
    pub tool: String,
    /// The call in one line.
    pub brief: String,
    /// Whether it went well; none where that is not known.
    pub ok: Option<bool>,
}

/// The latest calls that were begun, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acts(VecDeque<Act>);

impl Acts {
    /// A call begins.
    pub(super) fn begin(&mut self, call: &str, tool: &str, brief: &str) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Act {
            call: call.to_owned(),
            tool: tool.to_owned(),
            brief: brief.to_owned(),
            ok: None,
        });
    }

    /// It has ended.
    pub(super) fn end(&mut self, call: &str, ok: bool) {
        let open = |act: &&mut Act| act.call == call && act.ok.is_none();
        if let Some(act) = self.0.iter_mut().rev().find(open) {
            act.ok = Some(ok);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Act> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_with_what_came_of_them() {
        let mut acts = Acts::default();
        for number in 0..=REMEMBERED {
            acts.begin("c", "shell", &number.to_string());
            acts.end("c", number % 2 == 0);
        }
        acts.begin("c", "read", "last");
        let all: Vec<_> = acts.iter().map(|it| (it.brief.as_str(), it.ok)).collect();
        assert_eq!((all.len(), all[0].0), (REMEMBERED, "2"));
        assert_eq!(all[REMEMBERED - 2..], [("16", Some(true)), ("last", None)]);
    }
}
