//! From a batch of parsed commands to replies: look up, ask the gates, queue or call, propagate, count.

use std::sync::atomic::Ordering;

use super::client::{Client, ClientFlags, ClientId, Parked};
use super::ctx::Ctx;
use super::effect::LogLevel;
use super::gates::Gate;
use super::latency::LatencyEvent;
use super::output::LOOK_BYTES;
use super::server::Server;
use super::slot_migration::why;
use super::slot_stats::SlotWork;
use super::spec::Flags;
use super::table::{CommandIndex, Lookup};
use crate::base::Millis;
use crate::resp::error::{SHOWN_MAX, push_shown};
use crate::resp::request::Batch;
use crate::resp::{Args, ErrorReply};

/// Whether the next command of a batch may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Done,
    /// The command was not run and has to be tried again later.
    Again,
}

impl Server {
    /// Runs the commands of `batch` from number `from` on for client `id`, until the client is parked or closing.
    /// Returns how many are done (the number of the next one).
    pub fn run_batch(&mut self, id: ClientId, buf: &[u8], batch: &Batch, from: usize, now: Millis) -> usize {
        let Some(mut client) = self.clients.take(id) else { return batch.len() };
        self.now = now;
        self.unit.reset();
        client.last_interaction = now;
        let began = self.stopwatch.micros();
        self.lap = Some(began);
        let (mut next, mut prefetched) = (from, from);
        let holds_replies = self.holds_replies();
        self.keyspace.note_unsettled(holds_replies);
        while next < batch.len()
            && (client.parked.is_none() || self.joins_orders(&client, batch.command(buf, next)))
            && !client.is_closing()
        {
            if next == prefetched {
                prefetched = self.prefetch(&client, buf, batch, next);
                if prefetched > next + 1 {
                    self.stats.prefetch_batches += 1;
                    self.stats.prefetch_entries += (prefetched - next) as u64;
                }
            }
            let (log_at, reply_from) = (self.aof.offset, client.reply.buf.len());
            match self.dispatch(&mut client, batch.command(buf, next)) {
                Step::Done => {
                    if holds_replies && self.aof.offset == log_at {
                        self.settle_reply(&mut client, batch.command(buf, next), reply_from);
                    }
                    next += 1;
                    if client.reply.buf.len() >= LOOK_BYTES {
                        self.check_output(&mut client);
                    }
                    if self.blocked.has_ready() {
                        // It may be among those that are served.
                        self.clients.put(client);
                        self.serve_ready();
                        let Some(back) = self.clients.take(id) else { return next };
                        client = back;
                    }
                }
                Step::Again => {
                    client.parked.get_or_insert(Parked::Retry);
                    break;
                }
            }
        }
        self.stats.turns += 1;
        self.stats.turns_usec += self.lap.take().map_or(0, |ended| ended.saturating_sub(began));
        self.ask_for_orders(&client);
        self.check_output(&mut client);
        self.clients.put(client);
        self.finish_cluster();
        self.announce_changes();
        self.evict_clients();
        self.free_garbage();
        self.wake_replicas();
        next
    }

    /// Looks one command up and runs, queues or refuses it.
    pub fn dispatch(&mut self, client: &mut Client, args: Args<'_>) -> Step {
        let reply_from = client.reply.buf.len();
        let step = self.dispatch_inner(client, args);
        if step == Step::Done && client.parked.is_none() {
            client.apply_reply_mode(reply_from);
        }
        if client.is(ClientFlags::SLOT_IMPORT) {
            self.tell_import_client(client);
        }
        if !self.own_messages.is_empty() && !client.is_obeyed() {
            self.own_messages.deliver(client);
        }
        step
    }

