//! The enumerations of the table, each with its names in the order in which a refusal lists them.

use super::kind::Choice;

macro_rules! choices {
    ($($(#[$doc:meta])* $ty:ident { $($name:literal = $variant:ident),* $(,)? })*) => {$(
        choices!(@type $(#[$doc])* $ty [] $($variant)*);
        impl Choice for $ty {
            const NAMES: &'static [(&'static str, $ty)] = &[$(($name, $ty::$variant)),*];
        }
    )*};
    (@type $(#[$doc:meta])* $ty:ident [] $($variant:ident)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $ty { $($variant),* }
    };
}

choices! {
    /// When the append-only file is flushed to the disk.
    AppendFsync { "everysec" = EverySecond, "always" = Always, "no" = Never }
    /// Who may do what the `enable-*` directives guard.
    Guard { "no" = No, "yes" = Yes, "local" = Local }
    /// The least severe level that is logged.
    LogLevel { "debug" = Debug, "verbose" = Verbose, "notice" = Notice, "warning" = Warning, "nothing" = Nothing }
    /// What to do when `maxmemory` is reached.
    EvictionPolicy {
        "volatile-lru" = VolatileLru, "volatile-lfu" = VolatileLfu, "volatile-random" = VolatileRandom,
        "volatile-ttl" = VolatileTtl, "allkeys-lru" = AllKeysLru, "allkeys-lfu" = AllKeysLfu,
        "allkeys-random" = AllKeysRandom, "noeviction" = NoEviction,
    }
    /// The supervisor that is told about readiness.
    Supervised { "upstart" = Upstart, "systemd" = Systemd, "auto" = Auto, "no" = No }
    SyslogFacility {
        "user" = User, "local0" = Local0, "local1" = Local1, "local2" = Local2, "local3" = Local3,
        "local4" = Local4, "local5" = Local5, "local6" = Local6, "local7" = Local7,
    }
    /// Whether a replica loads a snapshot straight from the socket.
    DisklessLoad {
        "disabled" = Disabled, "on-empty-db" = OnEmptyDb, "swapdb" = SwapDb, "flush-before-load" = FlushBeforeLoad,
    }
    SanitizePayload { "no" = No, "yes" = Yes, "clients" = Clients }
    /// The address form in redirections and CLUSTER SLOTS.
    EndpointType { "ip" = Ip, "hostname" = Hostname, "unknown-endpoint" = Unknown }
    /// Whether a failed save of nodes.conf stops the server.
    ConfigSaveBehavior { "sync" = Sync, "best-effort" = BestEffort }
    /// Which links of the bus prove that they know the key: none; some of those that others open; those that this node
    /// opens, too; all.
    ClusterAuth { "off" = Off, "accept" = Accept, "send" = Send, "require" = Require }
    PropagationError { "ignore" = Ignore, "panic" = Panic, "panic-on-replicas" = PanicOnReplicas }
    /// Whether snapshots of a newer format are refused.
    RdbVersionCheck { "strict" = Strict, "relaxed" = Relaxed }
    TlsAuthClients { "no" = No, "yes" = Yes, "optional" = Optional }
    TlsAuthUser { "off" = Off, "cn" = CommonName, "uri" = Uri }
    AclPubsubDefault { "allchannels" = AllChannels, "resetchannels" = ResetChannels }
    LogFormat { "legacy" = Legacy, "logfmt" = Logfmt }
    LogTimestamp { "legacy" = Legacy, "iso8601" = Iso8601, "milliseconds" = Milliseconds }
}

/// How the kernel's out-of-memory killer should rate this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OomScoreAdj {
    No,
    Relative,
    Absolute,
}

impl Choice for OomScoreAdj {
    const NAMES: &'static [(&'static str, OomScoreAdj)] = &[
        ("no", OomScoreAdj::No),
        ("yes", OomScoreAdj::Relative),
        ("relative", OomScoreAdj::Relative),
        ("absolute", OomScoreAdj::Absolute),
    ];
}
