//! A key that exists at the target already: is it the same?
//!
//! It is when an earlier MIGRATE delivered it and the answer got lost. The values are compared by DEBUG
//! DIGEST-VALUE where the servers allow it, else by what is in their serialised form, which servers of
//! different versions write differently. A value that cannot be read here counts as different: that is
//! left to the operator.

use redis::{Cmd, Value};

use super::super::client::{Client, command};
use super::super::error::Failure;
use crate::persist::payload::is_same_value;

/// Whether both nodes hold the same value under the key. True also when one of them holds none any more:
/// then nothing is in the way.
pub async fn is_same(source: &Client, target: &Client, key: &[u8]) -> Result<bool, Failure> {
    let mut digest = command("DEBUG DIGEST-VALUE");
    digest.arg(key);
    if let (Ok(Value::Array(at_source)), Ok(Value::Array(at_target))) =
        (source.call(&digest).await, target.call(&digest).await)
    {
        return Ok(at_source == at_target || is_missing(&at_source) || is_missing(&at_target));
    }
    Ok(match (dump(source, key).await?, dump(target, key).await?) {
        (Value::BulkString(at_source), Value::BulkString(at_target)) => {
            is_same_value(&at_source, &at_target).unwrap_or(false)
        }
        (at_source, at_target) => at_source == Value::Nil || at_target == Value::Nil,
    })
}

/// A key that does not exist has the digest zero.
fn is_missing(digests: &[Value]) -> bool {
    matches!(digests, [Value::SimpleString(digest)] if digest.bytes().all(|b| b == b'0'))
}

/// DUMP, of a slot that may be importing or migrating.
async fn dump(client: &Client, key: &[u8]) -> Result<Value, Failure> {
    let mut dump = command("DUMP");
    dump.arg(key);
    let replies = client.pipeline(client.timeouts().reply, &[Cmd::new().arg("ASKING").to_owned(), dump]).await?;
    match replies.into_iter().next_back() {
        // The source migrates the slot and has no such key any more: it points to the target.
        Some(Err(failure)) if failure.code() == Some("ASK") => Ok(Value::Nil),
        Some(reply) => reply,
        None => Ok(Value::Nil),
    }
}
