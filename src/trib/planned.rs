//! A plan as people and files keep it: what a command would do, how it was asked for, and on which cluster.
//!
//! A plan that is applied is made once more, by the same planners from the same words, and has to come out
//! the same on a cluster that has not changed: so nothing is done that was not shown.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::error::Error;
use super::fresh::Fresh;
use super::plan::Transfer;
use super::plan::fix::{self, Repair};
use super::slots::SlotSet;
use super::table::Sheet;
use super::view::{ClusterView, Node};
use crate::base::NodeId;

const VERSION: u32 = 1;

/// What a command would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    /// The subcommand with its options, in redis-trib's grammar and without secrets.
    pub command: Vec<String>,
    /// Digest of the cluster that the plan was made for.
    pub cluster: String,
    pub steps: Vec<Step>,
}

/// One thing to do. Slots are ranges joined by commas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    AssignSlots {
        node: Member,
        slots: String,
    },
    Join {
        node: Member,
    },
    Replicate {
        node: Member,
        primary: Member,
    },
    MoveSlots {
        from: Member,
        to: Member,
        slots: String,
    },
    MoveKeys {
        from: Member,
        to: Member,
        slots: String,
    },
    /// Mark as importing, so that keys there are kept and found.
    GuardSlots {
        node: Member,
        from: Member,
        slots: String,
    },
    GiveUpSlots {
        node: Member,
        slots: String,
    },
    TakeSlots {
        node: Member,
        slots: String,
    },
    TellOwner {
        node: Member,
        owner: Member,
        slots: String,
    },
    CloseSlots {
        node: Member,
        slots: String,
    },
    CopyFunctions {
        from: Member,
        to: Member,
    },
    Forget {
        node: Member,
    },
    /// Delete all keys.
    Flush {
        node: Member,
    },
    Reset {
        node: Member,
    },
    /// The node takes over from its primary.
    Promote {
        node: Member,
        primary: Member,
    },
    Restart {
        node: Member,
    },
    SetConfig {
        node: Member,
        name: String,
        value: String,
    },
    Import {
        from: String,
        database: u32,
    },
    /// Bring in the keys of a snapshot file.
    Load {
        file: String,
    },
}

/// A node, as plans name it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    pub id: String,
    pub addr: String,
}

impl From<&Node> for Member {
    fn from(node: &Node) -> Member {
        Member { id: node.id.to_string(), addr: node.addr.to_string() }
    }
}

impl From<&Fresh> for Member {
    fn from(node: &Fresh) -> Member {
        Member { id: node.id.to_string(), addr: node.addr.to_string() }
    }
}

impl Member {
    /// A node of the view, by its id.
    #[must_use]
    pub fn of(view: &ClusterView, id: &NodeId) -> Member {
        view.node(id).map_or_else(|| Member { id: id.to_string(), addr: "?".to_owned() }, Member::from)
    }
}

impl Plan {
    #[must_use]
    pub fn new(command: Vec<String>, cluster: String, steps: Vec<Step>) -> Plan {
        Plan { version: VERSION, command, cluster, steps }
    }

    /// Reads a plan that `--dry-run --json` has printed.
    pub fn parse(text: &str) -> Result<Plan, Error> {
        let plan: Plan = serde_json::from_str(text).map_err(|e| {
            Error::usage(format!("[ERR] This is no plan of trib's: {e}")).hint("--dry-run --json prints one")
        })?;
        match plan.version {
            VERSION => Ok(plan),
            other => Err(Error::usage(format!("[ERR] The plan has version {other}; this program knows {VERSION}."))),
        }
    }

    /// Whether this plan, made just now, is the one that was agreed to.
    pub fn compare(&self, agreed: &Plan) -> Result<(), Error> {
        let hint = format!("look at the new plan: trib {} --dry-run", self.command.join(" "));
        if self.cluster != agreed.cluster {
            return Err(Error::failed("[ERR] The cluster has changed since the plan was made.").hint(hint));
        }
        if self.steps != agreed.steps {
            return Err(Error::failed("[ERR] What would be done now is not what the plan says.").hint(hint));
        }
        Ok(())
    }

    /// The steps for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut sheet = Sheet::new(&["step", "node", "what"]);
        for step in &self.steps {
            let (verb, node, what) = step.row();
            sheet.add([verb.to_owned(), node.to_owned(), what]);
        }
        sheet.table()
    }
}

