//! The model that an agent speaks to now: which one, where, with which key, and what stands before
//! every conversation with it.
//!
//! Owns the change from one model to another in a living process. Must not know conversations.

use crate::domain::chart::{Chart, KeySource, Role, Wire};
use crate::domain::chat::Head;
use crate::domain::model::{self, Model};
use crate::domain::session;
use crate::domain::state::State;
use crate::provider::{self, Provider};

use super::agent::Member;
use super::keys::KeyRing;

/// Tools whose answer comes by mail, long after a short-lived cache has forgotten the conversation.
const PATIENT: [&str; 3] = ["experiment", "assign", "review"];

/// A model with all that is needed to ask it.
pub(super) struct Mind {
    pub(super) model: Model,
    pub(super) provider: Box<dyn Provider>,
    pub(super) key: Option<String>,
    pub(super) head: Head,
}

impl Mind {
    /// The mind that the log says an agent has; none where the chart does not know its model. `like`
    /// is what it begins its conversations with, whichever model it is.
    pub(super) fn of(
        chart: &Chart,
        state: &State,
        name: &str,
        keys: &KeyRing,
        like: Head,
    ) -> Option<Self> {
        let agent = chart.agent(name)?;
        let named = match state.agents.get(name) {
            Some(mine) => session::model_of(chart, mine, name)?,
            None => &agent.model,
        };
        let mut model = model::resolve(chart, named)?;
        let mut key = keys.get(&model.provider).map(str::to_owned);
        if let (true, Some(port)) = (state.mock, state.mock_port) {
            model.spec.base_url = mock_url(&model, port);
            key = Some(format!("mock-{name}"));
        }
        let role = chart.role_of(agent);
        let head = Head {
            model: named.to_owned(),
            effort: role.effort,
            max_output: model.max_output,
            patient: patient(role),
            ..like
        };
        Some(Self {
            provider: provider::provider(model.spec.wire),
            model,
            key,
            head,
        })
    }

    /// Whether its server wants a key and there is none.
    pub(super) fn lacks_key(&self) -> bool {
        self.key.is_none() && self.model.spec.key != KeySource::None
    }
}

fn patient(role: &Role) -> bool {
    role.tools
        .iter()
        .any(|tool| PATIENT.contains(&tool.as_str()))
}

/// Where the mock stands in for a model's server.
fn mock_url(model: &Model, port: u16) -> String {
    match model.spec.wire {
        Wire::Anthropic => format!("http://127.0.0.1:{port}"),
        Wire::Openai => format!("http://127.0.0.1:{port}/v1"),
    }
}

impl Member {
    /// Takes the model that the log says, where it is another than that of the last request.
    pub(super) fn make_up_mind(&mut self) {
        let fresh = {
            let log = self.log();
            let state = log.state();
            let mine = state.agents.get(&self.name);
            let named = mine.and_then(|mine| session::model_of(&self.chart, mine, &self.name));
            if named.is_none_or(|named| named == self.mind.head.model) {
                return;
            }
            let like = self.mind.head.clone();
            Mind::of(&self.chart, state, &self.name, &self.keys, like)
        };
        if let Some(mind) = fresh {
            self.mind = mind;
            self.history.clear();
        }
    }
}
