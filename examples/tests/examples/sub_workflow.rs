//! `sub-workflow.yaml`

use crate::bench::{Bench, step};

#[test]
fn each_region_is_a_run_of_its_own_and_gives_its_address() {
    let bench = Bench::new();
    let report = bench.run("sub-workflow.yaml", &[r#"regions=["eu","us","ap"]"#]);
    let addresses = "https://eu.example.com\nhttps://us.example.com\nhttps://ap.example.com";
    assert_eq!(report["outputs"]["addresses"].as_str().map(str::trim), Some(addresses));
    let mut deployed: Vec<String> =
        bench.file("deployed.txt").expect("it has deployed").lines().map(str::to_owned).collect();
    deployed.sort_unstable();
    assert_eq!(deployed, ["ap", "eu", "us"]);
    let list = |args: &[&str]| {
        let listed = bench.orchestrator(&[&["runs", "list", "--json"], args].concat()).json();
        listed["items"].as_array().expect("a list").len()
    };
    assert_eq!((list(&[]), list(&["--children"])), (1, 4));
    assert_eq!(step(&report, "list")["status"], "completed");
}

#[test]
fn the_workflow_below_runs_by_itself() {
    let report = Bench::new().run("parts/region.yaml", &["region=eu"]);
    assert_eq!(report["outputs"]["address"], "https://eu.example.com");
}
