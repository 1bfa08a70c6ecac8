//! MONITOR: every command that is run, to those who watch.

use std::io::Write as _;

use super::client::{Client, ClientFlags};
use super::push::Message;
use super::secrets::is_secret;
use super::server::Server;
use super::spec::{Command, Flags};
use crate::base::words;
use crate::resp::Args;

impl Server {
    /// Makes `client` one that watches. False when it is one that follows already.
    pub fn monitor(&mut self, client: &mut Client) -> bool {
        if client.flags.intersects(ClientFlags::REPLICA | ClientFlags::MONITOR) {
            return false;
        }
        client.flags |= ClientFlags::MONITOR;
        self.monitors.insert(client.id);
        true
    }

    /// `client` watches no more.
    pub fn stop_monitoring(&mut self, client: &mut Client) {
        if client.is(ClientFlags::MONITOR) {
            client.flags -= ClientFlags::MONITOR;
            self.monitors.remove(&client.id);
        }
    }

    /// Shows a command that was run to those who watch. What administers the server is not shown, nor are passwords.
    pub(super) fn show_to_monitors(&mut self, client: &Client, command: &Command, args: Args<'_>) {
        // A command that has waited was shown when it came.
        let was_shown = self.is_serving(client.id);
        if was_shown || self.is_loading() || command.flags.intersects(Flags::SKIP_MONITOR | Flags::ADMIN) {
            return;
        }
        let micros = self.wall_micros();
        let (secs, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let unix = if client.is(ClientFlags::UNIX_SOCKET) { "unix:" } else { "" };
        let mut line = Vec::new();
        // Writing to a vector cannot fail.
        let _ = write!(line, "+{secs}.{rest:06} [{} {unix}{}]", client.db, client.peer);
        for (i, arg) in args.iter().enumerate() {
            line.push(b' ');
            words::push_quoted(&mut line, if is_secret(command.name, args, i) { b"(redacted)" } else { arg });
        }
        line.extend_from_slice(b"\r\n");
        let message = Message::line(line);
        let watching: Vec<_> = self.monitors.iter().copied().collect();
        let (_, mut delivery) = self.delivery();
        for id in watching {
            delivery.send(id, &message);
        }
    }
}
