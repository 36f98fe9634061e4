//! Several processes on one queue.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use orchestrator_core::port::queue::{Queue, Settled, Woken};
use orchestrator_redis::RedisQueue;
use orchestrator_redis::testkit::Server;

use crate::place::{Base, Desk, LONG, number, numbered};

/// Names the server to the other processes.
const URL: &str = "ORCHESTRATOR_TEST_REDIS_URL";

/// The ticket that says that there are no more.
const LAST: u128 = 1_000_000;

/// What another process does, once it is told where: takes until it is given the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takes_until_the_last() {
    let Ok(url) = std::env::var(URL) else { return };
    let queue = RedisQueue::connect(&url).await.unwrap();
    loop {
        assert_eq!(queue.wait_for(LONG).await, Ok(Woken::Rung));
        for delivery in queue.take(3).await.unwrap() {
            let number = number(&delivery);
            if number >= LAST {
                queue.done(&delivery).await.unwrap();
                queue.close().await.unwrap();
                return;
            }
            println!("taken {number}");
            assert_eq!(queue.done(&delivery).await, Ok(Settled::Taken));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_ticket_is_given_to_one_of_several_processes() {
    const MANY: u128 = 300;
    let server = Server::start();
    let processes: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "processes::takes_until_the_last", "--nocapture"])
                .env(URL, server.url())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let queue = Base::of(&server).queue().await;
    for number in 0..MANY {
        queue.put(vec![numbered(number)]).await.unwrap();
    }
    // One for each: who has taken one takes no more.
    for number in LAST..LAST + 2 {
        while queue.wait_for(Duration::ZERO).await == Ok(Woken::Rung) {
            tokio::task::yield_now().await;
        }
        queue.put(vec![numbered(number)]).await.unwrap();
    }
    let (mut taken, mut of_each) = (Vec::new(), Vec::new());
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let before = taken.len();
        taken.extend(said.lines().filter_map(|line| line.split_once("taken ")?.1.parse::<u128>().ok()));
        of_each.push(taken.len() - before);
    }
    assert_eq!(taken.len(), MANY as usize, "{of_each:?}");
    assert_eq!(taken.iter().copied().collect::<BTreeSet<_>>(), (0..MANY).collect());
    assert_eq!(queue.take(9).await, Ok(Vec::new()));
}
