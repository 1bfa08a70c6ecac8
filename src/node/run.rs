//! The life of the server process: sockets, tasks, signals, and the end.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use super::aof::Aof;
use super::bus::Bus;
use super::exports::Exports;
use super::listen::IoThreads;
use super::listeners::{self, Listeners};
use super::log::{Logger, Role};
use super::memory::{Memory, Meter, Reaper};
use super::migrate::Targets;
use super::nodes_conf::NodesConf;
use super::os;
use super::primary::PrimaryLink;
use super::shared::{MachineStopwatch, Shared, now};
use super::startup::{self, Prepared, give_up, plain};
use super::supervisor::Supervisor;
use super::tuning::{self, Cpus};
use super::unix_socket::UnixSocket;
use super::world::Machine;
use super::{boot, crash_report, disk, gauges, reconfigure, restart};
use crate::base::collate;
use crate::base::{Millis, Rng};
use crate::cluster;
use crate::commands;
use crate::config::{Config, ShutdownFlags, expand_title};
use crate::exec::effect::ShutdownRequest;
use crate::exec::server::Facts;
use crate::exec::snapshot::{Purpose, Save};
use crate::exec::table::CommandTable;
use crate::exec::{Server, Setup};

/// How often the bus engine is told that time passes.
const BUS_TICK: Duration = Duration::from_millis(100);

/// Runs a prepared process until it is shut down.
#[must_use]
pub fn run(mut prepared: Prepared) -> ExitCode {
    startup::announce(&prepared);
    let logger = prepared.logger.clone();
    let open_files = os::raise_open_files(prepared.config.maxclients as u64 + os::RESERVED_FILES);
    if let Some(error) = &open_files.refused {
        let usable = open_files.limit.saturating_sub(os::RESERVED_FILES).max(1);
        prepared.config.maxclients = prepared.config.maxclients.min(usable as usize);
        logger.warning(format_args!(
            "Unable to set the max number of files open to what maxclients needs: {}. maxclients has been reduced to {usable}.",
            plain(error)
        ));
    }
    tuning::at_start(&prepared.config, &logger);
    if !collate::use_locale(&prepared.config.locale_collate) {
        return give_up(&logger, "Failed to configure LOCALE for invalid locale name.");
    }
    let everywhere = Cpus::current();
    // Files are written by threads beside those that serve clients.
    let beside = Cpus::parse(&prepared.config.bio_cpulist).or(everywhere);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let prepare = move || {
        os::prepare_for_signals();
        beside.iter().for_each(Cpus::pin);
    };
    let runtime = match builder.enable_all().on_thread_start(prepare).build() {
        Ok(runtime) => runtime,
        Err(error) => return give_up(&logger, &format!("Can't start the runtime: {}", plain(&error))),
    };
    // A task of its own: what wakes the runtime's first future goes through the kernel every time.
    let code = runtime.block_on(async { tokio::spawn(serve(prepared)).await });
    let code = code.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    runtime.shutdown_background();
    code
}

