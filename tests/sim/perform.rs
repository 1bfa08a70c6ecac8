//! Does what a server asks of the world, in the order in which it was asked.

use bytes::Bytes;
use trib::config::AppendFsync;
use trib::exec::snapshot::Purpose;
use trib::exec::{ClientId, Effect};
use trib::persist::aof::Begun;
use trib::{cluster, repl};

use crate::bugs::{Bug, exaggerate};
use crate::machine::NODES_CONF;
use crate::net::{End, Item, Port, Role};
use crate::queue::{MS, SEC};
use crate::world::{Event, World};

/// One thing to do.
#[derive(Debug)]
pub enum Act {
    Effect(Effect),
    /// A client's output leaves, behind everything that was asked for before.
    Output {
        id: ClientId,
        end: End,
        bytes: Vec<u8>,
        ended: bool,
    },
}

impl World {
    /// Does everything that a machine's server has asked for, and what that leads to.
    pub fn perform_all(&mut self, node: usize) {
        loop {
            let machine = &mut self.nodes[node];
            let Some(process) = &mut machine.process else { return };
            process.todo.extend(process.server.outbox.drain(..).map(Act::Effect));
            let Some(act) = process.todo.pop_front() else {
                if process.server.aof.pending() == 0 || !self.flush_log(node) {
                    return;
                }
                continue;
            };
            // A line of the log is nothing to die of: what the server tells more shall not change what happens.
            let counts = !matches!(act, Act::Effect(Effect::Log(..)));
            if let Some(left) = machine.doom.as_mut().filter(|_| counts) {
                if *left == 0 {
                    return self.crash(node);
                }
                *left -= 1;
            }
            match act {
                Act::Effect(effect) => self.perform(node, effect),
                Act::Output { id, end, bytes, ended } => self.output(node, id, end, bytes, ended),
            }
        }
    }

