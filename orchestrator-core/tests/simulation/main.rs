//! Engines in a world of chance: one seed, one world. Several processes share a store over a line that breaks; they are
//! killed between any two polls, stand still longer than they may, and their clocks are wrong. After every commit the
//! promises about the log are checked; at the end nothing goes wrong any more, and every run has to come to the end that a
//! model predicts. See docs/guarantees.md.
//!
//! `ORCHESTRATOR_SIM_SEEDS` says how many worlds (default 1,000; as a part of a battery 5,000 or 20,000),
//! `ORCHESTRATOR_SIM_FIRST` with which seed they begin (default 1), `ORCHESTRATOR_SIM_SEED` plays one seed alone and tells
//! all of it.

mod bugs;
mod claimers;
mod dice;
mod machine;
mod node;
mod outside;
mod people;
mod places;
mod play;
mod reach;
#[path = "../battery/row.rs"]
mod row;
mod ticks;
mod truth;
mod workload;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bugs::Bug;
use dice::{CLAIMED, Die, GIVEN, OVERTAKEN, RUN_WAITED, TICKED, TURN, WAITED};
use play::play;
use world::Told;

/// Seeds that have found something once.
const REGRESSIONS: &str = include_str!("regressions.txt");

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}

/// How many worlds there are.
fn worlds() -> u64 {
    let default = match std::env::var("ORCHESTRATOR_BATTERY").as_deref() {
        Ok("release") => 20_000,
        Ok("change") => 5_000,
        _ => 1_000,
    };
    number("ORCHESTRATOR_SIM_SEEDS", default)
}

/// Panics of simulated plugins are caught by the engine; they need not be printed.
fn quietly() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if !said.contains("a simulated panic") {
            loud(panic);
        }
    }));
}

/// Plays worlds on all cores.
fn play_all(seeds: &[u64], seen: impl Fn(u64, Told) + Sync) {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    seen(*seed, play(*seed, &[], None, false));
                }
            });
        }
    });
}

/// What a seed has found, with the fewest kinds of faults that it takes.
fn told_in_full(seed: u64) -> String {
    let mut off: Vec<Die> = Vec::new();
    let mut shortest = play(seed, &off, None, true);
    for die in shortest.dice.clone() {
        off.push(die);
        let told = play(seed, &off, None, true);
        if told.broken.is_some() {
            shortest = told;
        } else {
            off.pop();
        }
    }
    let needed: Vec<&str> = shortest.dice.iter().map(|die| die.name()).collect();
    let broken = shortest.broken.clone().unwrap_or_default();
    format!(
        "seed {seed}: {broken}\nwith the dice {needed:?}:\n{}\nagain: ORCHESTRATOR_SIM_SEED={seed}; add the seed to regressions.txt",
        shortest.words
    )
}

#[test]
fn every_world_keeps_the_promises() {
    quietly();
    if let Ok(seed) = std::env::var("ORCHESTRATOR_SIM_SEED") {
        let told = play(seed.parse().expect("a seed"), &[], None, true);
        println!("{}\n{:?}", told.words, told.broken);
        assert!(told.broken.is_none(), "{}", told_in_full(seed.parse().unwrap()));
        return;
    }
    let (first, count) = (number("ORCHESTRATOR_SIM_FIRST", 1), worlds());
    let seeds: Vec<u64> = (first..first + count).collect();
    let began = Instant::now();
    let told: Mutex<BTreeMap<u64, Told>> = Mutex::default();
    play_all(&seeds, |seed, world| drop(told.lock().unwrap().insert(seed, world)));
    let told = told.into_inner().unwrap();
    let broken: Vec<u64> =
        told.iter().filter(|(_, told)| told.broken.is_some()).map(|(seed, _)| *seed).collect();
    for seed in &broken {
        println!("seed {seed}: {}", told[seed].broken.as_deref().unwrap_or_default());
    }
    let mut hits: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in told.values().flat_map(|told| &told.hits) {
        *hits.entry(name).or_default() += count;
    }
    let sum = |of: fn(&Told) -> u64| told.values().map(of).sum::<u64>();
    let hours = told.values().map(|told| told.lasted.as_secs_f64()).sum::<f64>() / 3_600.0;
    println!(
        "{count} worlds, {hours:.1} hours of theirs in {:.0?}: {} choices of the scheduler, {} events",
        began.elapsed(),
        sum(|told| told.choices),
        sum(|told| told.events),
    );
    hits.iter().for_each(|(name, count)| println!("  {count:>8}  {name}"));
    if let Some(seed) = broken.first() {
        panic!("{} of {count} worlds break a promise: {broken:?}\n{}", broken.len(), told_in_full(*seed));
    }
    // Fewer worlds than that need not have met everything.
    if count >= 300 {
        let all = Die::ALL
            .iter()
            .map(|die| die.name())
            .chain([WAITED, RUN_WAITED, GIVEN, TURN, TICKED, CLAIMED, OVERTAKEN]);
        let missed: Vec<&str> = all.filter(|name| !hits.contains_key(name)).collect();
        assert!(missed.is_empty(), "never happened: {missed:?}");
    }
    let hashes: BTreeSet<u64> = told.values().map(|told| told.hash).collect();
    assert_eq!(hashes.len() as u64, count, "two seeds are one world");
    for seed in seeds.iter().step_by(100) {
        let again = play(*seed, &[], None, false);
        assert_eq!(again.hash, told[seed].hash, "seed {seed} is another world the second time");
    }
    // Where a promise is broken, this is not reached.
    let commits = sum(|told| told.events);
    row::report(
        "worlds of chance",
        count,
        &format!("{hours:.1} hours of the worlds, {commits} events, {} kinds of faults", Die::ALL.len()),
    );
}

#[test]
fn what_was_found_once_is_not_found_again() {
    quietly();
    let lines = REGRESSIONS.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let seeds: Vec<u64> = lines.filter(|line| !line.is_empty()).map(|line| line.parse().unwrap()).collect();
    play_all(&seeds, |seed, told| assert!(told.broken.is_none(), "{}", told_in_full(seed)));
}

#[test]
fn what_is_built_wrong_is_noticed() {
    quietly();
    let most = 400;
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let found =
            (1..=most).find_map(|seed| play(seed, &[], Some(*bug), false).broken.map(|what| (seed, what)));
        match found {
            Some((seed, what)) => println!("{bug:?}: noticed in world {seed}: {what}"),
            None => missed.push(*bug),
        }
    }
    assert!(missed.is_empty(), "not noticed in {most} worlds: {missed:?}");
    let count = Bug::ALL.len() as u64;
    row::report(
        "worlds of chance, built wrong",
        count,
        &format!("{count} wrong engines and stores, all noticed"),
    );
}
