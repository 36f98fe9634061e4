//! Hears what a server says beside its answers.
#![expect(deprecated, reason = "the protocol will drop log messages; the servers of today send them")]

use std::sync::{Mutex, PoisonError};

use orchestrator_core::port::plugin::{Context, Stream};
use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, LoggingMessageNotificationParam,
    ProgressNotificationParam,
};
use rmcp::service::{NotificationContext, RoleClient};
use serde_json::Value;

use crate::outbound::shortened;
use crate::script::capture::Room;

/// The longest line that goes to the log, in characters.
const LINE: usize = 4_000;

/// Writes progress and messages to the log of an attempt. What a server asks of people or of models is declined.
#[derive(Debug)]
pub(super) struct Listener {
    context: Context,
    room: Mutex<Room>,
}

impl Listener {
    pub(super) fn new(context: &Context) -> Self {
        Self { context: context.clone(), room: Mutex::default() }
    }

    fn line(&self, stream: Stream, text: &str) {
        // Masked before it is cut, so that no half of a secret is left.
        let line = shortened(&self.context.mask.text(text).replace('\0', "\u{fffd}"), LINE);
        self.room.lock().unwrap_or_else(PoisonError::into_inner).line(&*self.context.log, stream, &line);
    }
}

impl ClientHandler for Listener {
    async fn on_progress(&self, progress: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let total = progress.total.map(|total| format!("/{total}")).unwrap_or_default();
        let message = progress.message.map(|message| format!(": {message}")).unwrap_or_default();
        self.line(Stream::System, &format!("progress {}{total}{message}", progress.progress));
    }

    async fn on_logging_message(
        &self,
        message: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let level = format!("{:?}", message.level).to_lowercase();
        let logger = message.logger.map(|logger| format!(" {logger}")).unwrap_or_default();
        let text = match message.data {
            Value::String(text) => text,
            data => data.to_string(),
        };
        self.line(Stream::Stdout, &format!("{level}{logger}: {text}"));
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("orchestrator", env!("CARGO_PKG_VERSION")),
        )
    }
}
