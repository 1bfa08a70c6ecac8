//! The operator's own command that restarts a node, filled in and run.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::error::Error;
use super::local::process::Identity;
use super::view::Node;

/// Names that stand for the node, each of which tells it apart from the others.
const TELLING: [&str; 4] = ["{addr}", "{host}", "{port}", "{id}"];

/// Whether the command says which node it is for.
#[must_use]
pub fn names_a_node(template: &str) -> bool {
    TELLING.iter().any(|name| template.contains(name))
}

/// The command for this node: `{host}`, `{port}`, `{addr}`, `{id}` and `{role}` are filled in, quoted for the shell
/// where they have to be, because nodes say themselves what they are called. Other braces are the shell's.
#[must_use]
pub fn fill_in(template: &str, node: &Node, role: &str) -> String {
    let values = [
        ("{host}", node.addr.host.clone()),
        ("{port}", node.addr.port.to_string()),
        ("{addr}", node.addr.to_string()),
        ("{id}", node.id.to_string()),
        ("{role}", role.to_owned()),
    ];
    let mut command = String::with_capacity(template.len());
    let mut rest = template;
    // What was filled in is not looked at again.
    while let Some((at, name, value)) =
        values.iter().filter_map(|(name, value)| Some((rest.find(name)?, name, value))).min_by_key(|found| found.0)
    {
        command.push_str(&rest[..at]);
        command.push_str(&quoted(value));
        rest = &rest[at + name.len()..];
    }
    command + rest
}

/// As one word of the shell.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:,@[]/".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) && !value.contains('[') {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

/// Runs it to its end. What it prints goes to stderr: stdout is for the report. `begun` gets the process that it is.
pub async fn run(command: &str, limit: Duration, begun: impl FnOnce(Identity)) -> Result<(), Error> {
    let failed = |why: String| Error::failed(format!("[ERR] The command failed ({why}): {command}"));
    let mut shell = Command::new("/bin/sh");
    let mut child = shell
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    if let Some(pid) = child.id() {
        begun(Identity::of(pid));
    }
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(status.to_string())),
        Ok(Err(e)) => Err(failed(e.to_string())),
        Err(_) => {
            Err(Error::timed_out(format!("[ERR] The command has not ended within {} s: {command}", limit.as_secs())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::small;
    use super::*;

    #[test]
    fn names_are_filled_in() {
        let view = small();
        let id = view.seed().id;
        assert_eq!(
            fill_in("ssh {host} systemctl restart redis@{port} # {role} {id} ${HOME} {x}", view.seed(), "replica"),
            format!("ssh 127.0.0.1 systemctl restart redis@7000 # replica {id} ${{HOME}} {{x}}")
        );
        assert!(names_a_node("restart {id}") && !names_a_node("restart {role}"));
    }

    #[test]
    fn what_a_node_calls_itself_is_no_command() {
        let mut node = small().seed().clone();
        for (host, word) in [
            ("a; rm x", "'a; rm x'"),
            ("$(id)", "'$(id)'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("{port}", "'{port}'"),
            ("db-1.example.com", "db-1.example.com"),
        ] {
            node.addr.host = host.to_owned();
            assert_eq!(fill_in("at {host}", &node, "primary"), format!("at {word}"));
        }
        node.addr.host = "::1".to_owned();
        assert_eq!(fill_in("{host} {addr}", &node, "primary"), "::1 '[::1]:7000'");
    }

    #[test]
    fn a_command_that_fails_says_how() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = |command, limit| runtime.block_on(run(command, Duration::from_millis(limit), |_| {}));
        assert!(run("true", 60_000).is_ok());
        let text = |error: Error| format!("{:?}", error.what);
        assert!(text(run("exit 3", 60_000).unwrap_err()).contains("exit status: 3"));
        assert!(text(run("exec sleep 5", 50).unwrap_err()).contains("has not ended"));
    }
}
