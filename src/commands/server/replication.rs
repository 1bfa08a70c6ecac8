//! ROLE, REPLICAOF, REPLCONF, PSYNC, SYNC: who follows whom.

use crate::base::num;
use crate::commands::parse;
use crate::exec::client::ClientFlags;
use crate::exec::effect::LogLevel;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group};
use crate::repl::{Endpoint, Followed, ReplconfReply, ReplicaId, RoleView, SyncKind, SyncRequest};
use crate::resp::{Args, ErrorReply};

const TARGET: &[Arg] = &[Arg::one_of(
    "args",
    &[
        Arg::block("host-port", &[Arg::string("host"), Arg::int("port")]),
        Arg::block("no-one", &[Arg::flag("no", "NO"), Arg::flag("one", "ONE")]),
    ],
)];
const FOLLOWS: Flags = Flags::ADMIN.union(Flags::NO_ASYNC_LOADING).union(Flags::NOSCRIPT).union(Flags::STALE);
const SYNCS: Flags = Flags::ADMIN.union(Flags::NO_ASYNC_LOADING).union(Flags::NO_MULTI).union(Flags::NOSCRIPT);

pub const COMMANDS: &[Command] = &[
    Command::new("role", 1, role)
        .flags(Flags::FAST.union(Flags::LOADING).union(Flags::NOSCRIPT).union(Flags::STALE))
        .acl(Acl::ADMIN.union(Acl::DANGEROUS))
        .doc(Group::Server, "2.8.12", "O(1)", "Says whether this is a primary or a replica, and of whom."),
    Command::new("replicaof", 3, replicaof)
        .flags(FOLLOWS)
        .doc(Group::Server, "5.0.0", "O(1)", "Makes this server a replica of another, or of none.")
        .args(TARGET),
    Command::new("slaveof", 3, replicaof)
        .flags(FOLLOWS)
        .doc(Group::Server, "1.0.0", "O(1)", "Makes this server a replica of another, or of none.")
        .args(TARGET)
        .deprecated("5.0.0", "`REPLICAOF`"),
    Command::new("replconf", -1, replconf)
        .flags(Flags::ADMIN.union(Flags::ALLOW_BUSY).union(Flags::LOADING).union(Flags::NOSCRIPT).union(Flags::STALE))
        .doc(Group::Server, "3.0.0", "O(1)", "What a replica and its primary tell each other."),
    Command::new("psync", -3, psync)
        .flags(SYNCS)
        .doc(Group::Server, "2.8.0", "", "Makes this connection a replica, going on where it was if possible.")
        .args(&[Arg::string("replicationid"), Arg::int("offset")]),
    Command::new("sync", 1, sync).flags(SYNCS).doc(Group::Server, "1.0.0", "", "Makes this connection a replica."),
];

fn role(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let view = ctx.server.repl.role_view();
    let reply = ctx.reply();
    match view {
        RoleView::Primary { offset, replicas } => {
            reply.array(3);
            reply.bulk_str("master");
            reply.int(offset as i64);
            reply.array(replicas.len());
            for replica in replicas {
                reply.array(3);
                reply.bulk_str(&replica.ip);
                reply.bulk_int(i64::from(replica.port));
                reply.bulk_int(replica.ack as i64);
            }
        }
        RoleView::Replica { host, port, state, offset } => {
            reply.array(5);
            reply.bulk_str("slave");
            reply.bulk_str(&host);
            reply.int(i64::from(port));
            reply.bulk_str(state);
            reply.int(offset);
        }
    }
    Ok(())
}

