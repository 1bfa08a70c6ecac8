//! FAILOVER: this primary hands its role over to one of its replicas. What comes of it shows in INFO; the work is done by the
//! replication engine.

use crate::commands::parse;
use crate::exec::{Arg, Command, Ctx, Done, Flags, Group};
use crate::repl::{Endpoint, FailoverRequest};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("failover", -1, failover)
    .flags(Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::STALE))
    .doc(Group::Server, "6.2.0", "O(1)", "Hands the role of the primary over to a replica that has every write.")
    .args(&[
        Arg::block("target", &[Arg::string("host"), Arg::int("port"), Arg::flag("force", "FORCE").optional()])
            .token("TO")
            .optional(),
        Arg::flag("abort", "ABORT").optional(),
        Arg::int("milliseconds").token("TIMEOUT").optional(),
    ])];

fn failover(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if ctx.server.config.cluster_enabled {
        return Err(ErrorReply::Static(
            "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.",
        ));
    }
    let now = ctx.server.mono();
    let result = if args.len() == 2 && args.is(1, "abort") {
        ctx.server.repl.abort_failover(now)
    } else {
        let request = request(args)?;
        ctx.server.repl.start_failover(now, request)
    };
    ctx.server.drain_repl();
    result.map_err(|error| ErrorReply::text_of(error.to_string()))?;
    ctx.reply().ok();
    Ok(())
}

fn request(args: Args<'_>) -> Result<FailoverRequest, ErrorReply> {
    let mut request = FailoverRequest::default();
    let mut at = 1;
    while at < args.len() {
        if args.is(at, "timeout") && at + 1 < args.len() && request.timeout_ms.is_none() {
            let ms = parse::int(args.at(at + 1))?;
            if ms <= 0 {
                return Err(ErrorReply::Static("ERR FAILOVER timeout must be greater than 0"));
            }
            request.timeout_ms = Some(ms);
            at += 2;
        } else if args.is(at, "to") && at + 2 < args.len() && request.target.is_none() {
            let host = String::from_utf8_lossy(args.at(at + 1)).into_owned();
            // A number that is no port belongs to no replica, as little as port 0.
            let port = u16::try_from(parse::int(args.at(at + 2))?).unwrap_or(0);
            request.target = Some(Endpoint { host, port });
            at += 3;
        } else if args.is(at, "force") && !request.force {
            request.force = true;
            at += 1;
        } else {
            return Err(ErrorReply::Syntax);
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use crate::commands::bench::Bench;
    use crate::exec::ClientId;

    /// A replica that is online and has acknowledged everything.
    fn replica(bench: &mut Bench) -> ClientId {
        bench.server.booted(Some(crate::repl::SavedHistory { id: bench.server.repl.history().id, offset: 1000 }));
        let id = bench.client();
        assert_eq!(bench.call(id, "REPLCONF listening-port 7003 ip-address 10.0.0.3 capa eof capa psync2"), "OK");
        let history = *bench.server.repl.history();
        bench.send(id, &format!("PSYNC {} {}", history.id, history.offset + 1));
        id
    }

    fn state(bench: &mut Bench, client: ClientId) -> String {
        let info = bench.call(client, "INFO replication");
        let line = info.lines().find_map(|line| line.strip_prefix("master_failover_state:"));
        line.unwrap_or_default().trim_end().to_owned()
    }

    #[test]
    fn what_is_refused() {
        let mut bench = Bench::start();
        let client = bench.client();
        for (line, words) in [
            ("FAILOVER ABORT", "No failover in progress."),
            ("FAILOVER", "FAILOVER requires connected replicas."),
            ("FAILOVER TIMEOUT 0", "FAILOVER timeout must be greater than 0"),
            ("FAILOVER TO a", "syntax error"),
            ("FAILOVER TO a b", "value is not an integer or out of range"),
            ("FAILOVER FORCE FORCE", "syntax error"),
            ("FAILOVER TIMEOUT 5 ABORT", "syntax error"),
        ] {
            assert_eq!(bench.call(client, line), format!("-ERR {words}"), "{line}");
        }
        replica(&mut bench);
        for (line, words) in [
            ("FAILOVER FORCE", "FAILOVER with force option requires both a timeout and target HOST and IP."),
            ("FAILOVER TO 10.0.0.3 99999", "FAILOVER target HOST and PORT is not a replica."),
            ("FAILOVER TO 10.0.0.4 7003", "FAILOVER target HOST and PORT is not a replica."),
        ] {
            assert_eq!(bench.call(client, line), format!("-ERR {words}"), "{line}");
        }
        assert_eq!(
            bench.call(client, "REPLICAOF h 1;FAILOVER"),
            "OK\n-ERR FAILOVER is not valid when server is a replica."
        );
    }

    #[test]
    fn writes_wait_until_it_is_called_off() {
        let mut bench = Bench::start();
        let (client, writer) = (bench.client(), bench.client());
        replica(&mut bench);
        bench.call(client, "SET a 1");
        assert_eq!(bench.call(client, "FAILOVER TO 10.0.0.3 7003 TIMEOUT 5000"), "OK");
        assert_eq!(state(&mut bench, client), "waiting-for-sync");
        assert_eq!(bench.call(client, "FAILOVER"), "-ERR FAILOVER already in progress.");
        assert_eq!(bench.call(client, "REPLICAOF h 1"), "-ERR REPLICAOF not allowed while failing over.");
        assert_eq!(bench.call(writer, "GET a;SET a 2"), "1");
        assert_eq!(bench.call(client, "FAILOVER ABORT"), "OK");
        assert_eq!((bench.read(writer).as_str(), state(&mut bench, client).as_str()), ("OK", "no-failover"));
    }

    #[test]
    fn while_it_waits_nothing_expires() {
        let mut bench = Bench::start();
        let client = bench.client();
        replica(&mut bench);
        bench.call(client, "SET a 1 PX 10");
        assert_eq!(bench.call(client, "FAILOVER"), "OK");
        let offset = bench.server.repl.offset();
        bench.pass(20);
        assert_eq!(bench.call(client, "GET a"), "nil");
        assert_eq!((bench.server.repl.offset(), bench.server.keyspace.len()), (offset, 1));
        assert_eq!(bench.call(client, "FAILOVER ABORT;GET a"), "OK\nnil");
        assert_eq!(bench.server.keyspace.len(), 0);
    }

    #[test]
    fn the_role_is_handed_over() {
        let mut bench = Bench::start();
        let client = bench.client();
        let replica = replica(&mut bench);
        bench.call(client, "SET a 1");
        assert_eq!(bench.call(client, "FAILOVER"), "OK");
        let offset = bench.server.repl.offset();
        bench.send(replica, &format!("REPLCONF ACK {offset}"));
        assert_eq!(state(&mut bench, client), "failover-in-progress");
        // The configuration says so, too.
        let primary = bench.server.config.replicaof.clone().map(|primary| (primary.host, primary.port));
        assert_eq!(primary, Some(("10.0.0.3".to_owned(), 7003)));
        assert_eq!(bench.call(client, "FAILOVER ABORT;ROLE").lines().next(), Some("OK"));
        assert!(bench.server.config.replicaof.is_none() && bench.server.repl.is_primary());
    }
}
