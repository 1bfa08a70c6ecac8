//! `trib import`: the keys of a server outside, into the cluster.
//!
//! The source moves its keys itself, with MIGRATE, so that no key is lost or doubled when clients write to
//! it meanwhile. Where it cannot, because it does not reach the cluster or TLS is spoken on one side only,
//! this program carries them with DUMP and RESTORE, and deletes a key at the source only if nobody has written
//! to it since. Keys of one page of SCAN are grouped by the primary that owns them.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use redis::{Cmd, Value};

use super::Context;
use crate::base::{SLOTS, key_slot};
use crate::trib::access::{Access, Credentials};
use crate::trib::addr::Addr;
use crate::trib::cli::{PlanArgs, SeedArgs};
use crate::trib::client::{Client, add_migrate_auth, command, info_field, text_of};
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::planned::{self, Step};
use crate::trib::report;
use crate::trib::tls::Tls;
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};

/// Move the keys of a standalone server into the cluster
///
/// All databases of the source go into the one of the cluster, or where it has several each into the same. A key that
/// exists already, or in two databases that become one, is left where it is and reported. The server may be named as a URI: redis://user:password@host:port/db.
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
    /// Password of the source (environment: TRIB_FROM_AUTH)
    #[arg(long, value_name = "PASSWORD", env = "TRIB_FROM_AUTH", hide_env_values = true)]
    from_pass: Option<String>,
    /// Ask for the password of the source
    #[arg(long)]
    from_askpass: bool,
    /// Speak TLS with the source, by the same certificates
    #[arg(long)]
    from_tls: bool,
    /// The database of the source, or all [default: all; with --cluster: 0]
    #[arg(long, value_name = "DB|all", value_parser = parse_database)]
    from_db: Option<Database>,
    /// Only keys of this pattern
    #[arg(long = "match", value_name = "PATTERN")]
    pattern: Option<String>,
    /// Leave the keys on the source
    #[arg(long)]
    copy: bool,
    /// Overwrite keys that exist in the cluster
    #[arg(long)]
    replace: bool,
    /// Who carries the keys
    #[arg(long, value_enum, default_value_t)]
    via: Via,
    /// How long one MIGRATE may take
    #[arg(long = "timeout", value_name = "MS", default_value_t = 60_000)]
    timeout_ms: u64,
    /// Keys in one MIGRATE
    #[arg(long, value_name = "KEYS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pipeline: u32,
    #[command(flatten)]
    plan: PlanArgs,
}

/// Who carries the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
enum Via {
    /// The source where it can, else this program
    #[default]
    Auto,
    /// The source, with MIGRATE: it has to reach the cluster, and to speak TLS just as the cluster does
    Migrate,
    /// This program, with DUMP and RESTORE
    Dump,
}

/// Which databases of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Database {
    All,
    One(u32),
}

fn parse_database(text: &str) -> Result<Database, String> {
    match text {
        "all" => Ok(Database::All),
        number => number.parse().map(Database::One).map_err(|_| "neither a number nor 'all'".to_owned()),
    }
}

const SCAN_PAGE: usize = 1000;
/// How often a batch is carried again because a client has written to it meanwhile.
const TRIES: usize = 100;

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let seed = args.seed.addr()?;
    let from = source_addr(args, ui.wording())?;
    ui.heading(format!(">>> Importing data from {from} to cluster {seed}"));
    let view = ClusterView::load(&ctx.pool, &seed).await?;
    let view = ctx.hold(view, args.plan.dry_run).await?;
    if !report::cluster_check(ui, &view, None).is_consistent() {
        return Err(Error::reported(Kind::Unhealthy).hint("repair the cluster first, with 'trib fix'"));
    }
    let source = connect_source(ctx, args, &from).await?;
    let info = text_of(&source.call(&command("INFO")).await?).unwrap_or_default();
    if info_field(&info, "cluster_enabled") == Some("1") {
        return Err(Error::failed("[ERR] The source node should not be a cluster node."));
    }
    let databases = choose_databases(ctx, args, &info);
    let step = |&database: &u32| Step::Import { from: from.to_string(), database };
    ctx.pass(args.plan.dry_run, planned::digest(&view), databases.iter().map(step).collect())?;
    let same_wire = args.from_tls == ctx.pool.access().tls.is_some();
    let mut import = Import {
        ctx,
        args,
        owners: owners(&view)?,
        met: HashSet::new(),
        earlier: HashSet::new(),
        remembers: false,
        refused: 0,
        by_dump: args.via == Via::Dump || (args.via == Via::Auto && !same_wire),
        rooms: rooms(ctx, &view).await?,
        into: 0,
        delete: if is_old(&info) { "DEL" } else { "UNLINK" },
        source,
    };
    // Databases that the cluster has stay what they are; the others all go into the first.
    let folded = databases.iter().filter(|database| **database == 0 || **database >= import.rooms).count();
    for database in databases {
        import.into = if database < import.rooms { database } else { 0 };
        import.remembers = import.into == 0 && folded > 1;
        import.run(database).await?;
    }
    if import.refused > 0 {
        return Err(Error::failed(format!("[ERR] {} keys were not imported.", import.refused))
            .hint("they exist in the cluster; --replace overwrites them"));
    }
    Ok(())
}

