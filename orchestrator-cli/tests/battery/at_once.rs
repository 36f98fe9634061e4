//! Several at a time.

use std::sync::Mutex;

/// Does something with each, so many at a time, and gives what has come of it, in the order in which they were done.
pub(crate) fn at_once<T: Send, D: Send>(
    threads: usize,
    all: impl IntoIterator<Item = T, IntoIter: Send>,
    does: impl Fn(T) -> D + Sync,
) -> Vec<D> {
    let waiting = Mutex::new(all.into_iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().next();
                    let Some(one) = next else { break };
                    let did = does(one);
                    done.lock().unwrap().push(did);
                }
            });
        }
    });
    done.into_inner().unwrap()
}