async fn serve(mut prepared: Prepared) -> ExitCode {
    let (logger, config) = (prepared.logger.clone(), prepared.config.clone());
    logger.set_role(if config.replicaof.is_some() { Role::Replica } else { Role::Primary });
    logger.notice(format_args!("monotonic clock: POSIX clock_gettime"));
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return give_up(&logger, "Can't listen for signals");
    };
    // Beyond a limit on the size of files a write fails, as on a full disk; without a handler the process would end.
    let _too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    startup::write_pid(&config, &logger);
    let bound = match listeners::bind_all(&config, &logger) {
        Ok(bound) => bound,
        Err(text) => return give_up(&logger, &text),
    };
    let unix_socket = match UnixSocket::open(&config) {
        Ok(socket) => socket,
        Err(error) => return give_up(&logger, &format!("Failed opening Unix socket: bind: {}", plain(&error))),
    };
    let supervisor = Supervisor::find(config.supervised, |name| std::env::var_os(name));
    let memory = Arc::new(Memory::default());
    memory.read();
    let reaper = match Reaper::start(Arc::clone(&memory)) {
        Ok(reaper) => reaper,
        Err(error) => return give_up(&logger, &format!("Can't start the thread that frees memory: {}", plain(&error))),
    };
    let mut server = new_server(&prepared, &memory, supervisor.as_ref());
    crash_report::install(&server, &logger);
    let nodes_conf = match join_cluster(&mut server, &logger) {
        Ok(file) => file,
        Err(text) => return give_up(&logger, &text),
    };
    if let Some(title) = &mut prepared.title {
        set_title(title, &prepared.program, &config);
    }
    logger.notice(format_args!("Running mode={}, port={}.", server.mode_name(), config.port));
    logger.notice(format_args!("Server initialized"));
    let aof = Arc::new(Aof::default());
    let shared = Arc::new(Shared::new(server, logger.clone(), Arc::clone(&aof)));
    // Further I/O threads begin where this one is.
    if let Some(cpus) = Cpus::parse(&config.server_cpulist) {
        cpus.pin();
    }
    let threads = match IoThreads::start(Handle::current(), config.io_threads) {
        Ok(threads) => Arc::new(threads),
        Err(error) => return give_up(&logger, &format!("Can't start I/O threads: {}", plain(&error))),
    };
    let (bus, mut accepted) = Bus::new(Arc::clone(&shared));
    let mut machine = Machine {
        bus,
        reaper,
        primary: PrimaryLink::new(Arc::clone(&shared)),
        aof: Arc::clone(&aof),
        targets: Arc::new(Targets::default()),
        exports: Exports::new(Arc::clone(&shared)),
        shared: Arc::clone(&shared),
        nodes_conf,
        alarm: None,
        new_hz: None,
        config_requests: Vec::new(),
        ending: None,
        restart: None,
    };
    // While it loads, clients are answered (with LOADING).
    shared.server().begin_loading(now(), 0, false);
    let mut listeners = Listeners::serve(Arc::clone(&shared), threads, machine.bus.acceptor(), bound);
    if let Some(socket) = &unix_socket {
        socket.serve(&shared);
    }
    let loaded = tokio::select! {
        loaded = boot::load(&shared, &aof) => loaded,
        _ = terminate.recv() => return leave_while_loading(&logger),
        _ = interrupt.recv() => return leave_while_loading(&logger),
        () = asked_to_end(&shared) => return leave_while_loading(&logger),
    };
    // What has been asked for meanwhile is done now.
    shared.outbox_filled.notify_one();
    if let Err(lines) = loaded {
        for line in lines {
            logger.warning(format_args!("{line}"));
        }
        return ExitCode::FAILURE;
    }
    logger.notice(format_args!("Ready to accept connections"));
    if let Some(socket) = &unix_socket {
        logger.notice(format_args!("The server is now ready to accept connections at {}", socket.path.display()));
    }
    if let Some(supervisor) = &supervisor
        && let Err(error) = supervisor.ready("Ready to accept connections")
    {
        logger.warning(format_args!("Can't tell the service manager that the server is up: {}", plain(&error)));
    }
    if let Err(error) = aof.start(&shared) {
        return give_up(&logger, &format!("Can't start the thread of the append-only file: {}", plain(&error)));
    }
    let mut bus_tick = tokio::time::interval(BUS_TICK);
    let (mut cron, mut hz) = (cron_at(config.hz), config.hz);
    let mut readings = gauges::Cadence::default();
    let mut follows = config.replicaof.is_some();
    bus_tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = shared.outbox_filled.notified() => {}
            Some((link, stream)) = accepted.recv() => machine.bus.take_in(link, stream),
            _ = cron.tick() => {
                let (new_hz, now_follows) = shared.with(|server| {
                    // Commands of a primary count as well.
                    let worked = server.stats.commands + server.stats.repl_input_bytes;
                    if readings.is_due(Instant::now(), worked) || server.is_loading() {
                        server.gauges = gauges::read(&server.gauges, &memory, &machine.targets);
                    }
                    server.cron(now());
                    (server.hz(), !server.repl.is_primary())
                });
                if std::mem::replace(&mut hz, new_hz) != new_hz {
                    cron = cron_at(hz);
                }
                if std::mem::replace(&mut follows, now_follows) != now_follows {
                    change_role(&shared, follows);
                }
            }
            _ = bus_tick.tick() => {
                machine.bus.tell_queues();
                shared.with(|server| server.bus_tick(now()));
            }
            () = until(machine.alarm) => {
                machine.alarm = None;
                shared.with(|server| server.alarm(now()));
            }
            _ = terminate.recv() => {
                logger.warning(format_args!("Received SIGTERM scheduling shutdown..."));
                shared.with(|server| end_by_signal(server, server.config.shutdown_on_sigterm));
            }
            _ = interrupt.recv() => {
                logger.warning(format_args!("Received SIGINT scheduling shutdown..."));
                shared.with(|server| end_by_signal(server, server.config.shutdown_on_sigint));
            }
        }
        machine.perform_all();
        if let Some(new_hz) = machine.new_hz.take() {
            hz = new_hz;
            cron = cron_at(hz);
        }
        for request in std::mem::take(&mut machine.config_requests) {
            reconfigure::apply(&shared, &mut listeners, request).await;
        }
        if let Some(request) = machine.restart.take() {
            restart::begin_anew(&shared, &aof, &prepared.start, request).await;
        }
        if let Some(request) = machine.ending.take()
            && shut_down(&shared, &aof, &request).await
        {
            // What the last save had to say.
            machine.perform_all();
            if let Some(supervisor) = &supervisor {
                // A manager that does not listen learns it from the end of the process.
                let _ = supervisor.stopping();
            }
            if unix_socket.is_some() {
                logger.notice(format_args!("Removing the unix socket file."));
            }
            drop(unix_socket);
            logger.warning(format_args!("Redis is now ready to exit, bye bye..."));
            return ExitCode::SUCCESS;
        }
    }
}

