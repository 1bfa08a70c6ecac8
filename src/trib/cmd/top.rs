//! `trib top`: the cluster on a live screen.
//!
//! What is shown is a pure function of [`Screen`]; keys change it, and so does each look at the cluster.

use std::io::IsTerminal;
use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};
use tokio::sync::mpsc;

use super::Context;
use super::status::{self, Row};
use crate::trib::addr::Addr;
use crate::trib::cli::SeedArgs;
use crate::trib::client::Pool;
use crate::trib::error::{Error, What};
use crate::trib::table;
use crate::trib::view::ClusterView;
use crate::trib::vitals::Vitals;

/// Show shards, roles, load, memory and lag on a live screen
///
/// Keys: s sorts by the next column, r turns the order round, p pauses, the arrows scroll, q ends.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// Between two looks at the cluster
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_every)]
    every: Duration,
}

fn parse_every(text: &str) -> Result<Duration, &'static str> {
    let secs: Option<f64> = text.parse().ok().filter(|secs| (0.1..=3600.0).contains(secs));
    secs.map(Duration::from_secs_f64).ok_or("a number of seconds from 0.1 to 3600")
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let seed = args.seed.addr()?;
    if ctx.ui.is_json() || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Error::usage("[ERR] A live screen needs a terminal.")
            .hint(format!("trib status {seed} shows the same once, with --json or --csv for programs")));
    }
    // Before the screen is taken, so that a mistake is told in the usual way.
    let first = look(&ctx.pool, std::slice::from_ref(&seed)).await?;
    let mut addrs = first.1;
    let mut screen = Screen::new(seed.to_string(), args.every);
    screen.update(Ok(first.0));
    let mut terminal = ratatui::try_init()
        .map_err(|e| Error::failed(format!("[ERR] the terminal cannot be used as a screen: {e}")))?;
    let _restored = Restored;
    let mut keys = keys();
    'looking: loop {
        let looking = async {
            tokio::time::sleep(args.every).await;
            look(&ctx.pool, &addrs).await
        };
        let mut looking = Box::pin(looking);
        let looked = loop {
            terminal
                .draw(|frame| draw(frame, &screen))
                .map_err(|e| Error::failed(format!("[ERR] the screen cannot be drawn: {e}")))?;
            tokio::select! {
                looked = &mut looking => break looked,
                event = keys.recv() => match event {
                    Some(Event::Key(key)) if key.kind == KeyEventKind::Press && screen.press(key) => break 'looking,
                    Some(_) => {}
                    None => break 'looking,
                },
            }
        };
        drop(looking);
        screen.update(looked.map(|(rows, known)| {
            addrs = known;
            rows
        }));
    }
    Ok(())
}

