//! Completions and manual pages: made from the declarations of the options, committed, and kept true by this test.
//!
//! `UPDATE=1 cargo test --test trib generated` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command as Process;

use clap::{Arg, Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use trib::config::{Config, DIRECTIVES, Flags};
use trib::trib::cli::Cli;

/// Files below the package's directory, by name.
type Files = BTreeMap<String, Vec<u8>>;

fn trib() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// `node` takes every directive as an option, as redis-server does: its options are the table of directives.
fn node() -> Command {
    let config = Config::default();
    let file =
        Arg::new("file").value_name("/path/to/redis.conf").help("The configuration file; '-' reads it from stdin");
    let options = DIRECTIVES.iter().map(|directive| {
        let default = String::from_utf8(directive.get(&config)).expect("defaults are text");
        let mut help = match default.as_str() {
            "" => "Empty by default".to_owned(),
            value => format!("Default: {value}"),
        };
        if directive.flags.contains(Flags::IMMUTABLE) {
            help += ". At start only";
        }
        Arg::new(directive.name)
            .long(directive.name)
            .visible_aliases(directive.aliases.iter().copied())
            .value_name("VALUE")
            .num_args(1..)
            .help(help)
    });
    let mut command = Command::new("node")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A server with Redis's protocol, commands, files, replication and cluster bus")
        .long_about(
            "A server with Redis's protocol, commands, configuration files, persistence files, replication stream and \
             cluster bus. Every directive of the configuration file is also an option, which wins over the file.",
        )
        .arg(file)
        .arg(Arg::new("check-rdb").long("check-rdb").value_name("FILE").value_hint(clap::ValueHint::FilePath).help(
            "Check an RDB file, and end. A program called redis-check-rdb does that without the option",
        ))
        .arg(
            Arg::new("check-aof")
                .long("check-aof")
                .num_args(1..=3)
                .value_names(["[--fix|--truncate-to-timestamp T]", "FILE"])
                .value_hint(clap::ValueHint::FilePath)
                .help(
                    "Check an append-only log, by its manifest or a single file of it, and end; cut off what is damaged, \
                     or later than a second since 1970. A program called redis-check-aof does that without the option",
                ),
        )
        .args(options);
    command.build();
    command
}

/// The manual pages of a program and its subcommands.
fn pages(command: &Command, name: &str, files: &mut Files) {
    let mut page = Vec::new();
    // The name of a page is one word; without a date, the page only changes when what it says does.
    let titled = command.clone().name(name.to_owned()).display_name(name.to_owned());
    let man = Man::new(titled).title(name.to_uppercase()).date("");
    if name == "node" { server_page(&man, &mut page) } else { man.render(&mut page) }.expect("memory does not fail");
    files.insert(format!("man/{name}.1"), page);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        pages(sub, &format!("{name}-{}", sub.get_name()), files);
    }
}

/// A synopsis that names two hundred directives helps nobody: the page of the server has one of its own.
fn server_page(man: &Man, page: &mut Vec<u8>) -> std::io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    page.extend_from_slice(
        b".SH SYNOPSIS\n\\fBnode\\fR [\\fI/path/to/redis.conf\\fR] [\\fB\\-\\-DIRECTIVE\\fR \\fIVALUE\\fR ...] [\\fB\\-\\fR]\n",
    );
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    man.render_version_section(page)
}

fn completions(command: &Command, name: &str, files: &mut Files) {
    for (shell, file) in
        [(Shell::Bash, format!("{name}.bash")), (Shell::Zsh, format!("_{name}")), (Shell::Fish, format!("{name}.fish"))]
    {
        let mut text = Vec::new();
        generate(shell, &mut command.clone(), name, &mut text);
        if name == "trib" {
            text = with_names(shell, String::from_utf8(text).expect("text")).into_bytes();
        }
        files.insert(format!("completions/{file}"), text);
    }
}

/// `trib @` lists the clusters of the inventory. What is typed behind `@name` is completed as if the name were not there.
fn with_names(shell: Shell, text: String) -> String {
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "the completions for {shell} have no {from:?}");
        text.replace(from, to)
    };
    match shell {
        Shell::Bash => replaced("complete -F _trib ", "complete -F _trib_or_name ") + BASH_NAMES,
        Shell::Zsh => {
            let begin = "_trib() {\n";
            assert_eq!(text.matches(&format!("\n{begin}")).count(), 1);
            replaced(&format!("\n{begin}"), &format!("\n{begin}{ZSH_NAMES}"))
        }
        Shell::Fish => replaced("    set -e cmd[1]\n", FISH_WITHOUT_NAME) + FISH_NAMES,
        other => panic!("there are no names for {other}"),
    }
}