impl Step {
    fn row(&self) -> (&'static str, &str, String) {
        match self {
            Step::AssignSlots { node, slots } => ("assign slots", &node.addr, slots.clone()),
            Step::Join { node } => ("join", &node.addr, String::new()),
            Step::Replicate { node, primary } => ("replicate", &node.addr, format!("of {}", primary.addr)),
            Step::MoveSlots { from, to, slots } => ("move slots", &from.addr, format!("to {}: {slots}", to.addr)),
            Step::MoveKeys { from, to, slots } => ("move keys", &from.addr, format!("to {}: {slots}", to.addr)),
            Step::GuardSlots { node, from, slots } => {
                ("import slots", &node.addr, format!("from {}: {slots}", from.addr))
            }
            Step::GiveUpSlots { node, slots } => ("give up slots", &node.addr, slots.clone()),
            Step::TakeSlots { node, slots } => ("take slots", &node.addr, slots.clone()),
            Step::TellOwner { node, owner, slots } => {
                ("tell the owner", &node.addr, format!("{} owns {slots}", owner.addr))
            }
            Step::CloseSlots { node, slots } => ("close slots", &node.addr, slots.clone()),
            Step::CopyFunctions { from, to } => ("copy functions", &from.addr, format!("to {}", to.addr)),
            Step::Forget { node } => ("forget", &node.addr, node.id.clone()),
            Step::Flush { node } => ("delete all keys", &node.addr, String::new()),
            Step::Reset { node } => ("reset", &node.addr, String::new()),
            Step::Promote { node, primary } => ("take over", &node.addr, format!("from {}", primary.addr)),
            Step::Restart { node } => ("restart", &node.addr, String::new()),
            Step::SetConfig { node, name, value } => ("set", &node.addr, format!("{name} {value}")),
            Step::Import { from, database } => ("import", from, format!("database {database}")),
            Step::Load { file } => ("load", "", file.clone()),
        }
    }
}

/// The steps of slots that are moved.
#[must_use]
pub fn transfers(view: &ClusterView, transfers: &[Transfer]) -> Vec<Step> {
    let step = |transfer: &Transfer| Step::MoveSlots {
        from: Member::of(view, &transfer.from),
        to: Member::of(view, &transfer.to),
        slots: transfer.slots.iter().copied().collect::<SlotSet>().to_string(),
    };
    transfers.iter().map(step).collect()
}

/// The slot moves among the steps of a plan: what [`transfers`] made of them. A plan may have been edited, so they have to
/// be moves between primaries of slots that the one owns.
pub fn moves(view: &ClusterView, steps: &[Step]) -> Result<Vec<Transfer>, Error> {
    let primary = |member: &Member| view.primaries().find(|node| node.id.as_str() == member.id);
    let read = |from, to, slots: &str| {
        let (from, to, slots) = (primary(from)?, primary(to)?, slots.parse::<SlotSet>().ok()?);
        let fits = from.id != to.id && slots.is_subset(&from.slots);
        fits.then(|| Transfer { from: from.id, to: to.id, slots: slots.iter().collect() })
    };
    let mut moves = Vec::new();
    for step in steps {
        let Step::MoveSlots { from, to, slots } = step else { continue };
        let why = || format!("[ERR] The plan moves {slots} from {} to {}, which cannot be.", from.addr, to.addr);
        moves.push(read(from, to, slots).ok_or_else(|| Error::failed(why()))?);
    }
    Ok(moves)
}

/// The steps of repairs, those of one kind between the same nodes put together.
#[must_use]
pub fn repairs(view: &ClusterView, repairs: &[Repair]) -> Vec<Step> {
    type Part = fn(&Repair) -> &[fix::Step];
    let parts: [Part; 3] = [|repair| &repair.secure, |repair| &repair.gather, |repair| &repair.close];
    let mut steps = Vec::new();
    for part in parts {
        let mut groups: Vec<(fix::Step, SlotSet)> = Vec::new();
        for step in repairs.iter().flat_map(part) {
            let group = groups.iter_mut().find(|(known, _)| known.at(step.slot()) == *step);
            match group {
                Some((_, slots)) => slots.insert(step.slot()),
                None => groups.push((*step, [step.slot()].into_iter().collect())),
            }
        }
        steps.extend(groups.iter().map(|(step, slots)| repair_step(view, step, slots)));
    }
    steps
}

fn repair_step(view: &ClusterView, step: &fix::Step, slots: &SlotSet) -> Step {
    let member = |id: &NodeId| Member::of(view, id);
    let slots = slots.to_string();
    match step {
        fix::Step::Stable { node, .. } => Step::CloseSlots { node: member(node), slots },
        fix::Step::Importing { node, from, .. } => Step::GuardSlots { node: member(node), from: member(from), slots },
        fix::Step::Disown { node, .. } => Step::GiveUpSlots { node: member(node), slots },
        fix::Step::Own { node, .. } => Step::TakeSlots { node: member(node), slots },
        fix::Step::Assign { node, owner, .. } => Step::TellOwner { node: member(node), owner: member(owner), slots },
        fix::Step::MoveKeys { from, to, .. } => Step::MoveKeys { from: member(from), to: member(to), slots },
        fix::Step::MoveSlot { from, to, .. } => Step::MoveSlots { from: member(from), to: member(to), slots },
    }
}

