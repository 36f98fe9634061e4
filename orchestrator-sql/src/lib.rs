//! Everything the SQL stores of orchestrator share: entities, migrations, and the store over a [`Dialect`].

mod commit;
mod dialect;
mod encoding;
mod entity;
mod host;
mod member;
mod migration;
mod owners;
mod pen;
mod read;
mod rows;
mod schema;
mod script;
mod sections;
mod store;

pub use dialect::{Dialect, Forms, Options, WriteError, Writer};
pub use script::{Arg, Script, Words};
pub use store::SqlStore;