fn replicaof(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if ctx.server.config.cluster_enabled {
        return Err(ErrorReply::Static("ERR REPLICAOF not allowed in cluster mode."));
    }
    if ctx.server.repl.is_failing_over() {
        return Err(ErrorReply::Static("ERR REPLICAOF not allowed while failing over."));
    }
    if args.is(1, "no") && args.is(2, "one") {
        if ctx.server.promote() {
            let text = format!("MASTER MODE enabled (user request from '{}')", ctx.client.peer);
            ctx.server.log(LogLevel::Notice, text);
        }
        ctx.server.config.replicaof = None;
        ctx.reply().ok();
        return Ok(());
    }
    if ctx.client.is(ClientFlags::REPLICA) {
        return Err(ErrorReply::Static("ERR Command is not valid when client is a replica."));
    }
    let port = num::parse_i64(args.at(2)).and_then(|n| u16::try_from(n).ok());
    let port = port.ok_or(ErrorReply::Static("ERR Invalid master port"))?;
    let host = String::from_utf8_lossy(args.at(1)).into_owned();
    match ctx.server.follow(Endpoint { host: host.clone(), port }, true) {
        Followed::Started => {
            ctx.server.config.replicaof = Some(crate::config::PrimaryAddr { host, port });
            ctx.reply().ok();
        }
        Followed::AlreadyFollowing => ctx.reply().simple("OK Already connected to specified master"),
        Followed::FailingOver => {
            return Err(ErrorReply::Static("ERR REPLICAOF not allowed while failing over."));
        }
    }
    Ok(())
}

fn replconf(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = ctx.server.mono();
    let words: Vec<&[u8]> = args.from(1).iter().collect();
    if ctx.client.is(ClientFlags::PRIMARY) {
        if args.is(1, "getack") {
            // What the stream changed in the cluster is saved before the primary hears that it is here.
            ctx.server.finish_cluster();
            ctx.server.repl.on_getack(now);
            ctx.server.drain_repl();
        }
        return Ok(());
    }
    let result = ctx.server.repl.replconf(now, ReplicaId(ctx.client.id.0), &words);
    ctx.server.drain_repl();
    match result {
        Ok(ReplconfReply::Ok) => ctx.reply().ok(),
        Ok(ReplconfReply::Silent) => {}
        Err(error) => return Err(ErrorReply::text_of(error.to_string())),
    }
    Ok(())
}

fn psync(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let offset = parse::int(args.at(2))?;
    let kind = SyncKind::Psync { id: args.at(1), offset, failover: args.is(3, "failover") };
    become_replica(ctx, kind)
}

fn sync(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    become_replica(ctx, SyncKind::Sync)
}

fn become_replica(ctx: &mut Ctx<'_>, kind: SyncKind<'_>) -> Done {
    let peer_ip = ctx.client.peer_ip().map_or_else(String::new, |ip| ip.to_string());
    let request = SyncRequest { kind, peer_ip: &peer_ip, output_pending: !ctx.client.reply.buf.is_empty() };
    ctx.server.sync(ctx.client, request)
}

#[cfg(test)]
mod tests {
    use crate::base::{Millis, Rng};
    use crate::commands::bench::Bench;
    use crate::config::{Config, PrimaryAddr};
    use crate::exec::effect::Effect;
    use crate::exec::loading::LoadedFacts;
    use crate::persist::rdb::LoadedEntry;
    use crate::repl::{Input, LinkId, Output, ReplId, SavedHistory, command};

    /// Whether a key whose time is over is deleted (by a primary), or hidden until its primary deletes it.
    fn expires(bench: &mut Bench) -> bool {
        let client = bench.client();
        bench.server.keyspace.begin(bench.now, true, false, None);
        let value = crate::data::value::Value::from_bytes(b"x");
        let over = crate::keyspace::SetExpire::At(crate::base::Millis(bench.now.0 - 1));
        bench.server.keyspace.db(0).set(b"over", value, over);
        assert_eq!(bench.call(client, "GET over"), "nil");
        let left = bench.server.keyspace.len();
        drop(bench.server.keyspace.flush(None));
        left == 0
    }

    fn load(bench: &mut Bench, key: &str) {
        let key = key.as_bytes().to_vec();
        let value = crate::data::value::Value::from_bytes(b"new");
        let entry = LoadedEntry { key, value, expire: None, idle_secs: None, frequency: None };
        bench.server.load_key(0, entry, false).unwrap();
    }

