//! The first line of a transcript: which machines there are.

use super::Stage;
use super::steps::time;
use crate::plan::Plan;
use crate::queue::MS;
use crate::world::World;

impl Stage {
    /// The cluster that `cluster 3x1 timeout 2000 seed 7` asks for, once it is well.
    pub fn new(line: &str, log: bool) -> Result<Stage, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["cluster", shape, pairs @ ..] = &words[..] else {
            return Err("a transcript begins with its cluster".to_owned());
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        let (primaries, replicas) = shape.split_once('x').ok_or("the cluster is no AxB")?;
        let mut plan = Plan::still(number(primaries)? as usize, number(replicas)? as usize);
        let mut directives: Vec<(&[u8], &[u8])> = vec![(&b"cluster-require-full-coverage"[..], &b"yes"[..])];
        for pair in pairs.chunks(2) {
            let [name, value] = pair else { return Err(format!("{pair:?} has no value")) };
            match *name {
                "timeout" => plan.node_timeout = number(value)? * MS,
                "seed" => plan.seed = number(value)?,
                "spare" => plan.spares = number(value)? as usize,
                "load" => plan.load_time = time(value)?,
                name => {
                    directives.retain(|(before, _)| *before != name.as_bytes());
                    directives.push((name.as_bytes(), value.as_bytes()));
                }
            }
        }
        let mut world = World::new(plan, log);
        for machine in &mut world.nodes {
            let change = machine.config.with_set(&directives, true).map_err(|error| error.to_string())?;
            machine.config = change.config;
        }
        world.build();
        let ids = world.nodes.iter().map(|machine| machine.engine().map_or(String::new(), |e| e.my_id().to_string()));
        let mut stage = Stage { ids: ids.collect(), world, console: None };
        stage.unbroken()?;
        Ok(stage)
    }
}
