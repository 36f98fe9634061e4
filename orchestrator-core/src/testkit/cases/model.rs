//! The store against the one in memory.

use std::sync::Arc;

use crate::testkit::Backend;
use crate::testkit::model::{Model, compare_all};

pub(super) async fn it_answers_as_the_store_in_memory_does(backend: Arc<dyn Backend>) {
    if let Err(difference) = compare_all(&*backend, Model::from_env()).await {
        panic!("{difference}");
    }
}
