//! Client-side caching: clients are told when what they have read is changed.
//!
//! Either the server remembers which client read which key, and tells each of its keys once; or a client names prefixes,
//! and is told of every change under them at the end of the batch that made it.

mod table;

pub use table::TrackingTable;

use super::client::{Client, ClientFlags, ClientId};
use super::keys::visit_keys;
use super::push::Message;
use super::server::Server;
use super::spec::{Command, Flags};
use crate::keyspace::KeyIn;
use crate::resp::{Args, Proto, Reply};

/// Where clients of RESP2 hear of invalidations.
const CHANNEL: &str = "__redis__:invalidate";

/// How a client tracks.
#[derive(Clone, Debug, Default)]
pub struct Tracking {
    /// Who is told in its place.
    pub redirect: Option<ClientId>,
    /// It is told of all changes under [`Tracking::prefixes`], whatever it has read.
    pub broadcast: bool,
    pub prefixes: Vec<Box<[u8]>>,
    /// Only what is read after CLIENT CACHING YES is remembered.
    pub opt_in: bool,
    /// What is read after CLIENT CACHING NO is not remembered.
    pub opt_out: bool,
    /// CLIENT CACHING was said for the next command.
    pub caching: bool,
    /// Its own changes are not told.
    pub no_loop: bool,
    /// The client that was to be told in its place is gone.
    pub broken: bool,
}

/// What is no longer to be relied on.
#[derive(Clone, Copy)]
enum Invalid<'a> {
    Keys(&'a [&'a [u8]]),
    Everything,
}

impl Invalid<'_> {
    fn write(self, reply: &mut Reply) {
        match self {
            Invalid::Keys(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
            Invalid::Everything => reply.null(),
        }
    }
}

impl Server {
    /// Switches tracking on, or to other options.
    pub fn track(&mut self, client: &mut Client, tracking: Tracking) {
        for prefix in &tracking.prefixes {
            self.tracking.listen(prefix, client.id);
        }
        if client.tracking.is_none() {
            self.tracking_clients += 1;
        }
        client.tracking = Some(Box::new(tracking));
        self.update_observed();
    }

    /// Switches tracking off.
    pub fn untrack(&mut self, client: &mut Client) {
        let Some(tracking) = client.tracking.take() else { return };
        for prefix in &tracking.prefixes {
            self.tracking.leave(prefix, client.id);
        }
        self.tracking_clients -= 1;
        self.update_observed();
    }

    /// After a command of a client that tracks: what it has read is remembered.
    pub(super) fn remember_read(&mut self, client: &mut Client, command: &Command, args: Args<'_>) {
        let Some(tracking) = &client.tracking else { return };
        let unwanted = if tracking.opt_in { !tracking.caching } else { tracking.opt_out && tracking.caching };
        if tracking.broadcast || unwanted || !command.flags.contains(Flags::READONLY) {
            return;
        }
        visit_keys(command, args, |key| {
            if let Some(key) = args.get(key.position) {
                self.tracking.remember(key, client.id);
            }
        });
        while let Some(key) = self.tracking.surplus(self.config.tracking_table_max_keys) {
            self.invalidate(Some(client), &key);
        }
    }

    /// Keys were changed, by `current` or by themselves: caches are told.
    pub(super) fn invalidate_all(&mut self, mut current: Option<&mut Client>, keys: &[KeyIn]) {
        if self.tracking_clients == 0 {
            return;
        }
        for (_, key) in keys {
            self.tracking.note_change(key, current.as_deref().map(|client| client.id));
            self.invalidate(current.as_deref_mut(), key);
        }
    }

    fn invalidate(&mut self, mut current: Option<&mut Client>, key: &[u8]) {
        for id in self.tracking.take_readers(key) {
            let is_current = current.as_deref().is_some_and(|client| client.id == id);
            let client = if is_current { current.as_deref() } else { self.clients.get(id) };
            let Some(tracking) = client.and_then(|client| client.tracking.as_deref()) else { continue };
            let unwanted = tracking.broadcast || tracking.no_loop && is_current;
            if !unwanted {
                self.tell(current.as_deref_mut(), id, Invalid::Keys(&[key]));
            }
        }
    }

    /// A database was emptied: nothing that was read counts any more.
    pub fn invalidate_everything(&mut self, mut current: Option<&mut Client>) {
        if self.tracking_clients == 0 {
            return;
        }
        let tracks = |client: &Client| client.tracking.is_some().then_some(client.id);
        let mut told: Vec<ClientId> = self.clients.iter().filter_map(tracks).collect();
        told.extend(current.as_deref().and_then(tracks));
        told.sort_unstable();
        for id in told {
            self.tell(current.as_deref_mut(), id, Invalid::Everything);
        }
        self.tracking.clear_readers();
    }

    /// At the end of a batch: announces what was changed under prefixes.
    pub(super) fn announce_changes(&mut self) {
        if !self.tracking.has_changes() {
            return;
        }
        for announcement in self.tracking.take_announcements() {
            for id in announcement.clients {
                let no_loop = self.clients.get(id).is_some_and(|c| c.tracking.as_ref().is_some_and(|t| t.no_loop));
                let keys = announcement.keys.iter().filter(|(_, by)| !(no_loop && *by == Some(id)));
                let keys: Vec<&[u8]> = keys.map(|(key, _)| &**key).collect();
                if !keys.is_empty() {
                    self.tell(None, id, Invalid::Keys(&keys));
                }
            }
        }
    }

    /// The client of this id, which may be the one whose command runs.
    fn find_client<'a>(&'a mut self, current: &'a mut Option<&mut Client>, id: ClientId) -> Option<&'a mut Client> {
        match current {
            Some(client) if client.id == id => Some(client),
            _ => self.clients.get_mut(id),
        }
    }

    /// Tells a client that tracks, or the one that hears in its place.
    fn tell(&mut self, mut current: Option<&mut Client>, id: ClientId, invalid: Invalid<'_>) {
        let Some(client) = self.find_client(&mut current, id) else { return };
        let own_proto = client.reply.proto;
        let Some(redirect) = client.tracking.as_ref().map(|tracking| tracking.redirect) else { return };
        let to = redirect.unwrap_or(id);
        let target = self.find_client(&mut current, to);
        let found = target.map(|target| (target.reply.proto, target.is(ClientFlags::PUBSUB)));
        let mut reply = Reply::new(own_proto);
        let receiver = match found {
            None => {
                // The one that tracks is told that it does not hear of anything any more.
                let client = self.find_client(&mut current, id);
                if let Some(tracking) = client.and_then(|client| client.tracking.as_mut()) {
                    tracking.broken = true;
                }
                if own_proto == Proto::Resp2 {
                    return;
                }
                reply.push(2);
                reply.bulk_str("tracking-redir-broken");
                reply.int(to.0 as i64);
                id
            }
            Some((Proto::Resp3, _)) => {
                reply.proto = Proto::Resp3;
                reply.push(2);
                reply.bulk_str("invalidate");
                invalid.write(&mut reply);
                to
            }
            Some((Proto::Resp2, true)) if redirect.is_some() => {
                reply.proto = Proto::Resp2;
                reply.push(3);
                reply.bulk_str("message");
                reply.bulk_str(CHANNEL);
                invalid.write(&mut reply);
                to
            }
            // There is no way to tell it.
            Some(_) => return,
        };
        self.delivery().1.send(receiver, &Message::written(reply));
    }
}