/// The server has become a replica, or a primary: what the system is told of it may be something else now.
fn change_role(shared: &Shared, follows: bool) {
    shared.logger.set_role(if follows { Role::Replica } else { Role::Primary });
    let config = shared.server().config.clone();
    if let Err(error) = tuning::rate(&config, follows) {
        shared.logger.warning(format_args!("Unable to write oom_score_adj: {}", plain(&error)));
    }
}

/// Until a client has it end. What else is to be done stays for later, but for DEBUG SLEEP.
async fn asked_to_end(shared: &Shared) {
    while !shared.server().is_ending() {
        shared.stand_still_if_asked();
        shared.outbox_filled.notified().await;
    }
}

/// There is nothing to save while not everything is loaded.
fn leave_while_loading(logger: &Logger) -> ExitCode {
    logger.warning(format_args!("Received shutdown signal during loading, exiting now."));
    ExitCode::SUCCESS
}

/// Waits for a moment of wall time; for ever when there is none.
async fn until(moment: Option<Millis>) {
    match moment {
        Some(at) => tokio::time::sleep(Duration::from_millis(at.since(now()).max(0).unsigned_abs())).await,
        None => std::future::pending().await,
    }
}

/// The clock of the server's own work.
fn cron_at(hz: u32) -> tokio::time::Interval {
    let mut cron = tokio::time::interval(Duration::from_millis(1000 / u64::from(hz.max(1))));
    cron.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    cron
}

fn new_server(prepared: &Prepared, memory: &Arc<Memory>, supervisor: Option<&Supervisor>) -> Server {
    let os = rustix::system::uname();
    Server::new(Setup {
        commands: CommandTable::new(&commands::all()),
        stopwatch: Box::<MachineStopwatch>::default(),
        memory: Box::new(Meter(Arc::clone(memory))),
        seed: system_seed(),
        now: now(),
        facts: Facts {
            pid: std::process::id(),
            executable: prepared.executable.display().to_string(),
            config_file: prepared.config_file.as_ref().map(|p| p.display().to_string()),
            os: format!(
                "{} {} {}",
                os.sysname().to_string_lossy(),
                os.release().to_string_lossy(),
                os.machine().to_string_lossy()
            ),
            allocator: startup::ALLOCATOR.to_owned(),
            total_system_memory_bytes: gauges::total_system_memory(),
            server_name: "node".to_owned(),
            supervised: supervisor.map_or("no", Supervisor::name),
        },
        config: prepared.config.clone(),
    })
}

