//! `trib import`: the keys of a server outside, into the cluster.
//!
//! The source moves its keys itself, with MIGRATE, so that no key is lost or doubled when clients write to
//! it meanwhile. Keys of one page of SCAN are grouped by the primary that owns them, and every group goes
//! in as few MIGRATE as the pipeline allows.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use redis::Value;

use super::Context;
use crate::base::{SLOTS, key_slot};
use crate::trib::addr::Addr;
use crate::trib::cli::SeedArgs;
use crate::trib::client::{Client, Credentials, command, info_field, text_of};
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::report;
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};

/// Move the keys of a standalone server into the cluster
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// The server to take the keys from
    #[arg(long, value_name = "HOST:PORT")]
    from: Option<String>,
    /// User on the source
    #[arg(long, value_name = "NAME")]
    from_user: Option<String>,
    /// Password of the source
    #[arg(long, value_name = "PASSWORD")]
    from_pass: Option<String>,
    /// Ask for the password of the source
    #[arg(long)]
    from_askpass: bool,
    /// Leave the keys on the source
    #[arg(long)]
    copy: bool,
    /// Overwrite keys that exist in the cluster
    #[arg(long)]
    replace: bool,
    /// How long one MIGRATE may take
    #[arg(long = "timeout", value_name = "MS", default_value_t = 60_000)]
    timeout_ms: u64,
    /// Keys in one MIGRATE
    #[arg(long, value_name = "KEYS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pipeline: u32,
}

const SCAN_PAGE: usize = 1000;

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let seed = args.seed.addr()?;
    let from = source_addr(args, ui.wording())?;
    ui.heading(format!(">>> Importing data from {from} to cluster {seed}"));
    let view = ClusterView::load(&ctx.pool, &seed).await?;
    if !report::cluster_check(ui, &view, None).is_consistent() {
        return Err(Error::reported(Kind::Unhealthy).hint("repair the cluster first, with 'trib fix'"));
    }
    let source = connect_source(ctx, args, &from).await?;
    let info = text_of(&source.call(&command("INFO")).await?).unwrap_or_default();
    if info_field(&info, "cluster_enabled") == Some("1") {
        return Err(Error::failed("[ERR] The source node should not be a cluster node."));
    }
    let others = info.lines().filter(|line| line.starts_with("db") && !line.starts_with("db0:")).count();
    if others > 0 {
        ui.note(format!("{others} other database(s) of the source hold keys, which a cluster has no place for"));
    }
    let Value::Int(keys) = source.call(&command("DBSIZE")).await? else {
        return Err(Failure::Unexpected { node: from, reason: "DBSIZE is no number".to_owned() }.into());
    };
    ui.line(format!("*** Importing {keys} keys from DB 0"));
    let mut import = Import { ctx, args, source, owners: owners(&view)?, met: HashSet::new(), refused: 0 };
    import.run().await?;
    if import.refused > 0 {
        return Err(Error::failed(format!("[ERR] {} keys were not imported.", import.refused))
            .hint("they exist in the cluster; --replace overwrites them"));
    }
    Ok(())
}

fn source_addr(args: &Args, wording: Wording) -> Result<Addr, Error> {
    let Some(from) = &args.from else {
        return Err(Error::usage(match wording {
            Wording::Trib => "[ERR] Option '--from' is required for subcommand 'import'.",
            Wording::RedisCli => "[ERR] Option '--cluster-from' is required for subcommand 'import'.",
        }));
    };
    from.parse().map_err(|_| {
        Error::usage(match wording {
            Wording::Trib => "[ERR] Invalid --from host. You need to pass a valid address (ie. 120.0.0.1:7000).",
            Wording::RedisCli => {
                "[ERR] Invalid --cluster-from host. You need to pass a valid address (ie. 120.0.0.1:7000)."
            }
        })
    })
}

async fn connect_source(ctx: &Context<'_>, args: &Args, from: &Addr) -> Result<Client, Error> {
    let password = match args.from_askpass {
        true => Some(ctx.ui.ask_password("Please input import source node password: ")?),
        false => args.from_pass.clone(),
    };
    let credentials = Credentials { user: args.from_user.clone(), password };
    Ok(Client::dial(from, &credentials, ctx.options.timeouts).await?)
}

/// The owner of every slot.
fn owners(view: &ClusterView) -> Result<Vec<&Node>, Error> {
    let mut owners: Vec<Option<&Node>> = vec![None; SLOTS];
    for node in view.primaries() {
        for slot in node.slots.iter() {
            owners[slot.index()] = Some(node);
        }
    }
    owners.into_iter().collect::<Option<_>>().ok_or_else(|| Error::failed("[ERR] Not all slots are covered by nodes."))
}

struct Import<'a> {
    ctx: &'a Context<'a>,
    args: &'a Args,
    source: Client,
    owners: Vec<&'a Node>,
    /// Keys met before, since SCAN may show a key twice and by then it is in the cluster: with `--copy` all
    /// of them, otherwise those of one page. Hashes, to keep the memory of large imports small.
    met: HashSet<u64>,
    refused: u64,
}

