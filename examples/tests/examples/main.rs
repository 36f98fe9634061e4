//! Runs every example as a reader would, through the built binary, and checks what comes of it.

mod approval;
mod bench;
mod github;
mod host;
mod notes;
mod retry;
mod shape;
