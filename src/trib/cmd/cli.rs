//! `trib cli`: a shell for one server, or for the cluster behind it with `-c`.

use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;

use super::Context;
use crate::base::words;
use crate::resp::client::ReplyValue as Reply;
use crate::trib::addr::Addr;
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::shell::docs::Docs;
use crate::trib::shell::line::{Lines, Typed, history_file};
use crate::trib::shell::pipe;
use crate::trib::shell::session::{Answer, Session, is_endless};
use crate::trib::shell::show::{Form, is_text, show};
use crate::trib::ui::Ui;

/// Talk with a server: type commands, or give one on the command line
///
/// Without a command, lines are read from the terminal with completion and a history, or from a pipe. Options of trib may
/// stand anywhere; behind -- all words belong to the command. In the shell, 'help SET' explains a command, 'connect HOST
/// PORT' goes elsewhere, a number in front of a command repeats it, and 'quit' ends.
///
/// The server may also be named as with redis-cli, in front of the command: by -h HOST and -p PORT, or by -u URI. Without
/// a name and without a command it is 127.0.0.1:6379.
#[derive(clap::Args)]
pub struct Args {
    /// Follow redirections to the other nodes of a cluster
    #[arg(short = 'c', long)]
    cluster_mode: bool,
    /// The database
    #[arg(short = 'n', long, value_name = "DB", default_value_t = 0)]
    db: u32,
    /// Speak RESP3
    #[arg(short = '3', long)]
    resp3: bool,
    /// How replies are shown [default: pretty on a terminal, else raw]
    #[arg(long, value_enum, value_name = "FORM")]
    form: Option<Form>,
    /// The same as --form raw
    #[arg(long, conflicts_with_all = ["form", "no_raw", "csv"])]
    raw: bool,
    /// The same as --form pretty
    #[arg(long, conflicts_with_all = ["form", "csv"])]
    no_raw: bool,
    /// The same as --form csv
    #[arg(long, conflicts_with = "form")]
    csv: bool,
    /// Read the last argument from stdin
    #[arg(short = 'x', long)]
    stdin: bool,
    /// Send stdin to the server as it is, commands in the protocol, and count the replies
    #[arg(long, conflicts_with_all = ["stdin", "words"])]
    pipe: bool,
    /// The server
    #[arg(value_name = "HOST:PORT")]
    node: Addr,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let access = ctx.pool.access();
    if args.pipe {
        return pipe::run(ctx.ui, &args.node, access, args.db).await;
    }
    let mut session = Session::open(&args.node, access, args.db, args.resp3, args.cluster_mode).await?;
    let form = form(args, ctx.ui);
    if !args.words.is_empty() {
        return once(args, &mut session, form).await;
    }
    if std::io::stdin().is_terminal() {
        converse(&mut session, form).await
    } else {
        listen_to_pipe(&mut session, form).await
    }
}

fn form(args: &Args, ui: &Ui) -> Form {
    match args.form {
        Some(form) => form,
        None if args.raw => Form::Raw,
        None if args.no_raw => Form::Pretty,
        None if args.csv => Form::Csv,
        None if ui.is_json() => Form::Json,
        None if std::io::stdout().is_terminal() => Form::Pretty,
        None => Form::Raw,
    }
}

/// One command, from the command line; an error reply is an error.
async fn once(args: &Args, session: &mut Session, form: Form) -> Result<(), Error> {
    let mut words: Vec<Vec<u8>> = args.words.iter().map(|word| word.as_bytes().to_vec()).collect();
    if args.stdin {
        words.push(super::call::stdin()?);
    }
    match execute(session, &words, form).await? {
        true => Ok(()),
        false => Err(Error::reported(Kind::Failed)),
    }
}

/// Commands from a pipe, one a line.
async fn listen_to_pipe(session: &mut Session, form: Form) -> Result<(), Error> {
    let mut well = true;
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line.map_err(|e| Error::failed(format!("[ERR] cannot read stdin: {e}")))?;
        match words::split(&line) {
            None => {
                print(b"Invalid argument(s)\n");
                well = false;
            }
            Some(words) if words.is_empty() => {}
            Some(words) => well &= repeat(session, words, form).await?,
        }
    }
    if well { Ok(()) } else { Err(Error::reported(Kind::Failed)) }
}

