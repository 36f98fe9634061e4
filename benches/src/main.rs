//! What orchestrator must reach, each figure beside the limit of the same machine in the same run.
//!
//! `cargo run --release -p orchestrator-benches` prints a table; with `--check` it exits 1 if a figure is missed. A
//! figure is the median of several interleaved repetitions. Absolute times say little here: the ratio counts.

mod call;
mod chain;
mod command_line;
mod crew;
mod fan;
mod fleet;
mod flood;
mod graph;
mod jobs;
mod lists;
mod locks;
mod pickup;
mod random_graph;
mod recovery;
mod sample;
mod script;
mod validation;

use std::process::ExitCode;

use sample::Figure;

const HELP: &str = "\
Measures what orchestrator must reach against the limit in the same run.

Usage: benches [--check] [--only NAME] [--repeat N] [--flood N]
       benches --seed FILE [--runs N]

  --check      exit 1 if a figure is missed
  --only NAME  only workloads whose name contains NAME: graph, chain, fan,
               fleet, flood, pickup, jobs, locks, crew, recovery,
               validation, command, lists, http, script
  --repeat N   repetitions per figure; the median counts (default 5)
  --flood N    with how many runs one project floods a worker (default 50000)
  --seed FILE  measure nothing: fill the store in this file with runs that have ended
  --runs N     with --seed: how many (default 100000)

Example: cargo run --release -p orchestrator-benches -- --check --only chain
";

struct Options {
    check: bool,
    only: Option<String>,
    repeat: usize,
    seed: Option<std::path::PathBuf>,
    runs: usize,
    /// How many runs the flood has.
    flood: usize,
    /// A database to work for, with so many slots: one of the processes of `crew`.
    work: Option<String>,
    /// A database to hold steps in: one of the processes of `recovery`.
    hold: Option<String>,
    slots: usize,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        check: false,
        only: None,
        repeat: 5,
        seed: None,
        runs: 100_000,
        flood: 50_000,
        work: None,
        hold: None,
        slots: 1,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--check" => options.check = true,
            "--only" => options.only = Some(args.next().ok_or("--only needs a name")?),
            "--repeat" => {
                let count = args.next().and_then(|text| text.parse().ok()).filter(|count| *count > 0);
                options.repeat = count.ok_or("--repeat needs a number above 0")?;
            }
            "--seed" => options.seed = Some(args.next().ok_or("--seed needs a file")?.into()),
            "--runs" => {
                let count = args.next().and_then(|text| text.parse().ok()).filter(|count| *count > 0);
                options.runs = count.ok_or("--runs needs a number above 0")?;
            }
            "--flood" => {
                let count = args.next().and_then(|text| text.parse().ok()).filter(|count| *count > 0);
                options.flood = count.ok_or("--flood needs a number above 0")?;
            }
            "--work" => options.work = Some(args.next().ok_or("--work needs a URL")?),
            "--hold" => options.hold = Some(args.next().ok_or("--hold needs a URL")?),
            "--slots" => {
                let count = args.next().and_then(|text| text.parse().ok()).filter(|count| *count > 0);
                options.slots = count.ok_or("--slots needs a number above 0")?;
            }
            "--help" | "-h" => return Err(String::new()),
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(options)
}

type Workload = (&'static str, fn(usize) -> Vec<Figure>);

const WORKLOADS: [Workload; 14] = [
    ("graph", graph::measure),
    ("chain", chain::measure),
    ("fan", fan::measure),
    ("fleet", fleet::measure),
    ("pickup", pickup::measure),
    ("jobs", jobs::measure),
    ("locks", locks::measure),
    ("crew", crew::measure),
    ("recovery", recovery::measure),
    ("validation", validation::measure),
    ("command", command_line::measure),
    ("lists", lists::measure),
    ("http", call::measure),
    ("script", script::measure),
];

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(problem) if problem.is_empty() => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprint!("{problem}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Some(url) = &options.work {
        crew::work(url, options.slots);
        return ExitCode::SUCCESS;
    }
    if let Some(url) = &options.hold {
        recovery::hold(url);
        return ExitCode::SUCCESS;
    }
    if let Some(file) = &options.seed {
        lists::seed(file, options.runs);
        return ExitCode::SUCCESS;
    }
    if cfg!(debug_assertions) {
        eprintln!("note: a build without --release measures nothing of worth");
    }
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let mut missed = 0;
    println!("{:<52} {:>14} {:>14} {:>9} {:>9}", "figure", "measured", "limit", "ratio", "must be");
    let mut tell = |figures: Vec<Figure>| {
        for figure in figures {
            println!("{figure}");
            missed += usize::from(!figure.is_met());
        }
    };
    for (_, measure) in WORKLOADS.iter().filter(|(name, _)| wanted(name)) {
        tell(measure(options.repeat));
    }
    if wanted("flood") {
        tell(flood::measure(options.repeat, options.flood));
    }
    if missed > 0 {
        println!("{missed} missed");
    }
    ExitCode::from(u8::from(options.check && missed > 0))
}
