//! Registered workflows: documents of one kind, with every revision they have had.

use std::collections::HashMap;

use orchestrator_core::failpoint;
use orchestrator_core::id::DocumentId;
use orchestrator_core::port::store::{
    NewRevision, Page, Registered, RevisionQuery, RevisionRow, StoreError, WorkflowQuery, WorkflowRow,
};
use orchestrator_core::time::Timestamp;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::dialect::{Dialect, WriteError};
use crate::encoding::digest_of;
use crate::entity::{document_revisions, documents};
use crate::read::{limit, page, page_size};
use crate::rows;
use crate::script::Kind::{Digest, Id, Int, Text};
use crate::script::{Arg, Batch, Check, IntoArg, Kind, Rows, Section, Verb};
use crate::store::Shared;

/// The kind of documents that are workflows.
const KIND: &str = "workflow";

/// How often a registration looks again that others have come before. Each time, one of them has been served.
const ATTEMPTS: u32 = 32;

const KEEP_TEXT: usize = 0;
const CREATE: usize = 1;
const CHANGE: usize = 2;
const KEEP_REVISION: usize = 3;

static SECTIONS: [Section; 4] = [
    insert(
        "orchestrator_revisions (digest, text, created_at) SELECT * FROM ",
        &[Digest, Text, Int],
        " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (digest) DO NOTHING",
    ),
    // One document is written, or someone else was faster and nothing is.
    Section {
        checked: Check::AsGiven,
        ..insert(
            "orchestrator_documents (id, project, kind, name, status, revision, updated_at, body_digest) SELECT * FROM ",
            &[Id, Text, Text, Text, Text, Int, Int, Digest],
            " AS v WHERE v.column1 IS NOT NULL ON CONFLICT DO NOTHING",
        )
    },
    Section {
        checked: Check::AsGiven,
        ..Section::new(
            Verb::Update,
            "orchestrator_documents SET revision = v.column3, updated_at = v.column4, body_digest = v.column5 FROM ",
            &[Id, Int, Int, Int, Digest],
            " AS v WHERE orchestrator_documents.id = v.column1 AND orchestrator_documents.revision = v.column2",
        )
    },
    insert(
        "orchestrator_document_revisions (document, revision, body_digest, created_at, created_by) SELECT * FROM ",
        &[Id, Int, Digest, Int, Text],
        " AS v",
    ),
];

const fn insert(head: &'static str, columns: &'static [Kind], tail: &'static str) -> Section {
    Section::new(Verb::Insert, head, columns, tail)
}

impl<D: Dialect> Shared<D> {
    pub(crate) async fn register_workflow(&self, new: &NewRevision) -> Result<Registered, StoreError> {
        self.pen.require_open()?;
        if let Some(fault) = new.fault() {
            return Err(StoreError::Invalid(fault.to_owned()));
        }
        for _ in 0..ATTEMPTS {
            let latest = self.latest(&new.project, &new.name).await?;
            let number = latest.as_ref().map_or(0, |(_, row)| row.number);
            if latest.as_ref().is_some_and(|(_, row)| row.revision == new.revision) {
                return Ok(Registered::Same(number));
            }
            if new.expected.is_some_and(|expected| expected != number) {
                return Ok(Registered::Stale(latest.map(|(_, row)| row)));
            }
            let mut hand = self.pen.take().await;
            let batch = batch(new, latest.map(|(id, _)| id), number);
            let script = batch.finish(&mut hand.texts, D::WORDS);
            failpoint!("workflow.register.before");
            match self.pen.run(&mut hand, script).await {
                Ok(_) => {
                    failpoint!("workflow.register.after");
                    return Ok(Registered::New(number + 1));
                }
                // Someone else has changed the document since it was read.
                Err(WriteError::Refused) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Busy)
    }

    async fn latest(&self, project: &str, name: &str) -> Result<Option<(Uuid, RevisionRow)>, StoreError> {
        let found = documents::Entity::find()
            .filter(documents::Column::Project.eq(project))
            .filter(documents::Column::Kind.eq(KIND))
            .filter(documents::Column::Name.eq(name))
            .one(self.db());
        let Some(document) = self.read(found).await? else { return Ok(None) };
        let row = self.latest_of([&document]).await?.remove(&document.id);
        let row = row.ok_or_else(|| lost(&document))?;
        Ok(Some((document.id, row)))
    }

    /// The latest revision of each document.
    async fn latest_of<'m>(
        &self,
        documents: impl IntoIterator<Item = &'m documents::Model>,
    ) -> Result<HashMap<Uuid, RevisionRow>, StoreError> {
        let any = documents.into_iter().fold(Condition::any(), |any, document| {
            any.add(
                Condition::all()
                    .add(document_revisions::Column::Document.eq(document.id))
                    .add(document_revisions::Column::Revision.eq(document.revision)),
            )
        });
        if any.is_empty() {
            return Ok(HashMap::new());
        }
        let found = document_revisions::Entity::find().filter(any).all(self.db());
        self.read(found).await?.into_iter().map(|row| Ok((row.document, revision(row)?))).collect()
    }

