//! COMMAND: what the server can do, derived from the declarations.

mod docs;
#[cfg(test)]
mod facts;
mod names;
mod shape;

use crate::base::glob;
use crate::commands::help::help;
use crate::exec::keys::{KeyAt, visit_declared_keys};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags};
use crate::resp::{Args, ErrorReply};

const ALWAYS: Flags = Flags::LOADING.union(Flags::STALE);
const NAMES: &[Arg] = &[Arg::string("command-name").optional().multiple()];
const CALL: &[Arg] = &[Arg::string("command"), Arg::string("arg").optional().multiple()];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

pub const COMMANDS: &[Command] = &[Command {
    arity: -1,
    handler: all,
    ..Command::container(
        "command",
        &[
            Command::new("command|count", 2, count).flags(ALWAYS).acl(Acl::CONNECTION).doc(
                Group::Server,
                "2.8.13",
                "O(1)",
                "How many commands there are.",
            ),
            Command::new("command|docs", -2, documentation)
                .flags(ALWAYS)
                .acl(Acl::CONNECTION)
                .doc(Group::Server, "7.0.0", "O(N)", "The documentation of all commands, or of these.")
                .tips(UNORDERED)
                .args(NAMES),
            Command::new("command|getkeys", -3, getkeys)
                .flags(ALWAYS)
                .acl(Acl::CONNECTION)
                .doc(Group::Server, "2.8.13", "O(N)", "The keys of a command line.")
                .args(CALL),
            Command::new("command|getkeysandflags", -3, getkeysandflags)
                .flags(ALWAYS)
                .acl(Acl::CONNECTION)
                .doc(Group::Server, "7.0.0", "O(N)", "The keys of a command line, and what it does with them.")
                .args(CALL),
            Command::new("command|help", 2, help).flags(ALWAYS).acl(Acl::CONNECTION).doc(
                Group::Server,
                "5.0.0",
                "O(1)",
                "Prints this help.",
            ),
            Command::new("command|info", -2, info)
                .flags(ALWAYS)
                .acl(Acl::CONNECTION)
                .doc(Group::Server, "2.8.13", "O(N)", "The facts of all commands, or of these.")
                .tips(UNORDERED)
                .args(NAMES),
            Command::new("command|list", -2, list)
                .flags(ALWAYS)
                .acl(Acl::CONNECTION)
                .doc(Group::Server, "7.0.0", "O(N)", "The names of the commands.")
                .tips(UNORDERED)
                .args(&[Arg::one_of(
                    "filterby",
                    &[
                        Arg::string("module-name").token("MODULE"),
                        Arg::string("category").token("ACLCAT"),
                        Arg::pattern("pattern").token("PATTERN"),
                    ],
                )
                .token("FILTERBY")
                .optional()]),
        ],
    )
}
.flags(ALWAYS)
.acl(Acl::CONNECTION)
.doc(Group::Server, "2.8.13", "O(N)", "The facts of all commands.")
.tips(UNORDERED)];

fn all(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let commands: Vec<&'static Command> = ctx.server.commands.top_level().collect();
    let reply = ctx.reply();
    reply.array(commands.len());
    for command in commands {
        shape::push_command(reply, command);
    }
    Ok(())
}

fn count(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let count = ctx.server.commands.top_level().count();
    ctx.reply().uint(count);
    Ok(())
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() == 2 {
        return all(ctx, args);
    }
    ctx.reply().array(args.len() - 2);
    for name in args.from(2).iter() {
        match find(ctx, name) {
            Some(command) => shape::push_command(ctx.reply(), command),
            None => ctx.reply().null(),
        }
    }
    Ok(())
}

fn documentation(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let commands: Vec<&'static Command> = if args.len() == 2 {
        ctx.server.commands.top_level().collect()
    } else {
        args.from(2).iter().filter_map(|name| find(ctx, name)).collect()
    };
    let reply = ctx.reply();
    reply.map(commands.len());
    for command in commands {
        reply.bulk_str(command.name);
        docs::push_docs(reply, command);
    }
    Ok(())
}

fn find(ctx: &Ctx<'_>, name: &[u8]) -> Option<&'static Command> {
    ctx.server.commands.find(name).map(|index| ctx.server.commands.command(index))
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let wanted: Box<dyn Fn(&Command) -> bool> = match args.len() {
        2 => Box::new(|_| true),
        5 if args.is(2, "filterby") => {
            let value = args.at(4);
            if args.is(3, "module") {
                Box::new(|_| false)
            } else if args.is(3, "aclcat") {
                let category = Acl::all().iter().find(|c| names::acl(*c).as_bytes().eq_ignore_ascii_case(value));
                Box::new(move |command| category.is_some_and(|c| command.categories().contains(c)))
            } else if args.is(3, "pattern") {
                Box::new(|command| glob::matches(value, command.name.as_bytes(), true))
            } else {
                return Err(ErrorReply::Syntax);
            }
        }
        _ => return Err(ErrorReply::Syntax),
    };
    let found: Vec<&str> =
        ctx.server.commands.iter().map(|entry| entry.command).filter(|c| wanted(c)).map(|c| c.name).collect();
    let reply = ctx.reply();
    reply.array(found.len());
    for name in found {
        reply.bulk_str(name);
    }
    Ok(())
}

fn getkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let call = args.from(2);
    let keys = keys_of(ctx, call)?;
    let reply = ctx.reply();
    reply.array(keys.len());
    for key in keys {
        reply.bulk(call.at(key.position));
    }
    Ok(())
}

fn getkeysandflags(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let call = args.from(2);
    let keys = keys_of(ctx, call)?;
    let reply = ctx.reply();
    reply.array(keys.len());
    for key in keys {
        reply.array(2);
        reply.bulk(call.at(key.position));
        shape::push_words(reply, said_flags(call, key.flags).iter().map(names::key_flag));
    }
    Ok(())
}

/// What this call does with a key, where the declaration says that it depends.
fn said_flags(call: Args<'_>, declared: KeyFlags) -> KeyFlags {
    let has = |word: &str, from: usize| (from..call.len()).any(|i| call.is(i, word));
    if !declared.contains(KeyFlags::VARIABLE_FLAGS) {
        declared
    } else if call.is(0, "set") && !has("get", 3) {
        KeyFlags::OW.union(KeyFlags::UPDATE)
    } else if call.is(0, "bitfield") && !has("set", 2) && !has("incrby", 2) {
        KeyFlags::RO.union(KeyFlags::ACCESS)
    } else {
        declared.difference(KeyFlags::VARIABLE_FLAGS)
    }
}

fn keys_of(ctx: &Ctx<'_>, call: Args<'_>) -> Result<Vec<KeyAt>, ErrorReply> {
    use crate::exec::table::Lookup;
    let Lookup::Found(index) = ctx.server.commands.lookup(call) else {
        return Err(ErrorReply::Static("ERR Invalid command specified"));
    };
    let command = ctx.server.commands.command(index);
    if command.keys.is_empty() && command.key_finder.is_none() {
        return Err(ErrorReply::Static("ERR The command has no key arguments"));
    }
    if !command.accepts(call.len()) {
        return Err(ErrorReply::Static("ERR Invalid number of arguments specified for command"));
    }
    let mut keys = Vec::new();
    let valid = visit_declared_keys(command, call, |key| keys.push(key));
    if !valid || (keys.is_empty() && !command.flags.contains(Flags::NO_MANDATORY_KEYS)) {
        return Err(ErrorReply::Static("ERR Invalid arguments specified for command"));
    }
    Ok(keys)
}