/// The rows, and where the nodes are that can be asked next time.
async fn look(pool: &Pool, addrs: &[Addr]) -> Result<(Vec<Row>, Vec<Addr>), Error> {
    let mut last = Error::failed("[ERR] No node is known.");
    for addr in addrs {
        match ClusterView::load(pool, addr).await {
            Ok(view) => {
                let vitals = Vitals::load(pool, &view).await;
                let mut known: Vec<Addr> = view.reachable().map(|node| node.addr.clone()).collect();
                known.extend(addrs.iter().filter(|addr| view.node_at(addr).is_none()).cloned());
                return Ok((status::rows(&view, &vitals), known));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Gives the terminal back, however the screen ends.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What is typed. The thread ends with the program: nothing can wake it from its read.
fn keys() -> mpsc::UnboundedReceiver<Event> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// By what the nodes are ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sort {
    Shard,
    Keys,
    Memory,
    Ops,
    Lag,
}

impl Sort {
    const ALL: [Sort; 5] = [Sort::Shard, Sort::Ops, Sort::Memory, Sort::Keys, Sort::Lag];

    fn next(self) -> Sort {
        let at = Sort::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Sort::ALL[(at + 1) % Sort::ALL.len()]
    }

    fn name(self) -> &'static str {
        match self {
            Sort::Shard => "shard",
            Sort::Keys => "keys",
            Sort::Memory => "memory",
            Sort::Ops => "ops/s",
            Sort::Lag => "lag",
        }
    }

    fn of(self, row: &Row) -> Option<u64> {
        match self {
            Sort::Shard => None,
            Sort::Keys => row.keys,
            Sort::Memory => row.memory_bytes,
            Sort::Ops => row.ops_per_sec,
            Sort::Lag => row.lag_bytes,
        }
    }
}

/// What is on the screen.
struct Screen {
    seed: String,
    every: Duration,
    /// Shard by shard.
    rows: Vec<Row>,
    sort: Sort,
    turned: bool,
    paused: bool,
    scroll: usize,
    /// Why the last look did not succeed.
    trouble: Option<String>,
}

impl Screen {
    fn new(seed: String, every: Duration) -> Screen {
        Screen {
            seed,
            every,
            rows: Vec::new(),
            sort: Sort::Shard,
            turned: false,
            paused: false,
            scroll: 0,
            trouble: None,
        }
    }

    fn update(&mut self, looked: Result<Vec<Row>, Error>) {
        match looked {
            _ if self.paused => {}
            Ok(rows) => (self.rows, self.trouble) = (rows, None),
            Err(error) => {
                self.trouble = Some(match error.what {
                    What::Node(failure) => failure.to_string(),
                    What::Message(text) => text,
                    What::Reported => "the cluster cannot be looked at".to_owned(),
                });
            }
        }
    }

    /// Does what the key says. Whether that is to end.
    fn press(&mut self, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.turned = !self.turned,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down => self.scroll = (self.scroll + 1).min(self.rows.len().saturating_sub(1)),
            _ => {}
        }
        false
    }

    /// The rows in the order in which they are wanted: shards from the first, everything else from the most.
    fn sorted(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        if self.sort != Sort::Shard {
            rows.sort_by_key(|row| std::cmp::Reverse(self.sort.of(row)));
        }
        if self.turned {
            rows.reverse();
        }
        rows
    }

    fn summary(&self) -> String {
        let primaries = || self.rows.iter().filter(|row| row.role == "primary");
        let sum = |count: fn(&Row) -> Option<u64>| primaries().filter_map(count).sum::<u64>();
        let ops: u64 = self.rows.iter().filter_map(|row| row.ops_per_sec).sum();
        let slots: usize = primaries().map(|row| row.slot_count).sum();
        format!(
            "cluster of {}: {} primaries, {} replicas, {slots} slots, {} keys, {}, {ops} ops/s",
            self.seed,
            primaries().count(),
            self.rows.len() - primaries().count(),
            sum(|row| row.keys),
            table::bytes(sum(|row| row.memory_bytes)),
        )
    }
}

const COLUMNS: [(&str, Constraint, bool); 10] = [
    ("shard", Constraint::Length(5), true),
    ("role", Constraint::Length(7), false),
    ("node", Constraint::Min(15), false),
    ("slots", Constraint::Length(5), true),
    ("keys", Constraint::Length(10), true),
    ("memory", Constraint::Length(9), true),
    ("ops/s", Constraint::Length(8), true),
    ("lag", Constraint::Length(9), true),
    ("zone", Constraint::Length(8), false),
    ("state", Constraint::Min(6), false),
];

/// Draws the screen.
fn draw(frame: &mut Frame, screen: &Screen) {
    let rows = [Constraint::Length(1), Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)];
    let [head, trouble, body, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Paragraph::new(screen.summary()).style(Style::new().add_modifier(Modifier::BOLD)), head);
    frame.render_widget(Paragraph::new(screen.trouble.clone().unwrap_or_default()), trouble);
    let cells = |texts: Vec<String>| {
        let aligned = texts.into_iter().zip(COLUMNS).map(|(text, (_, _, right))| {
            let alignment = if right { Alignment::Right } else { Alignment::Left };
            Cell::from(Text::from(Line::from(text).alignment(alignment)))
        });
        TableRow::new(aligned.collect::<Vec<_>>())
    };
    let names = COLUMNS.iter().map(|(name, ..)| match *name == screen.sort.name() {
        true => format!("{}{name}", if screen.turned { '^' } else { 'v' }),
        false => (*name).to_owned(),
    });
    let lines = screen.sorted().into_iter().skip(screen.scroll).map(|row| {
        let style = match row.state == "ok" {
            true => Style::new(),
            false => Style::new().add_modifier(Modifier::REVERSED),
        };
        cells(texts(row)).style(style)
    });
    let table = Table::new(lines, COLUMNS.map(|(_, width, _)| width))
        .header(cells(names.collect()).style(Style::new().add_modifier(Modifier::UNDERLINED)));
    frame.render_widget(table, body);
    let pace = if screen.paused { "paused".to_owned() } else { format!("every {} s", screen.every.as_secs_f64()) };
    let keys = format!("q quit  s sort: {}  r turn  p pause: {pace}  arrows scroll", screen.sort.name());
    frame.render_widget(Paragraph::new(keys), foot);
}