/// A number in front of a command says how often it is sent.
async fn repeat(session: &mut Session, mut words: Vec<Vec<u8>>, form: Form) -> Result<bool, Failure> {
    let count =
        std::str::from_utf8(&words[0]).ok().and_then(|word| word.parse::<u32>().ok()).filter(|_| words.len() > 1);
    if count.is_some() {
        words.remove(0);
    }
    let mut well = true;
    for _ in 0..count.unwrap_or(1) {
        well &= execute(session, &words, form).await?;
    }
    Ok(well)
}

/// Sends the command and shows the answer. Whether it was a good one.
async fn execute(session: &mut Session, words: &[Vec<u8>], form: Form) -> Result<bool, Failure> {
    let Answer { redirected, pushes, reply } = session.call(words).await?;
    if form == Form::Pretty {
        redirected.iter().for_each(|line| print(format!("{line}\n").as_bytes()));
    }
    pushes.iter().for_each(|push| print(&show(push, form)));
    match reply.as_bytes() {
        // A text for people has its own last line end.
        Some(text) if form != Form::Json && is_text(words) => print(text),
        _ => print(&show(&reply, form)),
    }
    let well = reply.as_error().is_none();
    if well && is_endless(words) {
        if form == Form::Pretty {
            print(b"Reading messages... (press Ctrl-C to quit)\n");
        }
        loop {
            tokio::select! {
                reply = session.listen() => print(&show(&reply?, form)),
                _ = tokio::signal::ctrl_c() => break,
            }
        }
        // What the server still sends is of no interest.
        session.reconnect().await?;
    }
    Ok(well)
}

/// Lines from somebody at the terminal.
async fn converse(session: &mut Session, form: Form) -> Result<(), Error> {
    let docs = docs(session).await;
    let mut lines = Lines::new(docs, history_file(|name| std::env::var(name).ok()))?;
    let mut connected = true;
    loop {
        let line = match lines.read(&prompt(session, connected))? {
            Typed::Line(line) => line,
            Typed::Interrupted => continue,
            Typed::End => return Ok(()),
        };
        let Some(words) = words::split(line.as_bytes()) else {
            print(b"Invalid argument(s)\n");
            continue;
        };
        let texts: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        match texts.first().map(|word| word.to_ascii_lowercase()).as_deref() {
            None => continue,
            Some("quit" | "exit") => return Ok(()),
            Some("clear") => print(b"\x1b[H\x1b[2J"),
            Some("help" | "?") => {
                let help = lines.docs().map(|docs| docs.help(&texts[1..])).unwrap_or_default();
                print(help.as_bytes());
                continue;
            }
            Some("connect") if texts.len() == 3 => match format!("{}:{}", texts[1], texts[2]).parse::<Addr>() {
                Ok(addr) => connected = told(session.go_to(addr).await.map(drop)),
                Err(why) => print(format!("{why}\n").as_bytes()),
            },
            Some(_) => {
                if !connected {
                    connected = told(session.reconnect().await);
                }
                if connected && let Err(failure) = repeat(session, words, form).await {
                    connected = told(Err(failure));
                }
            }
        }
    }
}

/// Says what failed; whether nothing did.
fn told(result: Result<(), Failure>) -> bool {
    if let Err(failure) = &result {
        print(format!("{failure}\n").as_bytes());
    }
    result.is_ok()
}

fn prompt(session: &Session, connected: bool) -> String {
    if !connected {
        return "not connected> ".to_owned();
    }
    let database = if session.database > 0 { format!("[{}]", session.database) } else { String::new() };
    let transaction = if session.in_transaction { "(TX)" } else { "" };
    format!("{}{database}{transaction}> ", session.addr)
}

/// What the server says of its commands; servers before 7.0 only name them.
async fn docs(session: &mut Session) -> Docs {
    let ask = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    match session.call(&ask("COMMAND DOCS")).await {
        Ok(Answer { reply: reply @ (Reply::Array(_) | Reply::Map(_)), .. }) => Docs::read(&reply),
        Ok(_) => session.call(&ask("COMMAND")).await.map(|answer| Docs::of_names(&answer.reply)).unwrap_or_default(),
        Err(_) => Docs::default(),
    }
}

fn print(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is noticed at the next command.
    let _ = out.write_all(bytes);
    let _ = out.flush();
}
