//! `trib import`: keys from outside, into the cluster: of a server, of another cluster, of a snapshot file.
//!
//! This program carries the keys, from the source straight to their owners; see [`ferry`](crate::trib::ferry). With
//! `--via migrate` a server moves its keys itself.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use redis::Value;

use super::Context;
use crate::trib::access::{Access, Credentials};
use crate::trib::addr::Addr;
use crate::trib::cli::{PlanArgs, SeedArgs};
use crate::trib::client::{Client, Pool, command, info_field, join_all, text_of};
use crate::trib::error::{Error, Failure, Kind, What};
use crate::trib::ferry::file::{self, Load, Purpose, Snapshot};
use crate::trib::ferry::landing::Landing;
use crate::trib::ferry::live::Live;
use crate::trib::ferry::migrate::Migrate;
use crate::trib::ferry::tally::Tally;
use crate::trib::ferry::{Conflict, Settings};
use crate::trib::inventory::{self, Origin};
use crate::trib::planned::{self, Step};
use crate::trib::quarantine::Quarantine;
use crate::trib::report;
use crate::trib::tls::Tls;
use crate::trib::ui::Wording;
use crate::trib::view::ClusterView;

/// Bring keys into the cluster: of a server, of another cluster, or of a snapshot file
///
/// All databases of the source go into the one of the cluster, or where it has several each into the same. A key that
/// exists already, or in two databases that become one, is left where it is and reported. Keys of a server are moved,
/// unless --copy is given; those of a cluster can only be copied, with --copy; those of a file always are. A value that the servers of the cluster are
/// too old to read is written anew in a form that they know. A file may also be a quarantine, with values that gave way.
/// The server may be named as a URI: redis://user:password@host:port/db.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// Where the keys come from: a server, any node of another cluster, an RDB file, or - for stdin. A @NAME of the
    /// inventory stands for its addresses, user, auth-file, TLS and map
    #[arg(long, value_name = "HOST:PORT|@NAME|FILE|-")]
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
    /// Leave the keys on the source
    #[arg(long)]
    copy: bool,
    /// Who carries the keys
    #[arg(long, value_enum, default_value_t)]
    via: Via,
    /// How long a node may be silent, and one MIGRATE may take
    #[arg(long = "timeout", value_name = "MS", default_value_t = 60_000)]
    timeout_ms: u64,
    #[command(flatten)]
    ferry: FerryArgs,
    #[command(flatten)]
    plan: PlanArgs,
}

/// How keys are brought in: shared by the commands that do.
#[derive(clap::Args)]
pub struct FerryArgs {
    /// Only keys of this pattern
    #[arg(long = "match", value_name = "PATTERN")]
    pattern: Option<String>,
    /// What happens to a key that the cluster has already [default: report; with --cluster: fail]
    #[arg(long, value_enum, value_name = "WHAT")]
    on_conflict: Option<Conflict>,
    /// Overwrite keys that exist in the cluster: the same as --on-conflict replace
    #[arg(long, conflicts_with = "on_conflict")]
    replace: bool,
    /// Save every value that is overwritten in this directory first, as 'trib fix' does
    #[arg(long, value_name = "DIR")]
    quarantine: Option<PathBuf>,
    /// How many batches of keys are on their way at a time
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Most keys in a batch [default: 250 where keys are moved, else 1000]
    #[arg(long, value_name = "KEYS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pipeline: Option<u32>,
    /// Read every value back from the cluster and compare it, before it is deleted at the source
    #[arg(long)]
    verify: bool,
}

impl FerryArgs {
    /// What the options come to. `limit` is how long a node may be silent; keys that are moved are watched at the source,
    /// which compares each with all others.
    #[must_use]
    pub fn settings(&self, ctx: &Context<'_>, limit: Duration, moves: bool) -> Settings {
        let usual = match ctx.ui.wording() {
            Wording::Trib => Conflict::Report,
            Wording::RedisCli => Conflict::Fail,
        };
        Settings {
            conflict: if self.replace { Conflict::Replace } else { self.on_conflict.unwrap_or(usual) },
            goes_on: ctx.resumed().is_some(),
            verify: self.verify,
            jobs: usize::from(self.jobs),
            batch: self.pipeline.unwrap_or(if moves { 250 } else { 1000 }) as usize,
            limit,
            pattern: self.pattern.clone(),
            quarantine: self.quarantine.as_deref().map(|dir| Rc::new(Quarantine::new(dir, Rc::clone(&ctx.session)))),
        }
    }
}

