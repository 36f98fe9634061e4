//! The pages: what they show is run, and what is printed from the code is what the code says.

mod backend;
mod blocks;
mod keys;
mod page;
mod scratch;
mod shown;
mod yaml;