    fn dispatch_inner(&mut self, client: &mut Client, args: Args<'_>) -> Step {
        let index = match self.find_command(client, args) {
            Ok(index) => index,
            Err(error) => {
                if args.at(0).eq_ignore_ascii_case(b"exec") {
                    self.refuse_exec(client, None, &error);
                } else {
                    self.refuse(client, None, &error);
                }
                return Step::Done;
            }
        };
        let command = self.commands.command(index);
        client.slot = None;
        match self.gates(client, command, args) {
            Gate::Open => {}
            Gate::Refused(error) if command.name == "exec" => {
                self.refuse_exec(client, Some(index), &error);
                return Step::Done;
            }
            Gate::Elsewhere(error) if command.name == "exec" => {
                self.refuse(client, Some(index), &error);
                self.discard(client);
                return Step::Done;
            }
            Gate::Refused(error) | Gate::Elsewhere(error) => {
                self.refuse(client, Some(index), &error);
                return Step::Done;
            }
            Gate::Later => return Step::Again,
        }
        if client.in_transaction() && !runs_inside_multi(command.name) {
            self.queue(client, index, args);
        } else {
            self.call(client, index, args);
            // A command that waits for keys is still to be run.
            let ends = client.parked != Some(Parked::Keys);
            if ends && !command.flags.contains(Flags::ASKING) && command.name != "asking" {
                client.flags.remove(ClientFlags::ASKING);
            }
            if let Some(tracking) = client.tracking.as_mut().filter(|tracking| tracking.caching)
                && client.transaction.is_none()
                && !command.name.starts_with("client|")
            {
                tracking.caching = false;
            }
        }
        Step::Done
    }

    /// Finds the declaration that `args` call, and checks their number.
    pub(super) fn find_command(&self, client: &mut Client, args: Args<'_>) -> Result<CommandIndex, ErrorReply> {
        // Clients tend to send the same command again.
        if let Some(last) = client.last_command {
            let command = self.commands.command(last);
            if command.subcommands.is_empty()
                && self.commands.is_called(last, args.at(0))
                && command.accepts(args.len())
            {
                return Ok(last);
            }
        }
        match self.commands.lookup(args) {
            Lookup::Found(index) => {
                let command = self.commands.command(index);
                if !command.accepts(args.len()) {
                    return Err(ErrorReply::arity(command.name));
                }
                client.last_command = Some(index);
                Ok(index)
            }
            Lookup::UnknownSubcommand(index) => {
                Err(ErrorReply::unknown_subcommand(args.at(1), self.commands.command(index).name))
            }
            Lookup::Unknown => Err(unknown_command(args)),
        }
    }

    /// Runs a command that passed the gates.
    pub(super) fn call(&mut self, client: &mut Client, index: CommandIndex, args: Args<'_>) {
        let command = self.commands.command(index);
        self.last_called.store(index.number(), Ordering::Relaxed);
        let obeyed = client.is_obeyed() || (self.config.import_mode && client.is(ClientFlags::IMPORT_SOURCE));
        self.keyspace.begin(self.now, obeyed, client.is(ClientFlags::NO_TOUCH), client.slot);
        let outer = self.unit.begin_call();
        let (db, dirty, reply_from) = (client.db, self.keyspace.dirty(), client.reply.buf.len());
        let offset = self.repl.offset();
        let started = self.lap.unwrap_or_else(|| self.stopwatch.micros());
        let now = self.now;
        let result = (command.handler)(&mut Ctx { server: self, client, command, now }, args);
        let ended = self.stopwatch.micros();
        let usec = ended.saturating_sub(started) + std::mem::take(&mut self.asked_sleep_usec);
        self.lap = self.lap.map(|_| ended);

        // What waits now is counted at its end.
        if !matches!(client.parked, Some(Parked::Keys | Parked::Acks(_))) {
            let reply_bytes = client.reply.buf.len() - reply_from;
            self.note_if_remarkable(client, command, args, usec, reply_bytes);
            self.count(index, usec, result.is_err());
            if let Err(error) = result {
                client.reply.buf.truncate(reply_from);
                client.reply.error(&error);
                self.count_error(client, command.name, &error);
            }
            client.commands += 1;
        }
        let changed = self.keyspace.dirty() != dirty;
        let expired = self.keyspace.has_expired();
        if changed || expired || self.unit.has_changes() {
            self.propagate_call(db, command, args, changed);
            client.write_offset = self.repl.offset();
        }
        if self.slot_stats.is_some() {
            let reply_bytes = client.reply.buf.len() - reply_from;
            self.count_slot(client, command, args, SlotWork { usec, reply_bytes, offset });
        }
        self.unit.end_call(outer);
        self.tell_of_changes(Some(client), changed, expired);
        if client.tracking.is_some() {
            self.remember_read(client, command, args);
        }
        if !self.monitors.is_empty() {
            self.show_to_monitors(client, command, args);
        }
    }