/// Where `@` breaks words, as it does unless that is switched off, a name is two of them; so with `=`. The inventory is the
/// one that the line names, or else the one that `trib` would take.
const BASH_NAMES: &str = r#"
_trib_or_name() {
    local i
    if [[ "$2" == @* ]]; then
        local file
        local -a inventory=()
        for (( i = 1; i < ${#COMP_WORDS[@]}; i++ )); do
            case "${COMP_WORDS[i]}" in
                --inventory) file="${COMP_WORDS[i+1]}"; [[ "$file" == = ]] && file="${COMP_WORDS[i+2]}" ;;
                --inventory=*) file="${COMP_WORDS[i]#*=}" ;;
                *) continue ;;
            esac
            [[ "$file" == "~/"* ]] && file="$HOME/${file#*/}"
            inventory=( "--inventory=$file" )
        done
        COMPREPLY=( $(compgen -P @ -W "$("$1" "${inventory[@]}" @ 2>/dev/null)" -- "${2#@}") )
        return 0
    fi
    for (( i = 1; i < COMP_CWORD; i++ )); do
        if [[ "${COMP_WORDS[i]}" == @* ]]; then
            local more=0
            [[ "${COMP_WORDS[i]}" == @ ]] && more=1
            COMP_WORDS=( "${COMP_WORDS[@]:0:i}" "${COMP_WORDS[@]:i+1+more}" )
            (( COMP_CWORD -= 1 + more ))
            break
        fi
    done
    _trib "$@"
}
"#;

