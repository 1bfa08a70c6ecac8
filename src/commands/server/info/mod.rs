//! INFO: what the server tells of itself, in sections of `name:value` lines.

mod activity;
mod memory;
mod process;
#[cfg(test)]
mod tests;

use std::fmt::{Display, Write as _};

use crate::exec::client::Client;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, Server};
use crate::resp::Args;

pub const COMMANDS: &[Command] = &[Command::new("info", -1, info)
    .flags(Flags::LOADING.union(Flags::STALE))
    .acl(Acl::DANGEROUS)
    .doc(Group::Server, "1.0.0", "O(1)", "Tells how the server is and what it has done.")
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .args(&[Arg::string("section").optional().multiple()])];

/// A report being written.
struct Info<'a> {
    server: &'a Server,
    /// The client that asks: it is not among the server's clients meanwhile.
    client: &'a Client,
    out: String,
}

impl Info<'_> {
    /// One line.
    fn field(&mut self, name: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{name}:{value}\r\n");
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.field(name, u8::from(value));
    }

    /// All clients, the asking one included.
    fn clients(&self) -> impl Iterator<Item = &Client> {
        self.server.clients.iter().chain(std::iter::once(self.client))
    }
}

/// One section: its name, its title, whether plain INFO shows it, and what writes its lines.
struct Section {
    name: &'static str,
    title: &'static str,
    by_default: bool,
    write: fn(&mut Info<'_>),
}

const fn section(name: &'static str, title: &'static str, by_default: bool, write: fn(&mut Info<'_>)) -> Section {
    Section { name, title, by_default, write }
}

/// In the order in which they are shown.
const SECTIONS: &[Section] = &[
    section("server", "Server", true, process::server),
    section("clients", "Clients", true, process::clients),
    section("memory", "Memory", true, memory::memory),
    section("persistence", "Persistence", true, activity::persistence),
    section("stats", "Stats", true, activity::stats),
    section("replication", "Replication", true, activity::replication),
    section("cpu", "CPU", true, process::cpu),
    section("modules", "Modules", true, |_| {}),
    section("commandstats", "Commandstats", false, activity::commandstats),
    section("errorstats", "Errorstats", true, activity::errorstats),
    section("latencystats", "Latencystats", false, activity::latencystats),
    section("cluster", "Cluster", true, process::cluster),
    section("cluster_info", "Cluster Info", true, process::cluster_info),
    section("keyspace", "Keyspace", true, activity::keyspace),
];

impl Section {
    fn is_asked(&self, args: Args<'_>) -> bool {
        if args.is_empty() {
            return self.by_default;
        }
        args.iter().any(|word| {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            is(self.name)
                || is("everything")
                || (is("all") && self.name != "modules")
                || (is("default") && self.by_default)
        })
    }
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let asked = args.from(1);
    let mut info = Info { server: ctx.server, client: ctx.client, out: String::with_capacity(4096) };
    let has = |section: &&Section| section.name != "cluster_info" || ctx.server.cluster.is_some();
    for section in SECTIONS.iter().filter(|section| section.is_asked(asked)).filter(has) {
        if !info.out.is_empty() {
            info.out.push_str("\r\n");
        }
        let _ = write!(info.out, "# {}\r\n", section.title);
        (section.write)(&mut info);
    }
    let text = info.out;
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}