/// A digest of everything about the cluster that a plan depends on.
#[must_use]
pub fn digest(view: &ClusterView) -> String {
    let mut lines: Vec<String> = view
        .nodes
        .iter()
        .map(|node| {
            let primary = node.primary.map(|id| id.to_string()).unwrap_or_default();
            let open = format!("{:?} {:?}", node.migrating, node.importing);
            let answers = node.is_reachable();
            format!("{} {} {primary} {} {answers} {} {open}", node.id, node.announced, node.config_epoch, node.slots)
        })
        .collect();
    lines.sort_unstable();
    digest_of(lines.iter().map(String::as_str))
}

/// The same of nodes that are no cluster yet.
#[must_use]
pub fn digest_of<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let mut sha = Sha1::new();
    for line in lines {
        sha.update(line.as_bytes());
        sha.update(b"\n");
    }
    sha.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{small, view};
    use super::*;

    fn plan() -> Plan {
        let view = small();
        let members: Vec<Member> = view.nodes.iter().map(Member::from).collect();
        let steps = vec![
            Step::MoveSlots { from: members[0].clone(), to: members[1].clone(), slots: "0-9,12".into() },
            Step::Replicate { node: members[2].clone(), primary: members[1].clone() },
        ];
        Plan::new(vec!["reshard".into(), "h:1".into()], digest(&view), steps)
    }

    #[test]
    fn a_plan_survives_its_file() {
        let plan = plan();
        let text = serde_json::to_string_pretty(&plan).unwrap();
        assert!(text.contains(r#""do": "move-slots""#), "{text}");
        assert_eq!(Plan::parse(&text).unwrap(), plan);
        assert!(Plan::parse("{}").is_err());
        assert!(Plan::parse(&text.replacen("\"version\": 1", "\"version\": 2", 1)).is_err());
    }

    #[test]
    fn moves_are_read_back_if_they_can_be_made() {
        let view = small();
        let of = |from: usize, to: usize, slots: &str| Step::MoveSlots {
            from: (&view.nodes[from]).into(),
            to: (&view.nodes[to]).into(),
            slots: slots.into(),
        };
        let steps = vec![of(0, 1, "0-9,12"), of(1, 0, "16383")];
        let read = moves(&view, &steps).unwrap();
        assert_eq!(transfers(&view, &read), steps);
        // Slots of somebody else, to itself, to a replica, and no slots.
        for bad in [of(0, 1, "8191-8192"), of(0, 0, "1"), of(0, 2, "1"), of(0, 1, "x")] {
            assert!(moves(&view, &[steps[0].clone(), bad.clone()]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_plan_for_people_is_a_table() {
        insta::assert_snapshot!(plan().table(), @r"
        ──────────────────────────────────────────────────────────
          step         node             what                      
        ──────────────────────────────────────────────────────────
          move slots   127.0.0.1:7000   to 10.0.0.2:7000: 0-9,12  
          replicate    10.0.0.3:7000    of 10.0.0.2:7000          
        ──────────────────────────────────────────────────────────
        ");
    }

    #[test]
    fn a_changed_cluster_or_another_plan_is_refused() {
        let plan = plan();
        assert!(plan.compare(&plan).is_ok());
        let moved = Plan { cluster: "other".into(), ..plan.clone() };
        assert!(plan.compare(&moved).is_err());
        let other = Plan { steps: Vec::new(), ..plan.clone() };
        assert!(plan.compare(&other).is_err());
    }

    #[test]
    fn the_digest_sees_every_change_of_slots_and_roles() {
        let one = |line: &str| digest(&view("10.0.0.1:7000", &[line]));
        let base = one("a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-9");
        for other in [
            "a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-8",
            "a 10.0.0.1:7000 myself,master - 0 0 2 connected 0-9",
            "a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-9 [5->-b]",
            "a 10.0.0.1:7000 myself,slave b 0 0 1 connected 0-9",
            "b 10.0.0.1:7000 myself,master - 0 0 1 connected 0-9",
        ] {
            assert_ne!(one(other), base, "{other}");
        }
        assert_eq!(one("a 10.0.0.1:7000 myself,master - 7 7 1 connected 0-9"), base, "pings come and go");
    }
}
