//! Running a model's calls: intent, act, result.
//!
//! Whatever is found with an intent and without a result was in the hands of a process that died;
//! its tool says what may be done about it. Calls of one reply were made without seeing each other's
//! results: neighbours that only read, and neighbours that are commands, run side by side, each with
//! its own limits and process group. What changes files, sends or registers keeps its place, since the
//! order of such things has a meaning.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;

use crate::domain::event::{Class, Kind};
use crate::domain::state::{OpenCall, State};
use crate::run::bell::Bell;
use crate::run::log::Decision;
use crate::tool::{Outcome, Tool};

use super::agent::{AgentError, Member, interrupted};

/// Most calls that run side by side.
const ABREAST: usize = 8;

/// Whether neighbouring calls of a class may run side by side.
fn abreast(class: Class) -> bool {
    matches!(class, Class::Read | Class::Opaque)
}

/// A call that can be run: its place among the tools, and its arguments.
struct Ready<'a> {
    open: &'a OpenCall,
    tool: usize,
    args: Value,
}

impl Member {
    /// Runs every call that has no result yet.
    pub(super) async fn use_tools(&mut self) -> Result<(), AgentError> {
        let open: Vec<OpenCall> = self
            .mine()
            .calls
            .into_iter()
            .filter(|open| open.result.is_none())
            .collect();
        let mut rest = open.as_slice();
        while !rest.is_empty() {
            if !self.may_go_on()? {
                // What is left is done when a person lets the agent go on.
                return Ok(());
            }
            let first = self.class_of(&rest[0]);
            let alike = rest
                .iter()
                .take_while(|open| first.is_some_and(abreast) && self.class_of(open) == first);
            let (now, later) = rest.split_at(alike.take(ABREAST).count().max(1));
            if self.use_some(now).await? {
                return self.drop_rest();
            }
            rest = later;
        }
        Ok(())
    }

    fn may_go_on(&self) -> Result<bool, AgentError> {
        let mut log = self.log();
        log.catch_up()?;
        log.drain();
        Ok(log.state().may_think(&self.name))
    }

    /// Writes down what is about to be done, unless a person has stopped the agent meanwhile: whoever
    /// paused or took it can rely on that nothing begins any more.
    fn intend(&self, intents: Vec<Kind>) -> Result<bool, AgentError> {
        let name = &self.name;
        let decide = |state: &State| -> Decision<(), ()> {
            state.may_think(name).then_some((intents, ())).ok_or(())
        };
        let decided = self.log().transact(&self.actor, decide)?;
        Ok(decided.is_ok())
    }

    /// The class of a call's tool; none where there is no such tool.
    fn class_of(&self, open: &OpenCall) -> Option<Class> {
        let mut tools = self.tools.iter();
        let named = tools.find(|tool| tool.name() == open.call.name)?;
        Some(named.class())
    }

    /// Runs some calls side by side; says whether somebody stopped them.
    async fn use_some(&mut self, open: &[OpenCall]) -> Result<bool, AgentError> {
        let mut ready = Vec::new();
        for call in open {
            match self.ready(call)? {
                Ok(call) => ready.push(call),
                Err(outcome) => self.result(call, &outcome)?,
            }
        }
        let intents = ready.iter().filter(|call| !call.open.intent).map(|call| {
            let tool: &dyn Tool = self.tools[call.tool].as_ref();
            self.touched |= tool.class() != Class::Read;
            Kind::ToolIntent {
                agent: self.name.clone(),
                call: call.open.call.id.clone(),
                tool: call.open.call.name.clone(),
                class: tool.class(),
                brief: tool.brief(&call.args),
                pre: tool.pre(&self.desk, &call.args),
            }
        });
        let intents: Vec<Kind> = intents.collect();
        if !intents.is_empty() && !self.intend(intents)? {
            return Ok(false);
        }
        // What only reads has an intent that need not be on disk; the reply that it comes from must.
        self.settle()?;
        // The bell is taken out, so that what comes in can be written down while it is listened to.
        let mut bell = std::mem::replace(&mut self.bell, Bell::silent());
        let stopped = self.act(&ready, &mut bell).await;
        self.bell = bell;
        stopped
    }

    /// Carries calls out side by side, and writes each result down as it comes; says whether somebody
    /// stopped them.
    async fn act(&self, ready: &[Ready<'_>], bell: &mut Bell) -> Result<bool, AgentError> {
        let mut acting: FuturesUnordered<_> = ready
            .iter()
            .map(|call| async move {
                let tool = &self.tools[call.tool];
                let outcome = if call.open.intent {
                    tool.recover(&self.desk, call.open, &call.args).await
                } else {
                    tool.run(&self.desk, &call.open.key(), &call.args).await
                };
                (call.open, outcome)
            })
            .collect();
        loop {
            // Dropping what acts ends its processes: each tool's own duty.
            let ended = tokio::select! {
                ended = acting.next() => ended,
                () = interrupted(&self.log, bell, &self.term, &self.name) => return Ok(true),
            };
            match ended {
                Some((open, outcome)) => {
                    self.result(open, &outcome)?;
                    if !acting.is_empty() {
                        // Its neighbours may take hours.
                        self.settle()?;
                    }
                }
                None => return Ok(false),
            }
        }
    }

    /// What is needed to run a call, or what the model is told instead.
    fn ready<'a>(&self, open: &'a OpenCall) -> Result<Result<Ready<'a>, Outcome>, AgentError> {
        let blobs = self.log().blobs();
        let arguments = blobs
            .whole(&open.call.arguments)
            .map_err(AgentError::io("read arguments"))?;
        let name = &open.call.name;
        let refused = |text: String| Ok(Err(Outcome { ok: false, text }));
        let Some(tool) = self.tools.iter().position(|tool| tool.name() == name) else {
            return refused(self.texts.unknown_tool(name, &self.tool_names()));
        };
        match serde_json::from_str::<Value>(&arguments) {
            Ok(args @ Value::Object(_)) => Ok(Ok(Ready { open, tool, args })),
            Ok(_) => refused(self.texts.bad_arguments(name, "they are not a JSON object")),
            Err(error) => refused(self.texts.bad_arguments(name, &error.to_string())),
        }
    }

    fn result(&self, open: &OpenCall, outcome: &Outcome) -> Result<(), AgentError> {
        let blobs = self.log().blobs();
        let output = blobs
            .text(&outcome.text)
            .map_err(AgentError::io("keep a tool's output"))?;
        self.append_ahead(vec![Kind::ToolResult {
            agent: self.name.clone(),
            call: open.call.id.clone(),
            tool: open.call.name.clone(),
            ok: outcome.ok,
            output,
        }])
    }

    /// Answers what was not finished, so that the conversation stays one that the wire accepts.
    fn drop_rest(&mut self) -> Result<(), AgentError> {
        if !self.has_word() {
            // The process ends, and its successor knows by the intents what may be done.
            return Ok(());
        }
        for call in self
            .mine()
            .calls
            .iter()
            .filter(|open| open.result.is_none())
        {
            let text = self
                .texts
                .unknown_outcome(&call.call.name, "stopped by a person");
            self.result(call, &Outcome { ok: false, text })?;
        }
        self.end_turn(true)
    }

    fn tool_names(&self) -> String {
        self.tools
            .iter()
            .map(|tool| tool.name())
            .collect::<Vec<_>>()
            .join(", ")
    }
}
