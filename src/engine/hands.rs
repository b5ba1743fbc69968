//! Running a model's calls: intent, act, result.
//!
//! Whatever is found with an intent and without a result was in the hands of a process that died;
//! its tool says what may be done about it. Calls run in the order in which the model made them.

use serde_json::Value;

use crate::domain::event::Kind;
use crate::domain::state::OpenCall;
use crate::tool::{Outcome, Tool};

use super::agent::{AgentError, Member, interrupted};

impl Member {
    /// Runs every call that has no result yet.
    pub(super) async fn use_tools(&mut self) -> Result<(), AgentError> {
        let open: Vec<OpenCall> = self
            .mine()
            .calls
            .into_iter()
            .filter(|open| open.result.is_none())
            .collect();
        for call in open {
            let stopped = self.use_one(&call).await?;
            if stopped {
                return self.drop_rest();
            }
        }
        Ok(())
    }

    /// Runs one call; says whether somebody stopped it.
    async fn use_one(&mut self, open: &OpenCall) -> Result<bool, AgentError> {
        let blobs = self.log().blobs();
        let arguments = blobs
            .whole(&open.call.arguments)
            .map_err(AgentError::io("read arguments"))?;
        let name = open.call.name.clone();
        let Some(at) = self.tools.iter().position(|tool| tool.name() == name) else {
            let text = self.texts.unknown_tool(&name, &self.tool_names());
            self.result(open, &Outcome { ok: false, text })?;
            return Ok(false);
        };
        let value = match serde_json::from_str::<Value>(&arguments) {
            Ok(value @ Value::Object(_)) => value,
            Ok(_) => {
                let text = self
                    .texts
                    .bad_arguments(&name, "they are not a JSON object");
                self.result(open, &Outcome { ok: false, text })?;
                return Ok(false);
            }
            Err(error) => {
                let text = self.texts.bad_arguments(&name, &error.to_string());
                self.result(open, &Outcome { ok: false, text })?;
                return Ok(false);
            }
        };
        self.touched = true;
        let outcome = self.act(at, open, &value).await?;
        match outcome {
            Some(outcome) => {
                self.result(open, &outcome)?;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    async fn act(
        &mut self,
        at: usize,
        open: &OpenCall,
        value: &Value,
    ) -> Result<Option<Outcome>, AgentError> {
        let tool: &dyn Tool = self.tools[at].as_ref();
        if !open.intent {
            self.append(vec![Kind::ToolIntent {
                agent: self.name.clone(),
                call: open.call.id.clone(),
                tool: open.call.name.clone(),
                class: tool.class(),
                brief: tool.brief(value),
                pre: tool.pre(&self.desk, value),
            }])?;
        }
        let acting = async {
            if open.intent {
                tool.recover(&self.desk, open, value).await
            } else {
                tool.run(&self.desk, &open.call.id, value).await
            }
        };
        // Dropping what acts ends its processes: each tool's own duty.
        Ok(tokio::select! {
            outcome = acting => Some(outcome),
            () = interrupted(&self.log, &mut self.bell, &self.term, &self.name) => None,
        })
    }

    fn result(&self, open: &OpenCall, outcome: &Outcome) -> Result<(), AgentError> {
        let blobs = self.log().blobs();
        let output = blobs
            .text(&outcome.text)
            .map_err(AgentError::io("keep a tool's output"))?;
        self.append(vec![Kind::ToolResult {
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
