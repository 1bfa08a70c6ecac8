//! From arguments to commands.

use std::net::IpAddr;

use super::{AdminCommand, AdminError, FailoverMode, SetSlot, SetSlotAction, shown};
use crate::base::{Slot, num};

fn slot(arg: &[u8]) -> Result<Slot, AdminError> {
    num::parse_i64(arg).and_then(|n| u16::try_from(n).ok()).and_then(Slot::new).ok_or(AdminError::BadSlot)
}

fn each(args: &[&[u8]]) -> Result<Vec<Slot>, AdminError> {
    args.iter().map(|arg| slot(arg)).collect()
}

/// Pairs of first and last, the last included.
fn ranges(args: &[&[u8]], name: &'static str) -> Result<Vec<Slot>, AdminError> {
    if args.is_empty() || !args.len().is_multiple_of(2) {
        return Err(AdminError::Arity(name));
    }
    let mut all = Vec::new();
    for pair in args.chunks_exact(2) {
        let (first, last) = (slot(pair[0])?, slot(pair[1])?);
        if first > last {
            return Err(AdminError::SlotRange(first, last));
        }
        // A client may repeat the whole space as often as it likes: that is an error anyway, found early.
        all.extend((first.get()..=last.get()).filter_map(Slot::new));
        if all.len() > 2 * crate::base::SLOTS {
            break;
        }
    }
    Ok(all)
}

fn meet(ip: &[u8], port: &[u8], cport: Option<&[u8]>) -> Result<AdminCommand, AdminError> {
    let base = num::parse_i64(port).ok_or_else(|| AdminError::BadPort(shown(port)))?;
    let bus = match cport {
        Some(arg) => num::parse_i64(arg).ok_or_else(|| AdminError::BadBusPort(shown(arg)))?,
        None => base.saturating_add(10_000),
    };
    let valid = |n: i64| u16::try_from(n).ok().filter(|n| *n != 0);
    let port_number = valid(base).ok_or(AdminError::PortRange)?;
    let cport = valid(bus).ok_or(AdminError::BusPortRange)?;
    let parsed: Option<IpAddr> = std::str::from_utf8(ip).ok().and_then(|text| text.parse().ok());
    let ip = parsed.ok_or_else(|| AdminError::BadAddress(shown(ip), shown(port)))?.to_string();
    Ok(AdminCommand::Meet { ip, port: port_number, cport })
}

fn setslot(args: &[&[u8]]) -> Result<AdminCommand, AdminError> {
    let [number, action, rest @ ..] = args else { return Err(AdminError::SetSlotSyntax) };
    let slot = slot(number)?;
    let action = action.to_ascii_uppercase();
    let (action, rest) = match (action.as_slice(), rest) {
        (b"MIGRATING", [node, rest @ ..]) => (SetSlotAction::Migrating(node.to_vec()), rest),
        (b"IMPORTING", [node, rest @ ..]) => (SetSlotAction::Importing(node.to_vec()), rest),
        (b"STABLE", rest) => (SetSlotAction::Stable, rest),
        (b"NODE", [node, rest @ ..]) => (SetSlotAction::Node(node.to_vec()), rest),
        _ => return Err(AdminError::SetSlotSyntax),
    };
    let timeout_ms = match rest.iter().position(|word| word.eq_ignore_ascii_case(b"TIMEOUT")) {
        None => None,
        Some(at) => {
            let value = rest.get(at + 1).ok_or(AdminError::MissingTimeout)?;
            let timeout_ms = num::parse_i64(value).ok_or(AdminError::BadTimeout)?;
            Some(u64::try_from(timeout_ms).map_err(|_| AdminError::NegativeTimeout)?)
        }
    };
    Ok(AdminCommand::SetSlot(SetSlot { slot, action, timeout_ms }))
}

fn failover(args: &[&[u8]]) -> Result<AdminCommand, AdminError> {
    let mode = match args.first().map(|word| word.to_ascii_uppercase()).as_deref() {
        None => FailoverMode::Default,
        Some(b"FORCE") => FailoverMode::Force,
        Some(b"TAKEOVER") => FailoverMode::Takeover,
        Some(_) => return Err(AdminError::Syntax),
    };
    let replica = match args.get(1..).unwrap_or_default() {
        [] => None,
        [word, id] if mode == FailoverMode::Force && word.eq_ignore_ascii_case(b"REPLICAID") => Some(id.to_vec()),
        _ => return Err(AdminError::Syntax),
    };
    Ok(AdminCommand::Failover { mode, replica })
}

impl AdminCommand {
    /// Parses what follows `CLUSTER`: the subcommand and its arguments. `Ok(None)`: not one of the
    /// subcommands that change the cluster.
    pub fn parse(args: &[&[u8]]) -> Result<Option<AdminCommand>, AdminError> {
        let [name, args @ ..] = args else { return Ok(None) };
        let arity = || AdminError::Subcommand(shown(name));
        let some = || if args.is_empty() { Err(arity()) } else { Ok(args) };
        let command = match (name.to_ascii_uppercase().as_slice(), args) {
            (b"ADDSLOTS", _) => AdminCommand::AddSlots(each(some()?)?),
            (b"DELSLOTS", _) => AdminCommand::DelSlots(each(some()?)?),
            (b"ADDSLOTSRANGE", _) => AdminCommand::AddSlots(ranges(args, "addslotsrange")?),
            (b"DELSLOTSRANGE", _) => AdminCommand::DelSlots(ranges(args, "delslotsrange")?),
            (b"FLUSHSLOTS", []) => AdminCommand::FlushSlots,
            (b"SETSLOT", [_, _, ..]) => setslot(args)?,
            (b"MEET", [ip, port]) => meet(ip, port, None)?,
            (b"MEET", [ip, port, cport]) => meet(ip, port, Some(cport))?,
            (b"FORGET", [id]) => AdminCommand::Forget(id.to_vec()),
            (b"REPLICATE", [id]) => AdminCommand::Replicate(id.to_vec()),
            (b"REPLICATE", [no, one]) if no.eq_ignore_ascii_case(b"NO") && one.eq_ignore_ascii_case(b"ONE") => {
                AdminCommand::ReplicateNoOne
            }
            (b"REPLICATE", [_, _]) => return Err(AdminError::Syntax),
            (b"FAILOVER", _) if args.len() <= 3 => failover(args)?,
            (b"RESET", []) => AdminCommand::Reset { hard: false },
            (b"RESET", [word]) if word.eq_ignore_ascii_case(b"HARD") => AdminCommand::Reset { hard: true },
            (b"RESET", [word]) if word.eq_ignore_ascii_case(b"SOFT") => AdminCommand::Reset { hard: false },
            (b"RESET", [_]) => return Err(AdminError::Syntax),
            (b"BUMPEPOCH", []) => AdminCommand::BumpEpoch,
            (b"SET-CONFIG-EPOCH", [epoch]) => {
                let n = num::parse_i64(epoch).ok_or(AdminError::NotInteger)?;
                AdminCommand::SetConfigEpoch(u64::try_from(n).map_err(|_| AdminError::BadEpoch(n.to_string()))?)
            }
            (
                b"FLUSHSLOTS" | b"SETSLOT" | b"MEET" | b"FORGET" | b"REPLICATE" | b"FAILOVER" | b"RESET" | b"BUMPEPOCH"
                | b"SET-CONFIG-EPOCH",
                _,
            ) => return Err(arity()),
            _ => return Ok(None),
        };
        Ok(Some(command))
    }
}
