//! Stores that are wrong in one way each. The kit must notice every one of them, by the case that is there for it; and
//! every case must be failed by one of them, or it says nothing.

mod documents;
mod due;
mod keys;
mod list;
mod matrix;
mod member;
mod offers;
mod place;
mod second;
mod store;
