//! What stands between a parsed command and its handler, in Redis's order.

use super::client::{Client, ClientFlags};
use super::keys::visit_keys;
use super::memory::Room;
use super::server::Server;
use super::slot_migration::why;
use super::spec::{Command, Flags};
use super::table::CommandIndex;
use crate::repl::RoleView;
use crate::resp::{Args, ErrorReply, Proto};

/// The answer of the gates.
#[derive(Debug)]
pub enum Gate {
    Open,
    Refused(ErrorReply),
    /// The keys are to be asked for elsewhere, or nowhere.
    Elsewhere(ErrorReply),
    /// Not now: the client waits and tries again.
    Later,
}

impl Server {
    /// Whether `client` may run `command` now. What comes from the primary or a file passes all gates.
    pub(super) fn gates(&mut self, client: &mut Client, command: &'static Command, args: Args<'_>) -> Gate {
        if client.is_obeyed() {
            client.slot = self.slot_of(command, args);
            if client.is(ClientFlags::PRIMARY)
                && command.flags.contains(Flags::WRITE)
                && let Some(error) = self.disk_error()
                && !self.applies_unsaved()
            {
                return Gate::Refused(error);
            }
            return self.import_gate(client, command);
        }
        let flags = command.flags;
        if !client.authenticated && !flags.contains(Flags::NO_AUTH) {
            return Gate::Refused(ErrorReply::NoAuth);
        }
        if client.in_transaction() && flags.contains(Flags::NO_MULTI) {
            let text = format!("ERR Command '{}' not allowed inside a transaction", command.name);
            return Gate::Refused(ErrorReply::text_of(text));
        }
        if let Err(error) = self.route(client, command, args) {
            return Gate::Elsewhere(error);
        }
        if client.is(ClientFlags::CAPA_REDIRECT)
            && let Some(error) = self.redirect_to_primary(client, flags)
        {
            return Gate::Refused(error);
        }
        let room = if self.config.maxmemory > 0 { self.make_room(Some(client)) } else { Room::Enough };
        self.out_of_memory = room == Room::Never;
        if room == Room::Soon {
            self.work_soon();
        }
        let keyspace = Flags::WRITE | Flags::READONLY | Flags::MAY_REPLICATE;
        if client.flags.intersects(ClientFlags::REPLICA | ClientFlags::MONITOR) && flags.intersects(keyspace) {
            return Gate::Refused(ErrorReply::Static("ERR Replica can't interact with the keyspace"));
        }
        let admitted = self
            .may_write(client, command)
            .and_then(|()| may_run_subscribed(client, command))
            .and_then(|()| self.serves_now(command));
        if let Err(error) = admitted {
            return Gate::Refused(error);
        }
        if self.must_wait(client, command, args) || self.waits_for_snapshot(client, command, args) {
            Gate::Later
        } else {
            Gate::Open
        }
    }

    /// What is imported counts as memory like anything else, but nobody who sends it can be told to wait.
    fn import_gate(&mut self, client: &mut Client, command: &Command) -> Gate {
        if !client.is(ClientFlags::SLOT_IMPORT)
            || self.config.maxmemory == 0
            || !command.flags.contains(Flags::DENYOOM)
            || self.make_room(Some(client)) != Room::Never
        {
            return Gate::Open;
        }
        self.import_failed(client, why::OUT_OF_MEMORY);
        Gate::Refused(ErrorReply::Oom)
    }

    /// A replica outside a cluster sends clients that understand it to its primary, for writes and, unless they said
    /// READONLY, for reads.
    fn redirect_to_primary(&self, client: &Client, flags: Flags) -> Option<ErrorReply> {
        let RoleView::Replica { host, port, .. } = self.repl.role_view() else { return None };
        let reads = flags.contains(Flags::READONLY) && !client.is(ClientFlags::READONLY);
        let elsewhere = self.cluster.is_none() && (flags.contains(Flags::WRITE) || reads);
        elsewhere.then(|| ErrorReply::text_of(format!("REDIRECT {host}:{port}")))
    }

    /// The gates that EXEC asks again for each queued command: the world may have changed since it was queued.
    pub(super) fn check_in_exec(
        &mut self,
        client: &mut Client,
        index: CommandIndex,
        args: Args<'_>,
    ) -> Result<(), ErrorReply> {
        let command = self.commands.command(index);
        client.slot = self.slot_of(command, args);
        if client.is_obeyed() {
            Ok(())
        } else {
            self.may_write(client, command).and_then(|()| self.serves_now(command))
        }
    }

