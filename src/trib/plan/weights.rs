//! Weights: what part of the slots each primary should own, said by the operator or read from the
//! memory each server may use.

use thiserror::Error;

use crate::base::NodeId;

/// Why a weight cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WeightError {
    #[error("invalid weight '{0}': it is NODE_ID=NUMBER, the number not negative")]
    Malformed(String),
    #[error("No such master node {0}")]
    Unknown(String),
    #[error("'{0}' is the beginning of more than one master's ID")]
    Ambiguous(String),
    #[error("a weight for node {0} is given twice")]
    Twice(NodeId),
    #[error("node {0} does not tell how much memory it may use while others do: give its weight")]
    NoMemoryLimit(NodeId),
}

/// Reads `id=weight`; the id may be the beginning of one.
pub fn parse(text: &str) -> Result<(&str, f64), WeightError> {
    let malformed = || WeightError::Malformed(text.to_owned());
    let (id, weight) = text.split_once('=').ok_or_else(malformed)?;
    let weight: f64 = weight.parse().map_err(|_| malformed())?;
    if id.is_empty() || !weight.is_finite() || weight < 0.0 {
        return Err(malformed());
    }
    Ok((id, weight))
}

/// The one id of `ids` that begins with `prefix`, in upper or lower case.
pub fn find(ids: &[NodeId], prefix: &str) -> Result<NodeId, WeightError> {
    let lower = prefix.to_ascii_lowercase();
    let mut found = ids.iter().filter(|id| id.as_str().starts_with(&lower));
    match (found.next(), found.next()) {
        (Some(&id), None) => Ok(id),
        (None, _) => Err(WeightError::Unknown(prefix.to_owned())),
        (Some(_), Some(_)) => Err(WeightError::Ambiguous(prefix.to_owned())),
    }
}

/// The weight of every node of `ids`, in their order: what `said` gives (`id=weight` each), 1 otherwise.
pub fn said<S: AsRef<str>>(ids: &[NodeId], said: &[S]) -> Result<Vec<f64>, WeightError> {
    Ok(named(ids, said)?.into_iter().map(|weight| weight.unwrap_or(1.0)).collect())
}

/// As [`said`], where a node that is not named weighs as much as the memory it may use. `limits` are
/// bytes in the order of `ids`, 0 for no limit; where nobody has a limit all weigh the same.
pub fn by_memory<S: AsRef<str>>(ids: &[NodeId], said: &[S], limits: &[u64]) -> Result<Vec<f64>, WeightError> {
    let nobody = limits.iter().all(|&limit| limit == 0);
    let weights = named(ids, said)?.into_iter().zip(limits).zip(ids);
    weights
        .map(|((weight, &limit), &id)| match weight {
            Some(weight) => Ok(weight),
            None if nobody => Ok(1.0),
            None if limit == 0 => Err(WeightError::NoMemoryLimit(id)),
            None => Ok(limit as f64),
        })
        .collect()
}

/// The weights of those that are named, in the order of `ids`.
fn named<S: AsRef<str>>(ids: &[NodeId], said: &[S]) -> Result<Vec<Option<f64>>, WeightError> {
    let mut weights = vec![None; ids.len()];
    for text in said {
        let (prefix, weight) = parse(text.as_ref())?;
        let id = find(ids, prefix)?;
        let index = ids.iter().position(|other| *other == id).expect("found among them");
        if weights[index].replace(weight).is_some() {
            return Err(WeightError::Twice(id));
        }
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::super::testkit::id;
    use super::*;

    fn ids() -> Vec<NodeId> {
        let mut twin = *id(1).as_bytes();
        twin[39] = b'x';
        vec![id(0), id(1), NodeId::parse(&twin).unwrap()]
    }

    #[test]
    fn a_weight_is_an_id_and_a_number() {
        assert_eq!(parse("abc=1.5"), Ok(("abc", 1.5)));
        for bad in ["abc", "=1", "abc=", "abc=-1", "abc=nan", "abc=inf", "abc=1=2"] {
            assert_eq!(parse(bad), Err(WeightError::Malformed(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn named_nodes_weigh_what_was_said_and_others_one() {
        assert_eq!(said(&ids(), &["0=2.5"]), Ok(vec![2.5, 1.0, 1.0]));
        assert_eq!(said(&ids(), &[format!("{}=0", id(1))]), Ok(vec![1.0, 0.0, 1.0]));
        assert_eq!(said(&ids(), &["11=2"]), Err(WeightError::Ambiguous("11".into())));
        assert_eq!(said(&ids(), &["f=2"]), Err(WeightError::Unknown("f".into())));
        assert_eq!(said(&ids(), &["0=2", "00=3"]), Err(WeightError::Twice(id(0))));
    }

    #[test]
    fn memory_gives_the_weight_of_the_others() {
        let none: [&str; 0] = [];
        assert_eq!(by_memory(&ids(), &none, &[100, 200, 50]), Ok(vec![100.0, 200.0, 50.0]));
        assert_eq!(by_memory(&ids(), &none, &[0, 0, 0]), Ok(vec![1.0, 1.0, 1.0]));
        assert_eq!(by_memory(&ids(), &none, &[0, 10, 10]), Err(WeightError::NoMemoryLimit(id(0))));
        assert_eq!(by_memory(&ids(), &["0=0"], &[0, 10, 10]), Ok(vec![0.0, 10.0, 10.0]));
    }
}