/// Randomness of the operating system, by way of the standard library's hash keys.
fn system_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// Restores (or makes) this node's place in its cluster. With it comes the right to nodes.conf.
fn join_cluster(server: &mut Server, logger: &Logger) -> Result<Option<NodesConf>, String> {
    if !server.config.cluster_enabled {
        return Ok(None);
    }
    let path = disk::data_path(&server.config, &server.config.cluster_config_file);
    let file = NodesConf::take(&path)
        .map_err(|error| format!("Can't open {} in order to acquire a lock: {}", path.display(), plain(&error)))?
        .ok_or_else(|| {
            format!(
                "Sorry, the cluster configuration file {} is already used by a different Redis Cluster node. Please make \
                 sure that different nodes use different cluster configuration files.",
                path.display()
            )
        })?;
    let text = std::fs::read(&path)
        .map_err(|error| format!("Loading the cluster node config from {}: {}", path.display(), plain(&error)))?;
    let rng = Rng::seeded(server.rng.next_u64());
    let config = Server::cluster_config(&server.config);
    let clock = server.clock();
    let engine = if text.is_empty() {
        cluster::Engine::new(config, rng, clock)
    } else {
        let damaged =
            |what: String| format!("Unrecoverable error: corrupted cluster config file {}: {what}", path.display());
        let text = std::str::from_utf8(&text).map_err(|error| damaged(error.to_string()))?;
        let engine = cluster::Engine::restore(config, rng, clock, text)
            .map_err(|error| damaged(format!("line {}: {}", error.line, error.what)))?;
        logger.notice(format_args!("Node configuration loaded, I'm {}", engine.my_id()));
        engine
    };
    server.join(engine);
    Ok(Some(file))
}

fn set_title(title: &mut os::ProcessTitle, program: &str, config: &Config) {
    let template = String::from_utf8_lossy(&config.proc_title_template).into_owned();
    let address = config.bind.first().map_or("*", |b| b.trim_start_matches('-'));
    let facts = crate::config::TitleFacts {
        title: program.to_owned(),
        listen_addr: format!("{address}:{}", config.port),
        server_mode: if config.cluster_enabled { " [cluster]".trim_start().to_owned() } else { String::new() },
        port: config.port,
        tls_port: config.tls_port,
        unixsocket: String::from_utf8_lossy(&config.unixsocket).into_owned(),
        config_file: String::new(),
    };
    if config.set_proc_title
        && let Some(text) = expand_title(&template, &facts)
    {
        title.set(text.trim_end());
    }
}

fn end_by_signal(server: &mut Server, flags: ShutdownFlags) {
    server.now = now();
    server.begin_shutdown(ShutdownRequest::of_signal(flags), None);
}

/// Ends the server as asked. False when it must not end: the dataset could not be saved.
pub(super) async fn shut_down(shared: &Arc<Shared>, aof: &Arc<Aof>, request: &ShutdownRequest) -> bool {
    let logger = &shared.logger;
    let config = shared.server().config.clone();
    let save = request.save.unwrap_or(!config.save.is_empty()) && !shared.server().is_loading();
    if shared.server().log_growth.needs_base() {
        // The data is nowhere else.
        if !request.force {
            logger.warning(format_args!("Writing initial AOF, can't exit."));
            shared.with(Server::shutdown_failed);
            return false;
        }
        logger.warning(format_args!("Writing initial AOF. Exit anyway."));
    }
    give_up_snapshot(shared).await;
    if shared.server().aof.is_on() {
        logger.notice(format_args!("Calling fsync() on the AOF file."));
        if let Err(error) = aof.settle(true).await {
            logger.warning(format_args!("Fail to fsync the AOF file: {}.", plain(&error)));
        }
    }
    if save {
        logger.notice(format_args!("Saving the final RDB snapshot before exiting."));
        if save_now(shared, aof).await.is_err() {
            if !request.force {
                logger.warning(format_args!("Error trying to save the DB, can't exit."));
                shared.with(Server::shutdown_failed);
                return false;
            }
            logger.warning(format_args!("Error trying to save the DB, ignoring..."));
        }
    }
    if let Some(path) = startup::pid_path(&config) {
        logger.notice(format_args!("Removing the pid file."));
        // One that could not be written is not there.
        let _ = std::fs::remove_file(path);
    }
    true
}

/// The snapshot under way is of no use any more. A disk that stands still does not keep the server from ending.
async fn give_up_snapshot(shared: &Arc<Shared>) {
    const LIMIT: Duration = Duration::from_secs(2);
    let until = Instant::now() + LIMIT;
    shared.with(Server::give_up_snapshot);
    while shared.server().job.is_some() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The dataset could not be written; the log says why.
struct SaveFailed;

/// Takes a whole snapshot to the RDB file, after the one under way if there is one.
async fn save_now(shared: &Arc<Shared>, aof: &Arc<Aof>) -> Result<(), SaveFailed> {
    while !shared.server().may_snapshot() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    shared.server().start_snapshot(Purpose::File(Save::Final));
    if super::snapshot::carry(Arc::clone(shared), Arc::clone(aof)).await { Ok(()) } else { Err(SaveFailed) }
}