    /// Tells whoever wants to know what has happened to keys: subscribers to keyspace events, transactions that watch,
    /// caches, and clients that wait. `changed`: by a command, `expired`: some of the keys by themselves.
    pub(super) fn tell_of_changes(&mut self, mut current: Option<&mut Client>, changed: bool, expired: bool) {
        if self.keyspace.has_events() {
            self.publish_events();
        }
        if self.keyspace.has_touched() {
            let touched = self.keyspace.take_touched();
            let changed = self.keyspace.take_rewritten() || changed;
            if changed {
                self.break_watches(current.as_deref_mut(), &touched);
            }
            if changed || expired {
                self.invalidate_all(current, &touched);
            }
            // A key that was opened and left as it was has nothing new for who waits for it: a group's consumer that
            // looks in vain must not wake the next one.
            if changed || expired {
                self.note_ready(touched);
            }
        }
    }

    /// Counts a command that has ended after so much time of its own.
    pub(super) fn count(&mut self, index: CommandIndex, usec: u64, failed: bool) {
        if self.config.latency_monitor_threshold_ms > 0 {
            let fast = self.commands.command(index).flags.contains(Flags::FAST);
            self.note_latency(if fast { LatencyEvent::FastCommand } else { LatencyEvent::Command }, usec);
        }
        let entry = self.commands.entry_mut(index);
        if self.config.latency_tracking {
            entry.latency.get_or_insert_default().record(usec);
        }
        entry.stats.calls += 1;
        entry.stats.usec += usec;
        entry.stats.failed += u64::from(failed);
        self.stats.commands += 1;
    }

    /// Writes an error for a command that was not run; an open transaction is lost with it.
    pub(super) fn refuse(&mut self, client: &mut Client, index: Option<CommandIndex>, error: &ErrorReply) {
        client.reply.error(error);
        self.count_error(client, index.map_or("<unknown>", |index| self.commands.command(index).name), error);
        if let Some(index) = index {
            self.commands.stats_mut(index).rejected += 1;
        }
        if let Some(transaction) = &mut client.transaction {
            transaction.broken = true;
        }
    }

    /// Counts an error that a client gets. For who only repeats what was done elsewhere, or before, it means that the
    /// dataset here is not what it was there: the log says so.
    fn count_error(&mut self, client: &mut Client, command: &str, error: &ErrorReply) {
        self.stats.count_error(&error.code());
        if client.is(ClientFlags::SLOT_IMPORT) {
            self.import_failed(client, why::BAD_COMMAND);
        }
        let to = if client.is(ClientFlags::LOADER) {
            "AOF-loading-client"
        } else if client.is(ClientFlags::PRIMARY) {
            "master"
        } else {
            return;
        };
        self.stats.unexpected_errors += 1;
        let from = if self.repl.is_primary() { "server" } else { "replica" };
        let text = error.text();
        let text = text.strip_prefix("ERR ").map_or_else(|| format!("-{text}"), str::to_owned);
        self.log(
            LogLevel::Warning,
            format!(
                "== CRITICAL == This {from} is sending an error to its {to}: '{text}' after processing the command '{command}'"
            ),
        );
    }

    /// EXEC may not run: the transaction is lost, and the reply tells why.
    fn refuse_exec(&mut self, client: &mut Client, index: Option<CommandIndex>, error: &ErrorReply) {
        self.discard(client);
        let text = error.text();
        // A wrong number of arguments is told without the code that it has elsewhere.
        let why = if index.is_none() { text.strip_prefix("ERR ").unwrap_or(&text) } else { &text };
        let error = ErrorReply::text_of(format!("EXECABORT Transaction discarded because of: {why}"));
        self.refuse(client, index, &error);
    }
}

/// Commands that take effect at once between MULTI and EXEC.
fn runs_inside_multi(name: &str) -> bool {
    matches!(name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

fn unknown_command(args: Args<'_>) -> ErrorReply {
    let mut shown = Vec::new();
    for arg in args.from(1).iter() {
        if shown.len() >= SHOWN_MAX {
            break;
        }
        let room = SHOWN_MAX - shown.len();
        shown.push(b'\'');
        push_shown(&mut shown, arg, room);
        shown.extend_from_slice(b"' ");
    }
    let mut text = b"ERR unknown command '".to_vec();
    push_shown(&mut text, args.at(0), SHOWN_MAX);
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&shown);
    ErrorReply::Bytes(text.into())
}
