//! Queues that are wrong in one way each. The cases must notice every one of them, each by the case that is there for it;
//! and every case must be failed by one of them, or it says nothing.

mod letters;
mod list;
mod matrix;
mod place;
mod spoiled;
mod waits;