/// Servers before 4.0 have no UNLINK.
fn is_old(info: &str) -> bool {
    let major = info_field(info, "redis_version").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    major.is_some_and(|major| major < 4)
}

/// The databases to import; those that are left out although they hold keys are named.
fn choose_databases(ctx: &Context<'_>, args: &Args, info: &str) -> Vec<u32> {
    let filled: Vec<u32> =
        info.lines().filter_map(|line| line.strip_prefix("db")?.split_once(':')?.0.parse().ok()).collect();
    let wanted = args.from_db.unwrap_or(match ctx.ui.wording() {
        Wording::Trib => Database::All,
        Wording::RedisCli => Database::One(0),
    });
    match wanted {
        // Without keys anywhere there is still the first database to say so of.
        Database::All if filled.is_empty() => vec![0],
        Database::All => filled,
        Database::One(database) => {
            let others = filled.iter().filter(|other| **other != database).count();
            if others > 0 {
                ctx.ui.note(format!(
                    "{others} other database(s) of the source hold keys; --from-db all imports them, too"
                ));
            }
            vec![database]
        }
    }
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
    let access = Access {
        login: Credentials { user: args.from_user.clone(), password },
        family: ctx.options.access.family,
        tls: args.from_tls.then(|| Tls::new(&ctx.options.tls)).transpose()?,
        timeouts: ctx.options.access.timeouts,
        ..Access::default()
    };
    Ok(Client::dial(from, &access).await?)
}

/// How many databases all nodes of the cluster have.
async fn rooms(ctx: &Context<'_>, view: &ClusterView) -> Result<u32, Failure> {
    let mut least = u32::MAX;
    for node in view.primaries() {
        least = least.min(ctx.pool.databases(&node.addr).await?);
    }
    Ok(least)
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
    /// Keys of the databases before this one, where there are several.
    earlier: HashSet<u64>,
    remembers: bool,
    refused: u64,
    /// Whether this program carries the keys, not the source.
    by_dump: bool,
    delete: &'static str,
    /// How many databases the cluster has.
    rooms: u32,
    /// Into which of them the keys go.
    into: u32,
}

