//! Moving all that a store holds into another one, also of another kind of database.

mod carry;
mod held;
mod report;
mod row;

pub use report::{Copied, CopyError, CopyProgress};
