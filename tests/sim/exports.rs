//! The connections of atomic slot migrations: what the source has for its target, and what the target says.

use trib::exec::slot_migration::{ExportLink, Pull};

use crate::net::{Item, Port, Role};
use crate::queue::{MS, SEC};
use crate::world::{Event, World};

impl World {
    pub fn open_export(&mut self, node: usize, link: ExportLink, host: &str) {
        let Some(target) = self.host_of(host) else {
            return self.with(node, |server, now| server.export_connected(link, now, Err("no such host".to_owned())));
        };
        let end = self.net.open(node, Role::Export(link), target, Port::Client);
        if let Some(process) = &mut self.nodes[node].process {
            process.exports.insert(link, (end, false));
        }
        self.send(end, Item::Open);
        self.plan(5 * SEC, Event::ConnectTimeout { end });
    }

    pub fn close_export(&mut self, node: usize, link: ExportLink) {
        let open = self.nodes[node].process.as_mut().and_then(|process| process.exports.remove(&link));
        if let Some((end, _)) = open {
            self.close(end);
        }
    }

    pub fn export_opened(&mut self, node: usize, link: ExportLink) {
        let Some(process) = &mut self.nodes[node].process else { return };
        if let Some((_, opened)) = process.exports.get_mut(&link) {
            *opened = true;
            self.with(node, |server, now| server.export_connected(link, now, Ok(())));
            self.pull_export(node, link);
        }
    }

    pub fn export_lost(&mut self, node: usize, link: ExportLink) {
        let Some(process) = &mut self.nodes[node].process else { return };
        match process.exports.remove(&link) {
            None => {}
            Some((_, true)) => self.with(node, |server, now| server.export_lost(link, now)),
            Some((_, false)) => {
                self.with(node, |server, now| server.export_connected(link, now, Err("refused".to_owned())));
            }
        }
    }

    /// Sends what there is for the target.
    pub fn pull_export(&mut self, node: usize, link: ExportLink) {
        let life = self.nodes[node].life;
        loop {
            let machine = &mut self.nodes[node];
            machine.clock.set(self.now);
            let now = machine.clock.wall();
            let Some(process) = &mut machine.process else { return };
            let Some(&(end, true)) = process.exports.get(&link) else { return };
            let mut chunk = Vec::new();
            let pull = process.server.export_pull(link, now, &mut chunk);
            if !chunk.is_empty() {
                self.send_in_pieces(end, chunk);
            }
            self.perform_all(node);
            match pull {
                Pull::More => {}
                Pull::Later => return self.plan(2 * MS, Event::Pull { node, life, link }),
                Pull::Wait => return,
                Pull::Over => {
                    self.close(end);
                    return self.export_lost(node, link);
                }
            }
        }
    }
}
