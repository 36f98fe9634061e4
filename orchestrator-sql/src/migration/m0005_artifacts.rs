//! Artifacts: the rows of values that are kept outside of the database are found without reading the others. Versions
//! that do not know of artifacts refuse the store from here on.

use sea_orm::DbErr;
use sea_orm::sea_query::{ConditionalStatement as _, Expr, Index};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::artifact::IS_MARKED;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_artifacts"
    }
}

const OUTPUTS: &str = "orchestrator_outputs";

const MARKED: &str = "orchestrator_outputs_artifacts";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let marked = Index::create()
            .name(MARKED)
            .table(OUTPUTS)
            .col("digest")
            .col("run")
            .and_where(Expr::cust(IS_MARKED))
            .take();
        manager.create_index(marked).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(MARKED).table(OUTPUTS).to_owned()).await
    }
}
