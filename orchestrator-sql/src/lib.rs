//! Everything the SQL stores of orchestrator share: entities, migrations, and the store over a [`Dialect`].

mod admission;
mod artifact;
mod commit;
mod copy;
mod dialect;
mod documents;
mod due;
mod encoding;
mod entity;
mod host;
mod inbox;
mod member;
mod migration;
mod offers;
mod owners;
mod pen;
mod prune;
mod read;
mod registry;
mod rows;
mod schema;
mod script;
mod sections;
mod standing;
mod store;
mod survey;
mod tables;

pub use artifact::{ARTIFACT_FROM, NAMED_ARTIFACTS, artifact_fault};
pub use copy::{Copied, CopyError, CopyProgress};
pub use dialect::{Dialect, Forms, Options, Seals, WriteError, Writer};
pub use script::{Arg, Kind, Script, TextWords, WithWords, Words};
pub use standing::{SEALED, is_mark};
pub use store::{SqlStore, joined};
pub use survey::{CHECKS, Survey};
pub use tables::copied_columns;
