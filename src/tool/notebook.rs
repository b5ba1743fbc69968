//! What an agent keeps for itself, and saying that it is done.

use serde_json::Value;

use crate::domain::event::{Class, Kind, Text};
use crate::domain::state::{AgentState, OpenCall};

use super::arguments::{Argument, Shape};
use super::{Acting, Desk, Outcome, Tool, broken, one_line};

/// Longest note: the notebook is read anew at each conversation, so that a page is plenty.
const NOTE_BYTES: usize = 16 * 1024;

/// The tool `note`.
#[derive(Debug)]
pub(super) struct Note;

impl Tool for Note {
    fn name(&self) -> &'static str {
        "note"
    }

    fn arguments(&self) -> &'static [Argument] {
        const { &[Argument::needed("text", Shape::Text(NOTE_BYTES))] }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        one_line(args["text"].as_str().unwrap_or(""))
    }

    fn run<'a>(&'a self, desk: &'a Desk, _call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            keep(desk, self, args, "text", "kept", |agent, text| {
                Kind::NoteKept { agent, text }
            })
        })
    }

    fn recover<'a>(&'a self, desk: &'a Desk, open: &'a OpenCall, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let text = args["text"].as_str().unwrap_or("");
            let kept = |agent: &AgentState| agent.notes.last() == desk.text(text).ok().as_ref();
            if happened(desk, kept) {
                return Outcome::done("kept");
            }
            self.run(desk, &open.key(), args).await
        })
    }
}

/// The tool `done`.
#[derive(Debug)]
pub(super) struct Done;

impl Tool for Done {
    fn name(&self) -> &'static str {
        "done"
    }

    fn arguments(&self) -> &'static [Argument] {
        const { &[Argument::needed("summary", Shape::Text(NOTE_BYTES))] }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        one_line(args["summary"].as_str().unwrap_or(""))
    }

    fn run<'a>(&'a self, desk: &'a Desk, _call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            keep(desk, self, args, "summary", "done", |agent, summary| {
                Kind::AgentDone { agent, summary }
            })
        })
    }

    fn recover<'a>(&'a self, desk: &'a Desk, open: &'a OpenCall, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            if happened(desk, |agent| agent.done) {
                return Outcome::done("done");
            }
            self.run(desk, &open.key(), args).await
        })
    }
}

fn happened(desk: &Desk, seen: impl FnOnce(&AgentState) -> bool) -> bool {
    desk.look(|state| state.agents.get(&desk.agent).is_some_and(seen))
        .unwrap_or(false)
}

/// Appends a text of the agent's. Nothing here waits, so it happens wholly or not at all.
fn keep(
    desk: &Desk,
    tool: &dyn Tool,
    args: &Value,
    name: &str,
    said: &str,
    event: impl FnOnce(String, Text) -> Kind,
) -> Outcome {
    let args = match desk.arguments(tool, args) {
        Ok(args) => args,
        Err(outcome) => return outcome,
    };
    let text = match desk.text(args.needed(name)) {
        Ok(text) => text,
        Err(error) => return broken(&error),
    };
    let kind = event(desk.agent.clone(), text);
    let kept = desk.transact(|_| Ok::<_, std::convert::Infallible>((vec![kind], ())));
    match kept {
        Ok(_) => Outcome::done(said),
        Err(error) => broken(&error),
    }
}