    pub(crate) async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError> {
        use documents::Column::{Kind, Name, Project};
        self.pen.require_open()?;
        let most = page_size(query.limit);
        let mut select = documents::Entity::find()
            .filter(Kind.eq(KIND))
            .order_by_asc(Project)
            .order_by_asc(Name)
            .limit(limit(most + 1));
        if let Some(project) = query.project {
            select = select.filter(Project.eq(project));
        }
        if let Some(name) = query.name {
            select = select.filter(Name.eq(name));
        }
        if let Some((project, name)) = query.after {
            let later = Condition::all().add(Project.eq(project.clone())).add(Name.gt(name));
            select = select.filter(Condition::any().add(Project.gt(project)).add(later));
        }
        let Page { items, more } = page(self.read(select.all(self.db())).await?, most, Ok)?;
        let mut items: Vec<documents::Model> = items;
        let mut latest = HashMap::new();
        // Each document takes two arguments of the query.
        for some in items.chunks(IDS) {
            latest.extend(self.latest_of(some).await?);
        }
        let rows = items.drain(..).map(|document| {
            let row = latest.remove(&document.id).ok_or_else(|| lost(&document))?;
            Ok(WorkflowRow {
                id: DocumentId::from_uuid(document.id),
                project: document.project.into(),
                name: document.name.into(),
                latest: row,
            })
        });
        Ok(Page { items: rows.collect::<Result<_, StoreError>>()?, more })
    }

    pub(crate) async fn workflow_revisions(
        &self,
        query: RevisionQuery,
    ) -> Result<Page<RevisionRow>, StoreError> {
        self.pen.require_open()?;
        let Some((document, _)) = self.latest(&query.project, &query.name).await? else {
            return Ok(Page { items: Vec::new(), more: false });
        };
        let most = page_size(query.limit);
        let mut select = document_revisions::Entity::find()
            .filter(document_revisions::Column::Document.eq(document))
            .order_by_desc(document_revisions::Column::Revision)
            .limit(limit(most + 1));
        if let Some(before) = query.before {
            let before = i64::try_from(before).unwrap_or(i64::MAX);
            select = select.filter(document_revisions::Column::Revision.lt(before));
        }
        page(self.read(select.all(self.db())).await?, most, revision)
    }
}

/// The most documents in one list of a query: conditions nest, and SQLite bounds how deep.
const IDS: usize = 200;

fn batch(new: &NewRevision, document: Option<Uuid>, number: u64) -> Batch {
    let id = Arg::Id(document.unwrap_or_else(|| new.id.as_uuid()));
    let (next, at, digest) = ((number + 1).arg(), new.at.arg(), new.revision.arg());
    let mut batch =
        Batch::of_one(&SECTIONS, KEEP_TEXT, Rows::one([digest.clone(), new.text.clone().arg(), at.clone()]));
    if document.is_none() {
        let names = [new.project.clone().arg(), Arg::Word(KIND), new.name.clone().arg(), Arg::Word("active")];
        let [project, kind, name, status] = names;
        let row = [id.clone(), project, kind, name, status, next.clone(), at.clone(), digest.clone()];
        batch.add(CREATE, Rows::one(row));
    } else {
        let row = [id.clone(), number.arg(), next.clone(), at.clone(), digest.clone()];
        batch.add(CHANGE, Rows::one(row));
    }
    batch.add(KEEP_REVISION, Rows::one([id, next, digest, at, new.by.clone().arg()]));
    batch
}

fn revision(row: document_revisions::Model) -> Result<RevisionRow, StoreError> {
    Ok(RevisionRow {
        number: rows::number(row.revision)?,
        revision: digest_of(&row.body_digest)?,
        by: row.created_by.into(),
        at: Timestamp::from_millis(row.created_at),
    })
}

fn lost(document: &documents::Model) -> StoreError {
    StoreError::Corrupt(format!("`{}` has no revision {}", document.name, document.revision))
}
