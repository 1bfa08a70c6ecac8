//! CLUSTER subcommands that change something: parsed here, checked here, with the texts clients know.

mod epoch;
mod membership;
mod parse;
mod role;
mod setslot;
mod slots;

use super::clock::Clock;
use super::engine::Engine;
use super::io::SlotKeys;
use super::node::NodeIdx;
use crate::base::{NodeId, Slot};

/// A node named by a client: not checked yet.
pub type NodeArg = Vec<u8>;

/// A parsed CLUSTER subcommand that changes something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdminCommand {
    /// ADDSLOTS, ADDSLOTSRANGE. As given, repetitions included.
    AddSlots(Vec<Slot>),
    /// DELSLOTS, DELSLOTSRANGE.
    DelSlots(Vec<Slot>),
    FlushSlots,
    SetSlot(SetSlot),
    Meet {
        ip: String,
        port: u16,
        /// Bus port.
        cport: u16,
    },
    Forget(NodeArg),
    Replicate(NodeArg),
    ReplicateNoOne,
    Failover {
        mode: FailoverMode,
        /// The replica that is meant, where the order came through the replication stream.
        replica: Option<NodeArg>,
    },
    Reset {
        hard: bool,
    },
    BumpEpoch,
    SetConfigEpoch(u64),
}

/// CLUSTER SETSLOT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetSlot {
    pub slot: Slot,
    pub action: SetSlotAction,
    /// How long the client waits for replicas, in milliseconds; `None`: the default, 0: for ever.
    pub timeout_ms: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetSlotAction {
    Migrating(NodeArg),
    Importing(NodeArg),
    Stable,
    Node(NodeArg),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailoverMode {
    /// With the primary's consent.
    Default,
    /// Without it, by vote.
    Force,
    /// Without anybody's.
    Takeover,
}

/// What to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdminReply {
    Ok,
    /// `+BUMPED n`
    Bumped(u64),
    /// `+STILL n`
    Still(u64),
}

/// What to answer instead; `Display` is the text behind `-ERR `.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AdminError {
    #[error("unknown subcommand or wrong number of arguments for '{0}'. Try CLUSTER HELP.")]
    Subcommand(String),
    #[error("wrong number of arguments for 'cluster|{0}' command")]
    Arity(&'static str),
    #[error("value is not an integer or out of range")]
    NotInteger,
    #[error("syntax error")]
    Syntax,
    #[error("Invalid or out of range slot")]
    BadSlot,
    #[error("Slot {0} is already busy")]
    SlotBusy(Slot),
    #[error("Slot {0} is already unassigned")]
    SlotUnassigned(Slot),
    #[error("Slot {0} specified multiple times")]
    SlotTwice(Slot),
    #[error("start slot number {0} is greater than end slot number {1}")]
    SlotRange(Slot, Slot),
    #[error("Unknown node {0}")]
    UnknownNode(String),
    #[error("You should send CLUSTER FAILOVER to a replica")]
    FailoverPrimary,
    #[error("I'm a replica but my master is unknown to me")]
    FailoverOrphan,
    #[error("Master is down or failed, please use CLUSTER FAILOVER FORCE")]
    FailoverPrimaryDown,
    #[error("I have no data of my master yet: I can't replace it")]
    FailoverForeign,
    #[error("DB must be empty to perform CLUSTER FLUSHSLOTS.")]
    FlushSlotsKeys,
    #[error("I tried hard but I can't forget myself...")]
    ForgetMyself,
    #[error("Can't forget my master!")]
    ForgetPrimary,
    #[error("Invalid base port specified: {0}")]
    BadPort(String),
    #[error("Port number is out of range")]
    PortRange,
    #[error("Invalid bus port specified: {0}")]
    BadBusPort(String),
    #[error("Cluster bus port number is out of range")]
    BusPortRange,
    #[error("Invalid node address specified: {0}:{1}")]
    BadAddress(String, String),
    #[error("The specified node is not a master")]
    NotPrimary,
    #[error("Can't replicate myself")]
    ReplicateMyself,
    #[error("I can only replicate a master, not a replica.")]
    ReplicateReplica,
    #[error("To set a master the node must be empty and without assigned slots.")]
    ReplicateNotEmpty,
    #[error("CLUSTER RESET can't be called with master nodes containing keys")]
    ResetWithKeys,
    #[error("Invalid config epoch specified: {0}")]
    BadEpoch(String),
    #[error("The user can assign a config epoch only when the node does not know any other node.")]
    EpochWithNodes,
    #[error("Node config epoch is already non-zero")]
    EpochSet,
    #[error("Please use SETSLOT only with masters.")]
    SetSlotReplica,
    #[error("I'm not the owner of hash slot {0}")]
    NotOwner(Slot),
    #[error("I'm already the owner of hash slot {0}")]
    AlreadyOwner(Slot),
    #[error("I don't know about node {0}")]
    DontKnow(String),
    #[error("Target node is myself")]
    TargetMyself,
    #[error("Target node is not a master")]
    TargetReplica,
    #[error("Can't assign hashslot {0} to a different node while I still hold keys for this hash slot.")]
    SlotHasKeys(Slot),
    #[error("Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP")]
    SetSlotSyntax,
    #[error("Missing timeout value")]
    MissingTimeout,
    #[error("timeout is not an integer or out of range")]
    BadTimeout,
    #[error("timeout is negative")]
    NegativeTimeout,
}

/// Arguments as they may be shown in an error.
fn shown(arg: &[u8]) -> String {
    String::from_utf8_lossy(arg).into_owned()
}

impl Engine {
    /// Checks and performs one command. Take the outputs afterwards; the reply may be sent when those up
    /// to now are performed.
    ///
    /// SETSLOT comes by the hundred: it leaves the saving and the telling to [`Engine::finish`], which is to be called when
    /// no other command follows at once. It is performed at once itself; where replicas must have it first, [`Engine::check_setslot`] says
    /// beforehand whether it would be accepted.
    pub fn admin(&mut self, now: Clock, command: &AdminCommand, keys: &dyn SlotKeys) -> Result<AdminReply, AdminError> {
        let reply = match command {
            AdminCommand::AddSlots(slots) => self.add_slots(slots),
            AdminCommand::DelSlots(slots) => self.del_slots(slots),
            AdminCommand::FlushSlots => self.flush_slots(keys),
            AdminCommand::SetSlot(set) => self.set_slot(now, set, keys, false),
            AdminCommand::Meet { ip, port, cport } => self.meet(now, ip, *port, *cport),
            AdminCommand::Forget(arg) => self.forget(now, arg),
            AdminCommand::Replicate(arg) => self.replicate(arg, keys),
            AdminCommand::ReplicateNoOne => self.replicate_no_one(),
            AdminCommand::Failover { mode, replica } => self.failover(now, *mode, replica.as_deref()),
            AdminCommand::Reset { hard } => self.reset(now, *hard, keys),
            AdminCommand::BumpEpoch => Ok(self.bump_epoch_by_order()),
            AdminCommand::SetConfigEpoch(epoch) => self.set_config_epoch(*epoch),
        };
        if matches!(command, AdminCommand::SetSlot(_)) {
            self.settle_state(now);
        } else {
            self.settle(now);
        }
        reply
    }

    /// The node an argument names.
    pub fn find(&self, arg: &[u8]) -> Result<NodeIdx, AdminError> {
        NodeId::parse(arg).and_then(|id| self.nodes.find(&id)).ok_or_else(|| AdminError::UnknownNode(shown(arg)))
    }
}
