//! CLUSTER and its subcommands, as they are declared; the handlers stand in the files beside.

use super::admin::{admin, count_failure_reports, replicas, saveconfig};
use super::keys::{countkeysinslot, flushslot, getkeysinslot, keyslot};
use super::migration::{cancelslotmigrations, getslotmigrations, migrateslots, syncslots};
use super::slot_stats::slot_stats;
use super::topology::{info, links, myid, myshardid, nodes, shards, slots};
use crate::commands::help::help;
use crate::exec::{Acl, Arg, Command, Flags, Group};

/// What changes the cluster.
const CHANGES: Flags = Flags::ADMIN.union(Flags::NO_ASYNC_LOADING).union(Flags::STALE);

/// What is answered at any time.
const READS: Flags = Flags::LOADING.union(Flags::STALE);

pub const COMMANDS: &[Command] = &[Command::container(
    "cluster",
    &[
        Command::new("cluster|addslots", -3, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(N)", "Takes slots that nobody owns.")
            .args(&[Arg::int("slot").multiple()]),
        Command::new("cluster|addslotsrange", -4, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "7.0.0", "O(N)", "Takes ranges of slots that nobody owns.")
            .args(&[Arg::block("range", &[Arg::int("start-slot"), Arg::int("end-slot")]).multiple()]),
        Command::new("cluster|bumpepoch", 2, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Takes a new configuration epoch without a vote.")
            .tips(&["nondeterministic_output"]),
        Command::new("cluster|cancelslotmigrations", 2, cancelslotmigrations).flags(CHANGES).doc(
            Group::Cluster,
            "9.0.0",
            "O(N)",
            "Ends the slot migrations that leave this node.",
        ),
        Command::new("cluster|count-failure-reports", 3, count_failure_reports)
            .flags(Flags::ADMIN.union(Flags::STALE))
            .doc(Group::Cluster, "3.0.0", "O(N)", "Counts who reports a node as failing.")
            .tips(&["nondeterministic_output"])
            .args(&[Arg::string("node-id")]),
        Command::new("cluster|countkeysinslot", 3, countkeysinslot)
            .flags(Flags::STALE)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Counts the keys of a slot.")
            .args(&[Arg::int("slot")]),
        Command::new("cluster|delslots", -3, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(N)", "Forgets who owns slots.")
            .args(&[Arg::int("slot").multiple()]),
        Command::new("cluster|delslotsrange", -4, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "7.0.0", "O(N)", "Forgets who owns ranges of slots.")
            .args(&[Arg::block("range", &[Arg::int("start-slot"), Arg::int("end-slot")]).multiple()]),
        Command::new("cluster|failover", -2, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Makes this replica the primary of its shard.")
            .args(&[
                Arg::one_of("options", &[Arg::flag("force", "FORCE"), Arg::flag("takeover", "TAKEOVER")]).optional()
            ]),
        Command::new("cluster|flushslot", -3, flushslot)
            .flags(Flags::ADMIN.union(Flags::NO_ASYNC_LOADING).union(Flags::WRITE))
            .acl(Acl::KEYSPACE)
            .doc(Group::Cluster, "9.0.0", "O(N)", "Deletes the keys of a slot.")
            .args(&[
                Arg::int("slot"),
                Arg::one_of("flush-type", &[Arg::flag("async", "ASYNC"), Arg::flag("sync", "SYNC")]).optional(),
            ]),
        Command::new("cluster|flushslots", 2, admin).flags(CHANGES).doc(
            Group::Cluster,
            "3.0.0",
            "O(1)",
            "Forgets who owns the slots of this node.",
        ),
        Command::new("cluster|forget", 3, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Removes a node from this one's view of the cluster.")
            .args(&[Arg::string("node-id")]),
        Command::new("cluster|getkeysinslot", 4, getkeysinslot)
            .flags(Flags::STALE)
            .doc(Group::Cluster, "3.0.0", "O(N)", "Lists keys of a slot.")
            .tips(&["nondeterministic_output"])
            .args(&[Arg::int("slot"), Arg::int("count")]),
        Command::new("cluster|getslotmigrations", 2, getslotmigrations).flags(CHANGES).doc(
            Group::Cluster,
            "9.0.0",
            "O(N)",
            "Describes the slot migrations of this node, the newest first.",
        ),
        Command::new("cluster|help", 2, help).flags(READS).doc(Group::Cluster, "5.0.0", "O(1)", "Prints this help."),
        Command::new("cluster|info", 2, info)
            .flags(READS)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Describes the state of the cluster.")
            .tips(&["nondeterministic_output"]),
        Command::new("cluster|keyslot", 3, keyslot)
            .flags(Flags::STALE)
            .doc(Group::Cluster, "3.0.0", "O(N)", "Gives the slot of a key.")
            .args(&[Arg::string("key")]),
        Command::new("cluster|links", 2, links)
            .flags(Flags::STALE)
            .doc(Group::Cluster, "7.0.0", "O(N)", "Lists the links of the bus.")
            .tips(&["nondeterministic_output"]),
        Command::new("cluster|meet", -4, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Introduces a node to this one.")
            .args(&[Arg::string("ip"), Arg::int("port"), Arg::int("cluster-bus-port").since("4.0.0").optional()]),
        Command::new("cluster|migrateslots", -4, migrateslots)
            .flags(CHANGES)
            .doc(Group::Cluster, "9.0.0", "O(N)", "Moves slots with their keys to other nodes.")
            .args(&[Arg::block(
                "migration-group",
                &[
                    Arg::flag("slotsrange-token", "SLOTSRANGE"),
                    Arg::block("range", &[Arg::int("start-slot"), Arg::int("end-slot")]).multiple(),
                    Arg::flag("node-token", "NODE"),
                    Arg::string("node-id"),
                ],
            )
            .multiple()]),
        Command::new("cluster|myid", 2, myid).flags(READS).doc(
            Group::Cluster,
            "3.0.0",
            "O(1)",
            "Gives the id of this node.",
        ),
        Command::new("cluster|myshardid", 2, myshardid)
            .flags(READS)
            .doc(Group::Cluster, "7.2.0", "O(1)", "Gives the id of this node's shard.")
            .tips(&["nondeterministic_output"]),
        Command::new("cluster|nodes", 2, nodes)
            .flags(READS)
            .doc(Group::Cluster, "3.0.0", "O(N)", "Lists the nodes as this one sees them.")
            .tips(&["nondeterministic_output"]),
        Command::new("cluster|replicas", 3, replicas)
            .flags(Flags::ADMIN.union(Flags::STALE))
            .doc(Group::Cluster, "5.0.0", "O(N)", "Lists the replicas of a primary.")
            .tips(&["nondeterministic_output"])
            .args(&[Arg::string("node-id")]),
        Command::new("cluster|replicate", -3, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Makes this node a replica of another, or of none.")
            .args(&[Arg::one_of(
                "args",
                &[
                    Arg::string("node-id"),
                    Arg::block("no-one", &[Arg::flag("no", "NO"), Arg::flag("one", "ONE")]).since("9.0.0"),
                ],
            )]),
        Command::new("cluster|reset", -2, admin)
            .flags(Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::STALE))
            .doc(Group::Cluster, "3.0.0", "O(N)", "Makes this node forget its cluster.")
            .args(&[Arg::one_of("reset-type", &[Arg::flag("hard", "HARD"), Arg::flag("soft", "SOFT")]).optional()]),
        Command::new("cluster|saveconfig", 2, saveconfig).flags(CHANGES).doc(
            Group::Cluster,
            "3.0.0",
            "O(1)",
            "Writes the configuration file of the cluster.",
        ),
        Command::new("cluster|set-config-epoch", 3, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Sets the configuration epoch of a fresh node.")
            .args(&[Arg::int("config-epoch")]),
        Command::new("cluster|setslot", -4, admin)
            .flags(CHANGES)
            .doc(Group::Cluster, "3.0.0", "O(1)", "Opens, closes or assigns a slot.")
            .args(&[
                Arg::int("slot"),
                Arg::one_of(
                    "subcommand",
                    &[
                        Arg::string("importing").token("IMPORTING").display("node-id"),
                        Arg::string("migrating").token("MIGRATING").display("node-id"),
                        Arg::string("node").token("NODE").display("node-id"),
                        Arg::flag("stable", "STABLE"),
                    ],
                ),
                Arg::int("timeout").token("TIMEOUT").since("8.0.0").optional(),
            ]),
        Command::new("cluster|shards", 2, shards)
            .flags(READS)
            .doc(Group::Cluster, "7.0.0", "O(N)", "Describes the shards.")
            .tips(&["nondeterministic_output"]),
        Command::new("cluster|slaves", 3, replicas)
            .flags(Flags::ADMIN.union(Flags::STALE))
            .doc(Group::Cluster, "3.0.0", "O(N)", "Lists the replicas of a primary.")
            .tips(&["nondeterministic_output"])
            .args(&[Arg::string("node-id")])
            .deprecated("5.0.0", "`CLUSTER REPLICAS`"),
        Command::new("cluster|slot-stats", -4, slot_stats)
            .flags(READS)
            .doc(Group::Cluster, "8.0.0", "O(N)", "Counts keys and costs of the slots of this shard.")
            .tips(&["nondeterministic_output", "request_policy:all_shards"])
            .args(&[Arg::one_of(
                "filter",
                &[
                    Arg::block("slotsrange", &[Arg::int("start-slot"), Arg::int("end-slot")]).token("SLOTSRANGE"),
                    Arg::block(
                        "orderby",
                        &[
                            Arg::string("metric"),
                            Arg::int("limit").token("LIMIT").optional(),
                            Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional(),
                        ],
                    )
                    .token("ORDERBY"),
                ],
            )]),
        Command::new("cluster|slots", 2, slots)
            .flags(READS)
            .doc(Group::Cluster, "3.0.0", "O(N)", "Maps slots to nodes.")
            .tips(&["nondeterministic_output"]),
        Command::new("cluster|syncslots", -3, syncslots).flags(CHANGES).doc(
            Group::Cluster,
            "9.0.0",
            "",
            "What the two ends of a slot migration say to each other.",
        ),
    ],
)
.doc(Group::Cluster, "3.0.0", "", "What concerns the cluster.")];
