//! What is new since the last look: mail that the log has, and files that people dropped.
//!
//! Owns how both become mail in a mailbox. Must not know what is said in it.

use crate::domain::event::{Actor, Kind};
use crate::run::maildir::{Dropped, Maildir};

use super::supervise::{SuperviseError, Supervisor};

impl Supervisor {
    /// Delivers new mail, puts away what was read, and takes in what people dropped.
    pub(super) fn look_at_news(&mut self) -> Result<(), SuperviseError> {
        let mut mails = Vec::new();
        for event in self.log.drain() {
            self.kept.see(&event.body);
            match event.body {
                Kind::MailSent { id, .. } => mails.push(id),
                Kind::TurnStarted { mails: ids, .. } | Kind::MailRead { ids, .. } => {
                    mails.extend(ids);
                }
                _ => {}
            }
        }
        self.kept.refresh(&self.dir, &self.chart, self.log.state());
        self.post(&mails);
        for agent in self.chart.agents.clone() {
            let mailbox = Maildir::at(self.dir.mailbox(&agent.name));
            for dropped in mailbox.dropped().unwrap_or_default() {
                self.take_in(&agent.name, &dropped)?;
                mailbox.swallow(&dropped.name);
            }
        }
        Ok(())
    }

    /// Writes down what a person dropped into a mailbox, once: as mail, or why it is none.
    fn take_in(&mut self, to: &str, dropped: &Dropped) -> Result<(), SuperviseError> {
        let (to, name) = (to.to_owned(), dropped.name.clone());
        let said = match &dropped.text {
            Ok(said) => said,
            Err(reason) => {
                let mut known = self.state().undelivered.iter();
                if !known.any(|lost| lost.to == to && lost.name == name) {
                    let reason = reason.clone();
                    let lost = Kind::MailUndelivered { to, name, reason };
                    self.log.append(&Actor::Supervisor, vec![lost])?;
                }
                return Ok(());
            }
        };
        let body = self.log.blobs().text(said);
        let body = body.map_err(SuperviseError::io("keep a dropped mail"))?;
        let call = format!("drop:{to}:{name}");
        let mut mails = self.state().mails.values();
        if mails.any(|mail| mail.call.as_ref() == Some(&call)) {
            return Ok(());
        }
        let mail = Kind::MailSent {
            id: 0,
            from: Actor::Human.name().to_owned(),
            to: vec![to],
            subject: name.chars().take(80).collect(),
            body,
            now: false,
            assignment: false,
            call: Some(call),
        };
        Ok(self.log.append(&Actor::Human, vec![mail])?)
    }
}