const ZSH_NAMES: &str = r#"    if [[ "${words[CURRENT]}" == @* ]]; then
        local -a names inventory
        local -i at
        local file
        for (( at = 2; at <= ${#words}; at++ )); do
            case ${words[at]} in
                --inventory) file=${(Q)words[at+1]} ;;
                --inventory=*) file=${(Q)words[at]#*=} ;;
                *) continue ;;
            esac
            inventory=( --inventory=${file/#\~\//$HOME/} )
        done
        names=( ${(f)"$(_call_program clusters ${words[1]} ${(q)inventory} @ 2>/dev/null)"} )
        compadd -- @${^names}
        return
    fi
    local named=${words[(i)@*]}
    if (( named > 1 && named < CURRENT )); then
        words[named]=()
        (( CURRENT -= 1 ))
    fi
"#;

const FISH_WITHOUT_NAME: &str = "    set -e cmd[1]\n    set cmd (string match -v -- '@*' $cmd)\n";

const FISH_NAMES: &str = r#"
function __fish_trib_names
    set -l words (commandline -o)
    set -l inventory
    for at in (seq (count $words))
        switch $words[$at]
            case --inventory
                set inventory --inventory=(string replace -r '^~/' "$HOME/" -- $words[(math $at + 1)])
            case '--inventory=*'
                set inventory (string replace -r '=~/' "=$HOME/" -- $words[$at])
        end
    end
    trib $inventory @ 2>/dev/null | string replace -r '(.+)' '@$1\tcluster'
end

complete -c trib -n "string match -q -- '@*' (commandline -ct)" -f -a "(__fish_trib_names)"
"#;

fn made() -> Files {
    let mut files = Files::new();
    for (command, name) in [(trib(), "trib"), (node(), "node")] {
        completions(&command, name, &mut files);
        pages(&command, name, &mut files);
    }
    files
}

fn committed(root: &Path) -> Files {
    let mut files = Files::new();
    for dir in ["completions", "man"] {
        for entry in fs::read_dir(root.join(dir)).into_iter().flatten() {
            let path = entry.expect("a directory that can be read").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            files.insert(format!("{dir}/{name}"), fs::read(path).expect("a file that can be read"));
        }
    }
    files
}

#[test]
fn completions_and_manual_pages_are_up_to_date() {
    let (root, made) = (Path::new(env!("CARGO_MANIFEST_DIR")), made());
    if std::env::var_os("UPDATE").is_some() {
        for dir in ["completions", "man"] {
            let _ = fs::remove_dir_all(root.join(dir));
            fs::create_dir_all(root.join(dir)).expect("the directory is made");
        }
        for (name, text) in &made {
            fs::write(root.join(name), text).expect("the file is written");
        }
    }
    let found = committed(root);
    let stale: Vec<&String> =
        made.keys().chain(found.keys()).filter(|name| made.get(*name) != found.get(*name)).collect();
    assert!(stale.is_empty(), "{stale:?} are not what the options say: UPDATE=1 cargo test --test trib generated");
}

#[test]
fn every_subcommand_has_a_page_and_every_shell_knows_it() {
    let (made, trib) = (made(), trib());
    let text = |name: &str| String::from_utf8(made[name].clone()).expect("text");
    for sub in trib.get_subcommands() {
        let name = sub.get_name();
        assert!(
            text(&format!("man/trib-{name}.1")).contains(&format!("trib\\-{}", name.replace('-', "\\-"))),
            "{name}"
        );
        for shell in ["completions/trib.bash", "completions/_trib", "completions/trib.fish"] {
            assert!(text(shell).contains(name), "{name} in {shell}");
        }
    }
    assert!(text("man/node.1").contains("cluster\\-node\\-timeout"));
}

/// What a shell offers at the end of these lines, where `trib` is the one that was built and knows two clusters.
fn offered(shell: &str, script: &str, lines: &[&str]) -> Option<Vec<Vec<String>>> {
    Process::new(shell).arg("--version").output().ok()?;
    let home = tempfile::tempdir().expect("a directory");
    fs::create_dir(home.path().join("trib")).expect("a directory");
    let clusters = "[prod]\naddresses = [\"h:1\"]\n[pretest]\naddresses = [\"h:2\"]\n[check]\naddresses = [\"h:3\"]\n";
    fs::write(home.path().join("trib/clusters.toml"), clusters).expect("a file");
    fs::write(home.path().join("other.toml"), "[stage]\naddresses = [\"h:4\"]\n").expect("a file");
    let bin = Path::new(env!("CARGO_BIN_EXE_trib")).parent().expect("a directory");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let offer = |line: &&str| {
        let mut run = Process::new(shell);
        run.current_dir(env!("CARGO_MANIFEST_DIR")).args(["-c", script]).env("LINE", line);
        run.env("XDG_CONFIG_HOME", home.path()).env("HOME", home.path()).env("PATH", &path);
        let ran = run.output().expect("it runs");
        assert!(ran.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
        let words = String::from_utf8_lossy(&ran.stdout).into_owned();
        let mut words: Vec<String> =
            words.lines().map(|word| word.split('\t').next().unwrap_or_default().to_owned()).collect();
        words.retain(|word| !word.is_empty());
        words.sort();
        words
    };
    Some(lines.iter().map(offer).collect())
}

/// Splits the line as readline does with its usual breaks.
const ASK_BASH: &str = r#"
. completions/trib.bash
words="${LINE//@/ @ }"
read -ra COMP_WORDS <<< "${words//=/ = }"
[[ "$LINE" == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
cur="${LINE##* }"
_trib_or_name trib "$cur" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
const ASK_FISH: &str = "source completions/trib.fish; complete -C \"$LINE\"";

#[test]
fn shells_complete_the_names_of_clusters_and_what_stands_behind_them() {
    let lines = [
        "trib @",
        "trib @pr",
        "trib check @pro",
        "trib @prod ba",
        "trib @check reb",
        "trib @prod backup --from-r",
        "trib --inventory ~/other.toml @",
        "trib --json --inventory=~/other.toml check @",
        "trib --inventory ~/missing.toml @",
    ];
    for (shell, script) in [("bash", ASK_BASH), ("fish", ASK_FISH)] {
        let Some(offered) = offered(shell, script, &lines) else { continue };
        let expected: [&[&str]; 9] = [
            &["@check", "@pretest", "@prod"],
            &["@pretest", "@prod"],
            &["@prod"],
            &["backup"],
            &["rebalance", "rebalance-roles"],
            &["--from-replicas"],
            &["@stage"],
            &["@stage"],
            &[],
        ];
        assert_eq!(offered, expected, "{shell}");
    }
}