impl Import<'_> {
    async fn run(&mut self) -> Result<(), Error> {
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = command("SCAN");
            let page = self.source.call(scan.arg(&cursor).arg("COUNT").arg(SCAN_PAGE)).await?;
            let (next, keys) = self.read_page(page)?;
            self.move_page(keys).await?;
            if next == b"0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn read_page(&mut self, page: Value) -> Result<(Vec<u8>, Vec<Vec<u8>>), Failure> {
        let unexpected = || Failure::Unexpected { node: self.source.addr().clone(), reason: "no SCAN page".to_owned() };
        let Value::Array(parts) = page else { return Err(unexpected()) };
        let Ok([Value::BulkString(cursor), Value::Array(items)]) = <[Value; 2]>::try_from(parts) else {
            return Err(unexpected());
        };
        if !self.args.copy {
            self.met.clear();
        }
        let mut keys = Vec::with_capacity(items.len());
        for item in items {
            let Value::BulkString(key) = item else { return Err(unexpected()) };
            if self.met.insert(hash_of(&key)) {
                keys.push(key);
            }
        }
        Ok((cursor, keys))
    }

    async fn move_page(&mut self, keys: Vec<Vec<u8>>) -> Result<(), Error> {
        let mut by_owner: BTreeMap<&Addr, (&Node, Vec<Vec<u8>>)> = BTreeMap::new();
        for key in keys {
            let node = self.owners[key_slot(&key).index()];
            by_owner.entry(&node.announced).or_insert((node, Vec::new())).1.push(key);
        }
        for (node, keys) in by_owner.into_values() {
            let keys = if self.args.replace { keys } else { self.leave_existing(node, keys).await? };
            for batch in keys.chunks(self.args.pipeline as usize) {
                self.migrate(node, batch).await?;
            }
        }
        Ok(())
    }

    /// Without `--replace` the keys that the cluster has already are left where they are. In redis-cli's
    /// grammar the first one ends the import, as there.
    async fn leave_existing(&mut self, node: &Node, keys: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
        let cmds: Vec<redis::Cmd> = keys
            .iter()
            .map(|key| {
                let mut cmd = command("EXISTS");
                cmd.arg(key);
                cmd
            })
            .collect();
        let client = self.ctx.pool.client(&node.addr).await?;
        let replies = client.pipeline(client.timeouts().reply, &cmds).await?;
        let mut absent = Vec::with_capacity(keys.len());
        for (key, reply) in keys.into_iter().zip(replies) {
            if reply? == Value::Int(0) {
                absent.push(key);
                continue;
            }
            let shown = String::from_utf8_lossy(&key).into_owned();
            let busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";
            match self.ctx.ui.wording() {
                Wording::RedisCli => {
                    self.ctx.ui.part(format!("Migrating {shown} to {}: ", node.addr));
                    return Err(self.source_error(busy));
                }
                Wording::Trib => {
                    self.ctx.ui.error(format!("[ERR] Migrating {shown} to {}: it exists already", node.addr));
                    self.refused += 1;
                }
            }
        }
        Ok(absent)
    }

    async fn migrate(&self, node: &Node, batch: &[Vec<u8>]) -> Result<(), Error> {
        let mut cmd = command("MIGRATE");
        cmd.arg(&node.announced.host).arg(node.announced.port).arg("").arg(0).arg(self.args.timeout_ms);
        if self.args.copy {
            cmd.arg("COPY");
        }
        if self.args.replace {
            cmd.arg("REPLACE");
        }
        let credentials = self.ctx.pool.credentials();
        match (&credentials.user, &credentials.password) {
            (Some(user), Some(password)) => drop(cmd.arg("AUTH2").arg(user).arg(password)),
            (None, Some(password)) => drop(cmd.arg("AUTH").arg(password)),
            (_, None) => {}
        }
        cmd.arg("KEYS").arg(batch);
        // The source connects, sends and waits within its own limit, each; this one is for a dead source.
        let limit = Duration::from_millis(self.args.timeout_ms.saturating_mul(3)) + self.source.timeouts().reply;
        match self.source.call_within(limit, &cmd).await {
            Ok(_) => {
                let line = |key: &Vec<u8>| format!("Migrating {} to {}: OK\n", String::from_utf8_lossy(key), node.addr);
                self.ctx.ui.part(batch.iter().map(line).collect::<String>());
                Ok(())
            }
            Err(Failure::Reply { text, .. }) => {
                self.ctx.ui.part(format!("Migrating {} to {}: ", String::from_utf8_lossy(&batch[0]), node.addr));
                Err(self.source_error(&text))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn source_error(&self, text: &str) -> Error {
        let error = Error::failed(format!("Source {} replied with error:\n{text}", self.source.addr()));
        match text.starts_with("IOERR") {
            true => {
                error.hint("the source itself connects to the nodes of the cluster: it has to reach their addresses")
            }
            false => error,
        }
    }
}

fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
