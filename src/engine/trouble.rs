//! Requests that gave nothing: what is written down, when it is tried again, and by whom.
//!
//! Owns the meaning of each kind of failure for an agent. An outage is no failure of its own, a refused
//! key or a refused request is a person's business, and a history that the server will not take is
//! left behind. Must not know how requests are made.

use std::hash::{BuildHasher, Hasher, RandomState};

use jiff::{SignedDuration, Timestamp};

use crate::domain::event::Kind;
use crate::domain::state::AgentState;
use crate::domain::{retry, session};
use crate::os::clock;
use crate::provider::ProviderError;

use super::agent::{AgentError, Member};
use super::money::Reserved;

/// Longest extra wait after a server asked to be left alone, seconds.
const SPREAD_S: f64 = 2.0;

impl Member {
    /// A person or the run's end cut a request short.
    pub(super) fn stopped(&mut self, reserved: &Reserved) -> Result<(), AgentError> {
        self.append(vec![Kind::RequestFailed {
            agent: self.name.clone(),
            request: reserved.request,
            provider: self.mind.model.provider.clone(),
            what: "interrupted".to_owned(),
            error: "stopped by a person".to_owned(),
            retry_at: None,
            usd: reserved.usd,
        }])?;
        if self.has_word() && self.mine().turn.is_some() {
            return self.end_turn(true);
        }
        Ok(())
    }

    /// Until when the server is left alone, with some spread so that agents on one key do not come
    /// back in step.
    pub(super) fn gate(&self) -> Option<Timestamp> {
        let log = self.log();
        let provider = &self.mind.model.provider;
        let until = log.state().gate(&self.name, provider, clock::now())?;
        Some(after(until, SPREAD_S * jitter()))
    }

    /// Whether a stand-in has served long enough for the model itself to be tried again.
    pub(super) fn has_stood_in(&self) -> bool {
        let log = self.log();
        let mine = log.state().agents.get(&self.name);
        let since = mine.and_then(|mine| mine.stand_in.as_ref()).map(|it| it.1);
        since.is_some_and(|since| clock::now().duration_since(since) >= session::STAND_IN)
    }

    /// Writes a failure down and says when it is tried again, or holds the agent.
    pub(super) fn refused(
        &mut self,
        mine: &AgentState,
        reserved: &Reserved,
        error: &ProviderError,
        spent: bool,
    ) -> Result<(), AgentError> {
        let retry_at = self
            .again(mine, error)
            .map(|wait| after(clock::now(), wait));
        let mut kinds = vec![Kind::RequestFailed {
            agent: self.name.clone(),
            request: reserved.request,
            provider: self.mind.model.provider.clone(),
            what: error.kind().to_owned(),
            error: error.to_string(),
            retry_at,
            usd: if spent { reserved.usd } else { 0.0 },
        }];
        // Never a blind retry: the same turn goes on in a new conversation.
        let renewed = match error {
            ProviderError::ContextTooLong { .. } => Some("it no longer fitted the model's window"),
            ProviderError::HistoryRefused { .. } => Some("the server no longer took its history"),
            _ => None,
        };
        if let Some(why) = renewed.filter(|_| mine.replies > 0) {
            self.append(kinds)?;
            return self.renew(why, "");
        }
        if retry_at.is_none() {
            kinds.push(Kind::AgentHeld {
                agent: self.name.clone(),
                reason: error.to_string(),
                cap: false,
                until: None,
            });
        }
        self.append(kinds)
    }

    /// Seconds until the same request is made again; none where it is not.
    fn again(&self, mine: &AgentState, error: &ProviderError) -> Option<f64> {
        let log = self.log();
        let outage = log.state().outages.get(&self.mind.model.provider);
        // Whoever tries first for all waits as long as all have waited.
        let rounds = outage.map_or(0, |outage| outage.rounds);
        let failures = (mine.failures + 1).max(rounds + 1);
        match error {
            ProviderError::Quota { .. } => Some(retry::QUOTA_PROBE_S),
            ProviderError::Malformed { .. } if mine.failures + 1 < retry::MALFORMED_IN_A_ROW => {
                Some(retry::wait(failures, None, jitter()))
            }
            error if error.transient() => {
                Some(retry::wait(failures, error.retry_after(), jitter()))
            }
            _ => None,
        }
    }
}

fn after(now: Timestamp, seconds: f64) -> Timestamp {
    SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|wait| now.checked_add(wait).ok())
        .unwrap_or(now)
}

/// A number in [0, 1) that differs between agents: the standard library's own random hasher keys.
fn jitter() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