/// Who carries the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
enum Via {
    /// This program, with DUMP and RESTORE
    #[default]
    #[value(alias = "auto")]
    Dump,
    /// The source, with MIGRATE: it has to reach the cluster, and to speak TLS just as the cluster does
    Migrate,
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

/// Where the keys come from.
enum Source {
    Server(Addr),
    Snapshot(Snapshot),
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let seed = args.seed.addr()?;
    if args.via == Via::Migrate && args.ferry.quarantine.is_some() {
        return Err(Error::usage("[ERR] --quarantine is for --via dump: a server that moves its keys saves nothing."));
    }
    let origin = origin(ctx, args)?;
    let source = match &origin {
        Some(origin) => Source::Server(origin.addr.clone()),
        None => source(args.from.as_deref(), ui.wording())?,
    };
    let name = match &source {
        Source::Server(addr) => addr.to_string(),
        Source::Snapshot(snapshot) => snapshot.name(),
    };
    ui.heading(format!(">>> Importing data from {name} to cluster {seed}"));
    let view = ClusterView::load(&ctx.pool, &seed).await?;
    let view = ctx.hold(view, args.plan.dry_run).await?;
    if !report::cluster_check(ui, &view, None).is_consistent() {
        return Err(Error::reported(Kind::Unhealthy).hint("repair the cluster first, with 'trib fix'"));
    }
    let limit = Duration::from_millis(args.timeout_ms).max(ctx.pool.timeouts().reply);
    let moves = !args.copy && matches!(source, Source::Server(_));
    let settings = args.ferry.settings(ctx, limit, moves);
    let tally = Tally::new(ui, "imported");
    let landing = Landing::new(ui, ctx.pool.access(), &view, &settings, &tally, name)?;
    let brought = match source {
        Source::Snapshot(snapshot) => from_snapshot(ctx, args, &view, &landing, snapshot).await,
        Source::Server(addr) => {
            let access = source_access(ctx, args, origin.map(|origin| origin.access))?;
            let brought = from_server(ctx, args, &view, &landing, &addr, access).await;
            brought.map_err(|error| match &error.what {
                What::Node(failure) if view.node_at(failure.node()).is_none() => match source_hint(failure) {
                    Some(hint) => error.hint(hint),
                    None => error,
                },
                _ => error,
            })
        }
    };
    if let Some(quarantine) = &settings.quarantine {
        quarantine.tell(ui, &seed);
    }
    brought?;
    ctx.carried_out();
    tally.end()
}

impl Args {
    /// What redis-cli does unless it is told otherwise, as options: the journal and plans do not know in which grammar a
    /// command was given.
    fn spelled_out(&self, wording: Wording) -> Vec<String> {
        let mut options = Vec::new();
        if wording == Wording::RedisCli && self.from_db.is_none() {
            options.extend(["--from-db", "0"]);
        }
        if wording == Wording::RedisCli && self.ferry.on_conflict.is_none() && !self.ferry.replace {
            options.extend(["--on-conflict", "fail"]);
        }
        options.into_iter().map(str::to_owned).collect()
    }
}

/// A server has an address, a file is there or looks like one.
fn source(from: Option<&str>, wording: Wording) -> Result<Source, Error> {
    let option = if wording == Wording::Trib { "--from" } else { "--cluster-from" };
    let from =
        from.ok_or_else(|| Error::usage(format!("[ERR] Option '{option}' is required for subcommand 'import'.")))?;
    let path = Path::new(from);
    match from.parse::<Addr>() {
        _ if wording == Wording::Trib && from == "-" => Ok(Source::Snapshot(Snapshot::Stdin)),
        Ok(addr) if !path.is_file() => Ok(Source::Server(addr)),
        _ if wording == Wording::Trib && (path.exists() || path.extension().is_some_and(|end| end == "rdb")) => {
            Ok(Source::Snapshot(Snapshot::File(PathBuf::from(from))))
        }
        Ok(addr) => Ok(Source::Server(addr)),
        Err(why) => {
            let text = format!("[ERR] Invalid {option} host. You need to pass a valid address (ie. 120.0.0.1:7000).");
            Err(Error::usage(text).hint(format!("'{from}' is no file that exists, and no address: {why}")))
        }
    }
}

async fn from_snapshot(
    ctx: &Context<'_>,
    args: &Args,
    view: &ClusterView,
    landing: &Landing<'_>,
    snapshot: Snapshot,
) -> Result<(), Error> {
    if let Snapshot::File(path) = &snapshot {
        file::probe(path)?;
    }
    ctx.pass(args.plan.dry_run, planned::digest(view), vec![Step::Load { file: snapshot.name() }])?;
    ctx.ui.line(format!("*** Importing the keys of {}", snapshot.name()));
    let database = match args.from_db {
        Some(Database::One(database)) => Some(database),
        _ => None,
    };
    let load = Load {
        landing,
        pool: &ctx.pool,
        view,
        snapshots: vec![snapshot],
        purpose: Purpose::Restore,
        rooms: rooms(ctx, view).await?,
        database,
        loaded: RefCell::default(),
    };
    load.run().await
}

/// One server of the source and what is to be fetched from it.
struct Part {
    addr: Addr,
    client: Client,
    databases: Vec<u32>,
    delete: &'static str,
}

async fn from_server(
    ctx: &Context<'_>,
    args: &Args,
    view: &ClusterView,
    landing: &Landing<'_>,
    from: &Addr,
    access: Access,
) -> Result<(), Error> {
    let pool = Pool::new(access);
    let client = pool.client(from).await?;
    let info = text_of(&client.call(&command("INFO")).await?).unwrap_or_default();
    let addrs = match info_field(&info, "cluster_enabled") {
        Some("1") => primaries_of(ctx, args, view, &pool, from).await?,
        _ => vec![from.clone()],
    };
    let parts = join_all(addrs.iter().map(|addr| async {
        let client = pool.client(addr).await?;
        let info = text_of(&client.call(&command("INFO")).await?).unwrap_or_default();
        let databases = choose_databases(ctx, args, &info);
        let delete = if is_old(&info) { "DEL" } else { "UNLINK" };
        Ok::<_, Failure>(Part { addr: addr.clone(), client, databases, delete })
    }))
    .await;
    let parts = parts.into_iter().collect::<Result<Vec<Part>, Failure>>()?;
    let step = |part: &Part, database: u32| Step::Import { from: part.addr.to_string(), database };
    let steps = parts.iter().flat_map(|part| part.databases.iter().map(|&database| step(part, database)));
    let spelled_out = args.spelled_out(ctx.ui.wording());
    ctx.pass_with(args.plan.dry_run, spelled_out, planned::digest(view), steps.collect())?;
    ctx.agreed()?;
    let rooms = rooms(ctx, view).await?;
    let earlier = RefCell::default();
    let done = ctx.resumed().map(|job| job.stages.clone()).unwrap_or_default();
    for part in &parts {
        // Databases that the cluster has stay what they are; the others all go into the first.
        let folded = part.databases.iter().filter(|database| **database == 0 || **database >= rooms).count();
        for &database in &part.databases {
            let into = if database < rooms { database } else { 0 };
            let remembers = into == 0 && folded > 1;
            let stage = format!("database {database} of {}", part.addr);
            // What its keys are called is to be known where those of others of the same name must not follow.
            if done.contains(&stage) && !remembers {
                landing.tally.line(&format!("*** The keys of DB {database} have been imported already"));
                continue;
            }
            let keys = count(&part.client, database).await?;
            landing.tally.expect(keys);
            let of = if parts.len() > 1 { format!(" of {}", part.addr) } else { String::new() };
            landing.tally.line(&format!("*** Importing {keys} keys from DB {database}{of}"));
            if args.via == Via::Migrate {
                let migrate = Migrate {
                    landing,
                    pool: &ctx.pool,
                    view,
                    source: &part.client,
                    database,
                    into,
                    copy: args.copy,
                    timeout_ms: args.timeout_ms,
                    earlier: &earlier,
                    remembers,
                };
                migrate.run().await?;
                ctx.stage(&stage);
                continue;
            }
            let live = Live {
                landing,
                addr: &part.addr,
                access: pool.access(),
                database,
                into,
                copy: args.copy,
                delete: part.delete,
                earlier: &earlier,
                remembers,
            };
            live.run().await?;
            ctx.stage(&stage);
        }
    }
    Ok(())
}

/// The primaries of the cluster that the source belongs to, which must not be the one that keys come into.
async fn primaries_of(
    ctx: &Context<'_>,
    args: &Args,
    view: &ClusterView,
    pool: &Pool,
    from: &Addr,
) -> Result<Vec<Addr>, Error> {
    let refused = || Error::failed("[ERR] The source node should not be a cluster node.");
    if ctx.ui.wording() == Wording::RedisCli {
        return Err(refused());
    }
    let source = ClusterView::load(pool, from).await?;
    if source.nodes.iter().any(|node| view.node(&node.id).is_some()) {
        return Err(refused().hint(format!("{from} is a node of the cluster that the keys would come into")));
    }
    if !args.copy || args.via == Via::Migrate {
        let hint = match args.via {
            Via::Migrate => "add --copy, and leave --via away",
            _ => "add --copy",
        };
        return Err(Error::failed("[ERR] The keys of a cluster can only be copied, by this program.").hint(hint));
    }
    if !report::Health::examine(&source, None).is_consistent() {
        return Err(Error::failed(format!("[ERR] The cluster of {from} is not healthy, so keys may be missing."))
            .hint(format!("trib check {from}")));
    }
    Ok(source.primaries().filter(|node| !node.slots.is_empty()).map(|node| node.addr.clone()).collect())
}

/// How many keys a database of the source has; the connection stays in the first one.
async fn count(client: &Client, database: u32) -> Result<u64, Failure> {
    let cmds = [command("SELECT").arg(database).to_owned(), command("DBSIZE"), command("SELECT").arg(0).to_owned()];
    let cmds = if database == 0 { &cmds[1..2] } else { &cmds[..] };
    let replies = client.pipeline(client.timeouts().reply, cmds).await?;
    match replies.into_iter().collect::<Result<Vec<Value>, Failure>>()?[cmds.len() / 2] {
        Value::Int(keys) => Ok(u64::try_from(keys).unwrap_or(0)),
        _ => {
            let reason = "DBSIZE is no number".to_owned();
            Err(Failure::Unexpected { node: client.addr().clone(), reason })
        }
    }
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

/// What the options for the source are called, where it lets nobody in: they are not those of the cluster.
fn source_hint(failure: &Failure) -> Option<String> {
    let hint = match (failure, failure.code()) {
        (_, Some("NOAUTH")) => {
            "give the password of the source with --from-pass, --from-askpass or the environment variable TRIB_FROM_AUTH"
        }
        (_, Some("NOPERM")) => "name a user of the source who may run the command with --from-user",
        _ if failure.is_refused_login() => {
            "check the password of the source (--from-pass, --from-askpass, TRIB_FROM_AUTH) and its user (--from-user)"
        }
        (Failure::Lost { node, .. }, _) => return Some(format!("did {node} stop, or does it expect --from-tls?")),
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What the inventory says of the source, if it is named.
fn origin(ctx: &Context<'_>, args: &Args) -> Result<Option<Origin>, Error> {
    let from = args.from.as_deref().filter(|from| ctx.ui.wording() == Wording::Trib && !Path::new(from).exists());
    let name = from.and_then(|from| from.strip_prefix('@')).filter(|name| !name.is_empty());
    let find = |name| inventory::origin(name, ctx.options.inventory.as_deref(), |name| std::env::var(name).ok());
    name.map(find).transpose()
}

/// How the source is reached: as the inventory says, and as was typed before that.
fn source_access(ctx: &Context<'_>, args: &Args, said: Option<Access>) -> Result<Access, Error> {
    let said = said.unwrap_or_default();
    let password = match args.from_askpass {
        true => Some(ctx.ui.ask_password("Please input import source node password: ")?),
        false => args.from_pass.clone(),
    };
    Ok(Access {
        login: Credentials { user: args.from_user.clone().or(said.login.user), password },
        family: ctx.options.access.family,
        tls: if args.from_tls && said.tls.is_none() { Some(Tls::new(&ctx.options.tls)?) } else { said.tls },
        timeouts: ctx.options.access.timeouts,
        ..said
    })
}

/// How many databases all nodes of the cluster have.
pub async fn rooms(ctx: &Context<'_>, view: &ClusterView) -> Result<u32, Failure> {
    let mut least = u32::MAX;
    for node in view.primaries() {
        least = least.min(ctx.pool.databases(&node.addr).await?);
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_refuses_the_login_has_options_of_its_own() {
        let hint = |text: &str| source_hint(&Failure::Reply { node: Addr::new("h", 1), text: text.to_owned() });
        for text in
            ["NOAUTH Authentication required.", "WRONGPASS invalid username-password pair", "ERR invalid password"]
        {
            let hint = hint(text).unwrap();
            assert!(
                ["--from-pass", "--from-askpass", "TRIB_FROM_AUTH"].iter().all(|name| hint.contains(name)),
                "{hint}"
            );
        }
        assert!(hint("NOPERM this user has no permissions").unwrap().contains("--from-user"));
        assert_eq!(hint("ERR unknown command"), None);
        let lost = Failure::Lost { node: Addr::new("h", 1), reason: "it is gone".to_owned() };
        assert!(source_hint(&lost).unwrap().contains("--from-tls"));
    }

    #[test]
    fn a_source_is_a_server_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x:1");
        std::fs::write(&file, "").unwrap();
        let kind = |from: &str, wording| match source(Some(from), wording) {
            Ok(Source::Server(_)) => "server",
            Ok(Source::Snapshot(Snapshot::File(_))) => "file",
            Ok(Source::Snapshot(Snapshot::Stdin)) => "stdin",
            Err(_) => "error",
        };
        for (from, ours, theirs) in [
            ("h:7000", "server", "server"),
            ("-", "stdin", "error"),
            ("not/there.rdb", "file", "error"),
            ("nowhere", "error", "error"),
            (file.to_str().unwrap(), "file", "server"),
        ] {
            assert_eq!((kind(from, Wording::Trib), kind(from, Wording::RedisCli)), (ours, theirs), "{from}");
        }
        assert!(source(None, Wording::Trib).is_err());
    }
}
