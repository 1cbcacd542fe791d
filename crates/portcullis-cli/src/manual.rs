//! What is printed about the command itself: completions for shells, and manual pages.
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use portcullis::config::SCHEMA;

use crate::Exit;
use crate::output::{Failure, Output};

const NAME: &str = "portcullis";

/// Print the JSON Schema of policy files, for editors.
///
/// Save it beside the policy: `portcullis schema > policy.schema.json`. Then begin a TOML policy with the line
/// `#:schema policy.schema.json`, for Taplo and Even Better TOML. A JSON policy names it in its member "$schema".
#[derive(clap::Args)]
pub(crate) struct SchemaOptions {}

/// Print a completion script for your shell.
///
/// For bash: `portcullis completions bash > /etc/bash_completion.d/portcullis`. For zsh, save it as `_portcullis` in a
/// folder of `$fpath`. For fish: `portcullis completions fish > ~/.config/fish/completions/portcullis.fish`.
#[derive(clap::Args)]
pub(crate) struct CompletionsOptions {
    /// The shell
    shell: Shell,
}

/// Print a manual page.
///
/// To read it: `portcullis man | man -l -`. To install all pages: `portcullis man --out /usr/local/share/man/man1`.
#[derive(clap::Args)]
pub(crate) struct ManOptions {
    /// Print the page of this command, such as `explain` or `ring status` [default: the page of portcullis itself]
    command: Vec<String>,

    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    out: Option<PathBuf>,
}

pub(crate) fn schema(output: &Output) -> Exit {
    output.whole(SCHEMA.as_bytes());
    Exit::Good
}

pub(crate) fn completions(options: &CompletionsOptions, output: &Output) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command(), NAME, &mut script);
    output.whole(&script);
    Exit::Good
}

pub(crate) fn man(options: &ManOptions, output: &Output) -> Result<Exit, Failure> {
    let mut command = command();
    if let Some(folder) = &options.out {
        let fault = |error| Failure::fault(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(fault)?;
        clap_mangen::generate_to(command, folder).map_err(fault)?;
        return Ok(Exit::Good);
    }
    // Gives each command its full name.
    command.build();
    let mut found = &command;
    for name in &options.command {
        found = found.find_subcommand(name).ok_or_else(|| {
            Failure::fault(format!("there is no command {name:?}: `portcullis --help` lists them"))
        })?;
    }
    let mut page = Vec::new();
    Man::new(found.clone()).render(&mut page).map_err(|error| Failure::fault(error.to_string()))?;
    output.whole(&page);
    Ok(Exit::Good)
}

fn command() -> clap::Command {
    crate::Options::command()
}
