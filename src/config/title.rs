//! The template of the process title: `{title} {listen-addr} {server-mode}` and the other variables.

use super::kind::Refusal;

/// What a template may mention.
#[derive(Clone, Debug, Default)]
pub struct TitleFacts {
    /// The program's name, with the state of a child process where there is one.
    pub title: String,
    /// `127.0.0.1:6379`, `*:6379` or `unixsocket:/path`.
    pub listen_addr: String,
    /// ` [cluster]`, ` [sentinel]` or empty; shown without its blank.
    pub server_mode: String,
    pub port: u16,
    pub tls_port: u16,
    pub unixsocket: String,
    pub config_file: String,
}

/// The title, without blanks around it; `None` when the template names an unknown variable, leaves a brace
/// open or comes out empty.
#[must_use]
pub fn expand(template: &str, facts: &TitleFacts) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let (name, after) = rest[open + 1..].split_once('}')?;
        match name {
            "title" => out.push_str(&facts.title),
            "listen-addr" => out.push_str(&facts.listen_addr),
            "server-mode" => out.push_str(&facts.server_mode),
            "port" => out.push_str(&facts.port.to_string()),
            "tls-port" => out.push_str(&facts.tls_port.to_string()),
            "unixsocket" => out.push_str(&facts.unixsocket),
            "config-file" => out.push_str(&facts.config_file),
            _ => return None,
        }
        rest = after;
    }
    out.push_str(rest);
    let out = out.trim();
    (!out.is_empty()).then(|| out.to_owned())
}

/// Accepts a template that gives some text even for a server without a name.
pub(super) fn check_template(template: &[u8]) -> Result<(), Refusal> {
    let sample = TitleFacts {
        listen_addr: "*:6379".into(),
        unixsocket: "/".into(),
        config_file: "/".into(),
        ..TitleFacts::default()
    };
    let ok = std::str::from_utf8(template).is_ok_and(|t| expand(t, &sample).is_some());
    if ok { Ok(()) } else { Err("template format is invalid or contains unknown variables".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let facts = TitleFacts {
            title: "node".into(),
            listen_addr: "127.0.0.1:7001".into(),
            server_mode: "[cluster]".into(),
            port: 7001,
            ..TitleFacts::default()
        };
        for (template, expected) in [
            ("{title} {listen-addr} {server-mode}", Some("node 127.0.0.1:7001 [cluster]")),
            ("x{port}y{tls-port} ", Some("x7001y0")),
            ("{nope}", None),
            ("{title", None),
            (" {unixsocket} ", None),
        ] {
            assert_eq!(expand(template, &facts).as_deref(), expected, "{template}");
        }
        assert!(check_template(b"{title}").is_err());
        assert!(check_template(b"{title} {config-file}").is_ok());
    }
}