    #[test]
    fn a_dataset_that_is_read_aside_takes_the_place_of_the_old_one_at_its_end() {
        for (serving, succeeds) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut bench = Bench::start();
            let client = bench.client();
            let watcher = bench.client();
            assert_eq!(bench.call(client, "SET old 1;SET both 1;REPLICAOF 127.0.0.1 1"), "OK\nOK\nOK");
            assert_eq!(bench.call(watcher, "WATCH both"), "OK");
            let now = bench.now;
            bench.server.begin_loading_aside(now, 100, serving);
            load(&mut bench, "new");
            load(&mut bench, "both");
            let loading = "-LOADING Redis is loading the dataset in memory";
            let old = if serving { "1\nnil\n:2" } else { &[loading; 3].join("\n") };
            assert_eq!(bench.call(client, "GET both;GET new;DBSIZE"), old);
            // The roles must not change under it.
            assert_eq!(bench.call(client, "REPLICAOF NO ONE"), loading);
            let info = bench.call(client, "INFO persistence");
            let flags = format!("loading:{}\r\nasync_loading:{}\r\n", u8::from(!serving), u8::from(serving));
            assert!(info.contains(&flags), "{info}");
            let result = if succeeds { Ok(()) } else { Err("broken".to_owned()) };
            bench.server.end_loading(now, &LoadedFacts::default(), result);
            let after = if succeeds { "new\nnew\nnil" } else { "1\nnil\n1" };
            assert_eq!(bench.call(client, "GET both;GET new;GET old"), after);
            let exec = bench.call(watcher, "MULTI;GET both;EXEC");
            assert_eq!(exec.ends_with("nil"), succeeds, "{exec}");
        }
    }

    #[test]
    fn keys_end_as_the_role_wants_it() {
        let primary = PrimaryAddr { host: "127.0.0.1".into(), port: 1 };
        let mut born = Bench::start_with(Config { replicaof: Some(primary), ..Config::default() });
        assert!(!expires(&mut born), "a replica from the start");
        let mut bench = Bench::start();
        assert!(expires(&mut bench));
        let client = bench.client();
        assert_eq!(bench.call(client, "REPLICAOF 127.0.0.1 1"), "OK");
        assert!(!expires(&mut bench));
        assert_eq!(bench.call(client, "REPLICAOF NO ONE"), "OK");
        assert!(expires(&mut bench));
        // Its primary hands the role over.
        assert_eq!(bench.call(client, "REPLICAOF 127.0.0.1 1"), "OK");
        let history = *bench.server.repl.history();
        let replica = bench.client();
        assert_eq!(bench.call(replica, "REPLCONF capa psync2"), "OK");
        bench.send(replica, &format!("PSYNC {} {} FAILOVER", history.id, history.offset + 1));
        assert!(bench.server.repl.is_primary());
        assert!(expires(&mut bench));
    }

    #[test]
    fn what_expires_right_after_a_promotion_is_deleted_on_the_replicas_too() {
        let mut bench = Bench::start_with(Config::default());
        let client = bench.client();
        let saved = SavedHistory { id: ReplId::random(&mut Rng::seeded(7)), offset: 100 };
        assert_eq!(bench.call(client, "REPLICAOF 127.0.0.1 1"), "OK");
        bench.server.booted(Some(saved));
        let link = LinkId(1);
        bench.server.repl_input(Input::LinkUp(link));
        for bytes in ["+PONG\r\n", "+OK\r\n+OK\r\n+OK\r\n", "+CONTINUE\r\n"] {
            bench.server.repl_input(Input::FromPrimary { link, bytes: bytes.into() });
        }
        let at = (bench.now.0 + 500).to_string();
        let set = format!("*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$4\r\nPXAT\r\n${}\r\n{at}\r\n", at.len());
        bench.server.repl_input(Input::FromPrimary { link, bytes: set.clone().into() });
        let offset = bench.server.repl.offset();
        assert_eq!((bench.server.keyspace.len(), offset), (1, saved.offset + set.len() as u64));

        // By nobody's command: the last thing that ran here is what the primary sent.
        bench.server.promote();
        bench.pass(1000);
        bench.cron();
        assert_eq!(bench.server.keyspace.len(), 0);
        let id = bench.server.repl.history().id;
        let replica = bench.client();
        bench.send(replica, &format!("PSYNC {id} {}", offset + 1));
        bench.server.feed_replica(replica, 1 << 20);
        let reply = bench.server.clients.get(replica).map(|client| client.reply.buf.clone()).unwrap_or_default();
        let stream = "+CONTINUE\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$6\r\nUNLINK\r\n$1\r\nk\r\n";
        assert_eq!(String::from_utf8_lossy(&reply), stream);
    }
    /// A replica whose snapshot is here, and which has not been told to load it yet.
    fn loading(bench: &mut Bench, offset: u64) -> LinkId {
        let client = bench.client();
        assert_eq!(bench.call(client, "REPLICAOF 127.0.0.1 1"), "OK");
        bench.server.booted(None);
        let link = LinkId(1);
        bench.server.repl_input(Input::LinkUp(link));
        let id = ReplId::random(&mut Rng::seeded(7));
        let full = format!("+FULLRESYNC {id} {offset}\r\n$1\r\nX");
        for bytes in ["+PONG\r\n", "+OK\r\n+OK\r\n+OK\r\n", &full] {
            bench.server.repl_input(Input::FromPrimary { link, bytes: bytes.to_owned().into() });
        }
        link
    }

    /// It is told to.
    fn finish_load(bench: &mut Bench) {
        bench.server.begin_loading(bench.now, 1, true);
        bench.server.end_loading(bench.now, &LoadedFacts::default(), Ok(()));
    }

    #[test]
    fn what_comes_while_a_snapshot_is_loaded_runs_in_order() {
        let mut bench = Bench::start();
        let link = loading(&mut bench, 500);
        let set = |key: &str| command(&[b"SET", key.as_bytes(), b"1"]);
        let mut stream = set("a");
        // The answer to it leaves at once, while the rest of what came waits.
        stream.extend(command(&[b"REPLCONF", b"GETACK", b"*"]));
        stream.extend(["b", "c", "d"].map(set).concat());
        let at = stream.len();
        let cuts = [0, at - 60, at - 35, at];
        for cut in cuts.windows(2) {
            let bytes = stream[cut[0]..cut[1]].to_vec().into();
            bench.server.repl_input(Input::FromPrimary { link, bytes });
        }
        finish_load(&mut bench);
        assert_eq!((bench.server.keyspace.len(), bench.server.repl.offset()), (4, 500 + at as u64));
    }

    #[test]
    fn a_stream_that_cannot_be_understood_leads_to_a_full_synchronisation() {
        let mut bench = Bench::start();
        let link = loading(&mut bench, 500);
        finish_load(&mut bench);
        bench.effects();
        let bytes = [&command(&[b"SET", b"a", b"1"])[..], b"SET b 1\r\n"].concat();
        bench.server.repl_input(Input::FromPrimary { link, bytes: bytes.into() });
        assert_eq!(bench.server.keyspace.len(), 1);
        bench.cron();
        let closed = |effect: &Effect| matches!(effect, Effect::ToPrimary(Output::CloseLink(gone)) if *gone == link);
        assert!(bench.effects().iter().any(closed));
        bench.server.repl.handle(Millis(2000), Input::Tick);
        let next = LinkId(2);
        bench.server.repl_input(Input::LinkUp(next));
        for bytes in ["+PONG\r\n", "+OK\r\n+OK\r\n+OK\r\n"] {
            bench.server.repl_input(Input::FromPrimary { link: next, bytes: bytes.into() });
        }
        bench.cron();
        let asks = command(&[b"PSYNC", b"?", b"-1"]);
        let asked = |effect: &Effect| matches!(effect, Effect::ToPrimary(Output::SendToPrimary { bytes, .. }) if bytes[..] == asks[..]);
        assert!(bench.effects().iter().any(asked));
    }
}