    /// Gates for commands that write or need memory.
    fn may_write(&mut self, client: &Client, command: &Command) -> Result<(), ErrorReply> {
        let flags = command.flags;
        let writes = flags.contains(Flags::WRITE)
            || (client.in_transaction() && command.name == "exec" && queues(self, client, Flags::WRITE));
        if self.out_of_memory && self.needs_memory(client, command) {
            return Err(ErrorReply::Oom);
        }
        // Who asks with PING whether the server is well is told as well.
        if let Some(error) = self.disk_error()
            && (writes || command.name == "ping")
        {
            return Err(error);
        }
        if writes {
            if self.config.min_replicas_to_write > 0 && !self.repl.has_enough_good_replicas(self.mono()) {
                return Err(ErrorReply::NoReplicas);
            }
            if !self.repl.is_primary() && self.config.replica_read_only {
                return Err(ErrorReply::ReadOnly);
            }
        }
        Ok(())
    }

    /// Gates for the times at which the dataset is not what it should be.
    fn serves_now(&self, command: &Command) -> Result<(), ErrorReply> {
        let flags = command.flags;
        if !self.repl.is_primary()
            && !self.repl.is_link_up()
            && !self.config.replica_serve_stale_data
            && !flags.contains(Flags::STALE)
        {
            return Err(ErrorReply::MasterDown);
        }
        if self.is_loading() && !flags.contains(Flags::LOADING)
            || self.is_loading_aside() && flags.contains(Flags::NO_ASYNC_LOADING)
        {
            return Err(ErrorReply::Loading);
        }
        Ok(())
    }

    /// Whether a pause or a frozen key holds the command back.
    fn must_wait(&self, client: &Client, command: &Command, args: Args<'_>) -> bool {
        if client.is(ClientFlags::REPLICA) {
            return false;
        }
        let (writes_wait, all_wait) = self.paused();
        if all_wait || self.suspended.is_some() {
            return true;
        }
        if writes_wait || self.hands_slots_over() {
            let writes = command.flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE)
                || (command.name == "exec" && queues(self, client, Flags::WRITE));
            if writes && (writes_wait || self.waits_for_hand_over(client, command)) {
                return true;
            }
        }
        self.has_frozen_keys() && !client.in_transaction() && self.touches_frozen(command, args)
            || self.has_frozen_keys() && command.name == "exec" && self.transaction_touches_frozen(client)
    }

    fn touches_frozen(&self, command: &Command, args: Args<'_>) -> bool {
        let mut touches = command.flags.contains(Flags::WRITE) && command.keys.is_empty();
        visit_keys(command, args, |key| touches |= args.get(key.position).is_some_and(|k| self.is_frozen(k)));
        touches
    }

    fn transaction_touches_frozen(&self, client: &Client) -> bool {
        client.transaction.as_ref().is_some_and(|t| {
            t.queued.iter().any(|(index, argv)| self.touches_frozen(self.commands.command(*index), argv.args()))
        })
    }

    /// Whether the command would take more memory, be it for what it does or for waiting in a transaction.
    fn needs_memory(&self, client: &Client, command: &Command) -> bool {
        match command.name {
            "exec" => queues(self, client, Flags::DENYOOM),
            "discard" | "quit" | "reset" => false,
            _ => command.flags.contains(Flags::DENYOOM) || client.in_transaction(),
        }
    }
}

/// In RESP2 the replies of most commands could not be told from the messages of a subscribed client.
fn may_run_subscribed(client: &Client, command: &Command) -> Result<(), ErrorReply> {
    if !client.is(ClientFlags::PUBSUB) || client.reply.proto != Proto::Resp2 {
        return Ok(());
    }
    let may = matches!(
        command.name,
        "ping"
            | "subscribe"
            | "ssubscribe"
            | "psubscribe"
            | "unsubscribe"
            | "sunsubscribe"
            | "punsubscribe"
            | "quit"
            | "reset"
    );
    if may { Ok(()) } else { Err(ErrorReply::subscribed(command.name)) }
}

/// Whether the client's transaction holds a command with this flag.
fn queues(server: &Server, client: &Client, flag: Flags) -> bool {
    let transaction = client.transaction.as_ref();
    transaction.is_some_and(|t| t.queued.iter().any(|(i, _)| server.commands.command(*i).flags.contains(flag)))
}