impl Import<'_> {
    async fn run(&mut self, database: u32) -> Result<(), Error> {
        self.source.call(command("SELECT").arg(database)).await?;
        let Value::Int(keys) = self.source.call(&command("DBSIZE")).await? else {
            let reason = "DBSIZE is no number".to_owned();
            return Err(Failure::Unexpected { node: self.source.addr().clone(), reason }.into());
        };
        self.ctx.ui.line(format!("*** Importing {keys} keys from DB {database}"));
        self.met.clear();
        let mut here = HashSet::new();
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = command("SCAN");
            scan.arg(&cursor).arg("COUNT").arg(SCAN_PAGE);
            if let Some(pattern) = &self.args.pattern {
                scan.arg("MATCH").arg(pattern);
            }
            let page = self.source.call(&scan).await?;
            let (next, keys) = self.read_page(page)?;
            if self.remembers {
                here.extend(keys.iter().map(|key| hash_of(key)));
            }
            self.move_page(keys).await?;
            if next == b"0" {
                self.earlier.extend(here);
                return Ok(());
            }
            cursor = next;
        }
    }

    fn read_page(&mut self, page: Value) -> Result<(Vec<u8>, Vec<Vec<u8>>), Failure> {
        let node = self.source.addr().clone();
        let unexpected = || Failure::Unexpected { node: node.clone(), reason: "no SCAN page".to_owned() };
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
            let hash = hash_of(&key);
            if self.into == 0 && self.earlier.contains(&hash) {
                self.refuse(&key, "a key of the same name came from another database");
            } else if self.met.insert(hash) {
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
                self.carry(node, batch).await?;
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
        let client = self.ctx.pool.client_in(&node.addr, self.into).await?;
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
                Wording::Trib => self.refuse(&key, &format!("it exists already on {}", node.addr)),
            }
        }
        Ok(absent)
    }

    fn refuse(&mut self, key: &[u8], why: &str) {
        self.ctx.ui.error(format!("[ERR] {} was not imported: {why}", String::from_utf8_lossy(key)));
        self.refused += 1;
    }

    /// Brings some keys of one owner into the cluster.
    async fn carry(&mut self, node: &Node, batch: &[Vec<u8>]) -> Result<(), Error> {
        if !self.by_dump {
            match self.migrate(node, batch).await {
                Err(failure) if self.args.via == Via::Auto && failure.code() == Some("IOERR") => {
                    self.by_dump = true;
                    self.ctx.ui.note(format!(
                        "The source cannot reach {}: from here on this program carries the keys.",
                        node.announced
                    ));
                }
                Err(Failure::Reply { text, .. }) => {
                    self.ctx.ui.part(format!("Migrating {} to {}: ", String::from_utf8_lossy(&batch[0]), node.addr));
                    return Err(self.source_error(&text));
                }
                other => {
                    other?;
                    self.tell(node, batch);
                    return Ok(());
                }
            }
        }
        let carried = self.dump(node, batch).await?;
        self.tell(node, &carried);
        Ok(())
    }

    fn tell(&self, node: &Node, keys: &[Vec<u8>]) {
        let line = |key: &Vec<u8>| format!("Migrating {} to {}: OK\n", String::from_utf8_lossy(key), node.addr);
        self.ctx.ui.part(keys.iter().map(line).collect::<String>());
    }

    /// DUMP here, RESTORE there, and unless it is a copy the keys are deleted at the source, where nobody has
    /// written to them since they were read; otherwise they are carried again. Returns the keys that arrived.
    async fn dump(&mut self, node: &Node, batch: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
        let mut replace = self.args.replace;
        let mut left = batch.to_vec();
        for _ in 0..TRIES {
            let arrived = self.dump_once(node, &left, replace).await?;
            if self.args.copy || arrived.is_empty() {
                return Ok(arrived);
            }
            let mut delete = command(self.delete);
            delete.arg(&arrived);
            let cmds = [command("MULTI"), delete, command("EXEC")];
            let mut done = self.source.pipeline(self.source.timeouts().reply, &cmds).await?;
            if done.pop().transpose()? != Some(Value::Nil) {
                return Ok(arrived);
            }
            // What arrived is ours to overwrite.
            (left, replace) = (arrived, true);
        }
        Err(Error::failed("[ERR] Clients of the source write to its keys faster than they can be moved.")
            .hint("stop the writers, or import with --copy first"))
    }

    async fn dump_once(&mut self, node: &Node, keys: &[Vec<u8>], replace: bool) -> Result<Vec<Vec<u8>>, Error> {
        let limit = Duration::from_millis(self.args.timeout_ms).max(self.source.timeouts().reply);
        let about = |name: &str, key: &Vec<u8>| command(name).arg(key).to_owned();
        let mut cmds: Vec<Cmd> = keys.iter().flat_map(|key| [about("DUMP", key), about("PTTL", key)]).collect();
        if !self.args.copy {
            cmds.insert(0, command("WATCH").arg(keys).to_owned());
        }
        let mut replies = self.source.pipeline(limit, &cmds).await?.into_iter();
        if !self.args.copy {
            replies.next().transpose()?;
        }
        let (mut names, mut restores) = (Vec::new(), Vec::new());
        for key in keys {
            let (dumped, ttl) = (replies.next().transpose()?, replies.next().transpose()?);
            // It may have expired meanwhile.
            let Some(Value::BulkString(payload)) = dumped else { continue };
            let ttl_ms = if let Some(Value::Int(ttl @ 0..)) = ttl { ttl.max(1) } else { 0 };
            let mut restore = command("RESTORE");
            restore.arg(key).arg(ttl_ms).arg(payload);
            if replace {
                restore.arg("REPLACE");
            }
            names.push(key);
            restores.push(restore);
        }
        let client = self.ctx.pool.client_in(&node.addr, self.into).await?;
        let mut arrived = Vec::with_capacity(names.len());
        for (key, reply) in names.into_iter().zip(client.pipeline(limit, &restores).await?) {
            match reply {
                Ok(_) => arrived.push(key.clone()),
                Err(failure) if failure.reply().is_some() => self.refuse(key, &failure.reason()),
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(arrived)
    }

    async fn migrate(&self, node: &Node, batch: &[Vec<u8>]) -> Result<(), Failure> {
        let mut cmd = command("MIGRATE");
        cmd.arg(&node.announced.host).arg(node.announced.port).arg("").arg(self.into).arg(self.args.timeout_ms);
        if self.args.copy {
            cmd.arg("COPY");
        }
        if self.args.replace {
            cmd.arg("REPLACE");
        }
        add_migrate_auth(&mut cmd, self.ctx.pool.access(), &node.announced);
        cmd.arg("KEYS").arg(batch);
        // The source connects, sends and waits within its own limit, each; this one is for a dead source.
        let limit = Duration::from_millis(self.args.timeout_ms.saturating_mul(3)) + self.source.timeouts().reply;
        self.source.call_within(limit, &cmd).await.map(drop)
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