    fn perform(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Wake(id) => self.run_session(node, id),
            Effect::Alarm { at } => self.set_alarm(node, at),
            Effect::Bus(output) => self.perform_bus(node, output),
            Effect::ToPrimary(output) => self.perform_link(node, output),
            Effect::Migrate(request) => self.migrate(node, *request),
            Effect::OpenExport { link, host, port: _ } => self.open_export(node, link, &host),
            Effect::WakeExport(link) => {
                let life = self.nodes[node].life;
                self.plan(0, Event::Pull { node, life, link });
            }
            Effect::CloseExport(link) => self.close_export(node, link),
            Effect::SnapshotStarted => {
                let life = self.nodes[node].life;
                if let Some(process) = &mut self.nodes[node].process {
                    process.outgoing.clear();
                }
                self.plan(MS, Event::Slice { node, life });
            }
            Effect::SendSnapshotFile { snapshot, replica } => self.send_file(node, snapshot.0, replica),
            Effect::RewriteAof { token } => {
                self.begin_base(node);
                if let Some(process) = &mut self.nodes[node].process {
                    // One that has to wait comes of itself.
                    process.server.rewrite_begun(token, Some(Begun::Yes));
                }
            }
            Effect::Free(_) => {}
            Effect::Log(level, text) => {
                let now = self.now;
                self.checks.log_line(&text);
                self.trace.say(now, || format!("node {node}: {level:?} {text}"));
            }
            other => self.fail(|| format!("node {node}: nobody here performs {other:?}")),
        }
    }

    fn perform_bus(&mut self, node: usize, output: cluster::Output) {
        match output {
            cluster::Output::SaveConfig { text, fsync } => {
                let machine = &mut self.nodes[node];
                if self.plan.bug == Some(Bug::SavesForgotten) && machine.disk.read(NODES_CONF).is_some() {
                    return;
                }
                machine.disk.replace(NODES_CONF, text.into_bytes(), fsync);
            }
            cluster::Output::Connect { link, ip, port: _ } => {
                let Some(target) = self.host_of(&ip) else {
                    return self.with_input(node, cluster::Input::LinkDown { link });
                };
                let end = self.net.open(node, Role::Bus(link), target, Port::Bus);
                if let Some(process) = &mut self.nodes[node].process {
                    process.bus.insert(link, end);
                }
                self.send(end, Item::Open);
                self.plan(5 * SEC, Event::ConnectTimeout { end });
            }
            cluster::Output::Send { link, bytes } => {
                let end = self.nodes[node].process.as_ref().and_then(|process| process.bus.get(&link).copied());
                if let Some(end) = end {
                    self.sent_on_bus(node, end, &bytes);
                    self.send(end, Item::Bytes(bytes));
                }
            }
            cluster::Output::Close { link } => {
                let end = self.nodes[node].process.as_mut().and_then(|process| process.bus.remove(&link));
                if let Some(end) = end {
                    self.close(end);
                }
            }
            other => self.fail(|| format!("node {node}: {other:?} is the state machine's own business")),
        }
    }

    /// Tells the cluster engine something; what follows is done by the caller's round.
    pub fn with_input(&mut self, node: usize, input: cluster::Input<'_>) {
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let now = machine.clock.wall();
        if let Some(process) = &mut machine.process {
            process.server.bus_input(now, input);
        }
    }

    fn perform_link(&mut self, node: usize, output: repl::Output) {
        match output {
            repl::Output::Connect { link, to } => {
                let target = self.host_of(&to.host);
                let Some(process) = &mut self.nodes[node].process else { return };
                let old = process.primary_link.take();
                let Some(target) = target else {
                    return process.server.repl_input(repl::Input::LinkDown(link));
                };
                let end = self.net.open(node, Role::ToPrimary(link), target, Port::Client);
                process.primary_link = Some((link, end));
                if let Some((_, old)) = old {
                    self.close(old);
                }
                self.send(end, Item::Open);
            }
            repl::Output::SendToPrimary { link, bytes } => {
                let open = self.nodes[node].process.as_ref().and_then(|process| process.primary_link);
                let lies = self.plan.bug == Some(Bug::LyingAcks);
                let bytes = if lies { exaggerate(bytes) } else { bytes };
                if let Some((_, end)) = open.filter(|(open, _)| *open == link) {
                    self.send(end, Item::Bytes(bytes));
                }
            }
            repl::Output::CloseLink(link) => {
                let Some(process) = &mut self.nodes[node].process else { return };
                if let Some((_, end)) = process.primary_link.take_if(|(open, _)| *open == link) {
                    self.close(end);
                }
            }
            repl::Output::BeginLoad { history, .. } => self.begin_incoming(node, history),
            repl::Output::LoadChunk(chunk) => self.take_chunk(node, &chunk),
            repl::Output::EndLoad => self.end_incoming(node),
            repl::Output::AbortLoad => self.abort_incoming(node),
            other => self.fail(|| format!("node {node}: {other:?} is the state machine's own business")),
        }
    }

    /// Runs a client's commands as far as they can be run now.
    pub fn run_session(&mut self, node: usize, id: ClientId) {
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let now = machine.clock.wall();
        let Some(process) = &mut machine.process else { return };
        let Some(session) = process.sessions.get_mut(&id) else { return };
        let ran = session.run(&mut process.server, now);
        let end = session.end;
        process.todo.extend(process.server.outbox.drain(..).map(Act::Effect));
        if !ran.out.is_empty() || ran.ended {
            process.todo.push_back(Act::Output { id, end, bytes: ran.out, ended: ran.ended });
        }
    }

    fn output(&mut self, node: usize, id: ClientId, end: End, bytes: Vec<u8>, ended: bool) {
        let always = self.nodes[node].config.appendfsync == AppendFsync::Always;
        if always {
            self.flush_log(node);
        }
        if !bytes.is_empty() {
            self.send_in_pieces(end, bytes);
        }
        if ended {
            self.close(end);
            if let Some(process) = &mut self.nodes[node].process {
                process.sessions.remove(&id);
                process.server.disconnect(id);
            }
        }
    }

    /// A stream has no borders: what is sent at once may arrive in two pieces.
    pub fn send_in_pieces(&mut self, end: End, bytes: Vec<u8>) {
        let mut bytes = Bytes::from(bytes);
        if self.rng.below(16) == 0 {
            let first = bytes.split_to(self.rng.below(bytes.len() as u64) as usize);
            if !first.is_empty() {
                self.send(end, Item::Bytes(first));
            }
        }
        self.send(end, Item::Bytes(bytes));
    }

    /// The snapshot under way goes on for one slice.
    pub fn slice(&mut self, node: usize) {
        use trib::exec::snapshot::Slice;
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let (now, life) = (machine.clock.wall(), machine.life);
        let Some(process) = &mut machine.process else { return };
        let Some(purpose) = process.server.job.as_ref().map(|job| purpose_of(&job.purpose)) else { return };
        let slice = process.server.snapshot_slice(now, &mut process.outgoing);
        let result = match slice {
            Slice::More | Slice::Behind => None,
            Slice::Cancelled => Some(Err("cancelled".to_owned())),
            Slice::Complete => Some(Ok(process.outgoing.len() as u64)),
        };
        let Some(result) = result else {
            self.perform_all(node);
            return self.plan(2 * MS, Event::Slice { node, life });
        };
        let bytes = std::mem::take(&mut process.outgoing);
        if result.is_ok() {
            match purpose {
                Target::Dump => self.nodes[node].disk.replace(crate::machine::DUMP, bytes, true),
                Target::Sync(snapshot) => self.nodes[node].disk.replace(&sync_name(snapshot), bytes, false),
                Target::Base => self.finish_base(node, bytes),
                Target::Replicas => {}
            }
        }
        self.with(node, |server, now| server.snapshot_ended(now, result));
    }

    /// Queues the file of a disk-based full synchronisation on a replica's connection.
    fn send_file(&mut self, node: usize, snapshot: u64, replica: repl::ReplicaId) {
        let machine = &mut self.nodes[node];
        let bytes = machine.disk.read(&sync_name(snapshot)).map(<[u8]>::to_vec).unwrap_or_default();
        let Some(process) = &mut machine.process else { return };
        if let Some(client) = process.server.clients.get_mut(ClientId(replica.0)) {
            client.reply.raw(&bytes);
            process.server.outbox.push(Effect::Wake(ClientId(replica.0)));
            process.server.repl_input(repl::Input::FileSent(replica));
        }
    }
}

/// Where the bytes of a snapshot go.
enum Target {
    Dump,
    Sync(u64),
    Base,
    Replicas,
}

fn purpose_of(purpose: &Purpose) -> Target {
    match purpose {
        Purpose::File(_) => Target::Dump,
        Purpose::AofBase => Target::Base,
        Purpose::Replicas(request) if purpose.is_file() => Target::Sync(request.snapshot.0),
        Purpose::Replicas(_) => Target::Replicas,
    }
}

fn sync_name(snapshot: u64) -> String {
    format!("temp-sync-{snapshot}.rdb")
}