fn texts(row: &Row) -> Vec<String> {
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    vec![
        row.shard.map(|shard| shard.to_string()).unwrap_or_default(),
        row.role.to_owned(),
        row.addr.clone(),
        row.slot_count.to_string(),
        number(row.keys),
        row.memory_bytes.map_or_else(|| "-".to_owned(), table::bytes),
        number(row.ops_per_sec),
        row.lag_bytes.map_or_else(|| "-".to_owned(), table::bytes),
        row.zone.clone(),
        row.state.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::trib::error::Failure;

    fn row(shard: usize, role: &'static str, addr: &str, ops: Option<u64>) -> Row {
        Row {
            shard: Some(shard),
            role,
            addr: addr.to_owned(),
            id: String::new(),
            state: if ops.is_some() { "ok" } else { "Connection refused" }.to_owned(),
            slots: String::new(),
            slot_count: if role == "primary" { 8192 } else { 0 },
            keys: ops.map(|ops| ops * 10),
            memory_bytes: ops.map(|ops| ops * 100_000),
            ops_per_sec: ops,
            lag_bytes: (role == "replica").then_some(2048),
            version: String::new(),
            zone: "eu-1".to_owned(),
        }
    }

    fn screen() -> Screen {
        let mut screen = Screen::new("127.0.0.1:7000".to_owned(), Duration::from_millis(1500));
        screen.update(Ok(vec![
            row(1, "primary", "127.0.0.1:7000", Some(5)),
            row(1, "replica", "127.0.0.1:7003", Some(40)),
            row(2, "primary", "127.0.0.1:7001", None),
        ]));
        screen
    }

    fn drawn(screen: &Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(106, 8)).unwrap();
        terminal.draw(|frame| draw(frame, screen)).unwrap();
        let buffer = terminal.backend().buffer();
        let lines = (0..buffer.area.height)
            .map(|y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn press(screen: &mut Screen, code: KeyCode) -> bool {
        screen.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn the_screen_shows_the_nodes() {
        insta::assert_snapshot!(drawn(&screen()), @r"
        cluster of 127.0.0.1:7000: 2 primaries, 1 replicas, 16384 slots, 50 keys, 488.3 kB, 45 ops/s

        shard role    node               slots       keys    memory    ops/s       lag zone     state
            1 primary 127.0.0.1:7000      8192         50  488.3 kB        5         - eu-1     ok
            1 replica 127.0.0.1:7003         0        400    3.8 MB       40    2.0 kB eu-1     ok
            2 primary 127.0.0.1:7001      8192          -         -        -         - eu-1     Connection refused

        q quit  s sort: shard  r turn  p pause: every 1.5 s  arrows scroll
        ");
    }

    #[test]
    fn keys_sort_scroll_pause_and_end() {
        let mut screen = screen();
        let order = |screen: &Screen| screen.sorted().iter().map(|row| row.addr[10..].to_owned()).collect::<Vec<_>>();
        press(&mut screen, KeyCode::Char('s'));
        assert_eq!(order(&screen), ["7003", "7000", "7001"], "by load, the most first");
        press(&mut screen, KeyCode::Char('r'));
        assert_eq!(order(&screen), ["7001", "7000", "7003"]);
        (0..4).for_each(|_| _ = press(&mut screen, KeyCode::Char('s')));
        assert_eq!((screen.sort, order(&screen)), (Sort::Shard, vec!["7001".into(), "7003".into(), "7000".into()]));
        (0..9).for_each(|_| _ = press(&mut screen, KeyCode::Down));
        assert_eq!(screen.scroll, 2);
        press(&mut screen, KeyCode::Up);
        assert_eq!(screen.scroll, 1);
        press(&mut screen, KeyCode::Char('p'));
        screen.update(Ok(Vec::new()));
        assert_eq!(screen.rows.len(), 3, "nothing changes on a screen that is paused");
        assert!(press(&mut screen, KeyCode::Char('q')) && press(&mut screen, KeyCode::Esc));
        assert!(screen.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!press(&mut screen, KeyCode::Char('c')));
    }

    #[test]
    fn trouble_is_shown_beside_what_was_last_known() {
        let mut screen = screen();
        let failure = Failure::Connect { node: "h:1".parse().unwrap(), reason: "Connection refused".to_owned() };
        screen.update(Err(failure.into()));
        let text = drawn(&screen);
        assert!(
            text.contains("can't connect to node h:1: Connection refused") && text.contains("127.0.0.1:7003"),
            "{text}"
        );
        screen.update(Ok(Vec::new()));
        assert!(!drawn(&screen).contains("refused"));
    }

    #[test]
    fn the_pace_has_bounds() {
        assert_eq!(parse_every("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "x", "NaN", "1e9"] {
            assert!(parse_every(bad).is_err(), "{bad}");
        }
    }
}
