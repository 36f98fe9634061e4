//! Documents other than registered workflows: one row each, changed by whoever knows its number.

use std::collections::HashMap;
use std::sync::Arc;

use orchestrator_core::id::DocumentId;
use orchestrator_core::port::store::{
    DeleteDocument, DocumentQuery, DocumentRow, Page, Put, PutDocument, StoreError,
};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::dialect::{Dialect, WriteError};
use crate::entity::{documents, revisions};
use crate::read::{limit, page, page_size};
use crate::rows;
use crate::script::Kind::{Digest, Id, Int, Text};
use crate::script::{Arg, Batch, Check, IntoArg, Kind, Rows, Section, Verb};
use crate::store::Shared;

/// How often a change looks again that others have come before.
const ATTEMPTS: u32 = 8;

/// The most texts that are asked for at once: each is an argument of the query.
const TEXTS: usize = 200;

const KEEP_TEXT: usize = 0;
const CREATE: usize = 1;
const CHANGE: usize = 2;
const DELETE: usize = 3;

static SECTIONS: [Section; 4] = [
    Section::new(
        Verb::Insert,
        "orchestrator_revisions (digest, text, created_at) SELECT * FROM ",
        &[Digest, Text, Int],
        " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (digest) DO NOTHING",
    ),
    // One document is written, or someone else was faster and nothing is.
    checked(
        Verb::Insert,
        "orchestrator_documents (id, project, kind, name, status, revision, updated_at, body_digest, due_at, state) \
         SELECT * FROM ",
        &[Id, Text, Text, Text, Text, Int, Int, Digest, Int, Text],
        " AS v WHERE v.column1 IS NOT NULL ON CONFLICT DO NOTHING",
    ),
    checked(
        Verb::Update,
        "orchestrator_documents SET revision = v.column3, updated_at = v.column4, body_digest = v.column5, \
         due_at = v.column6, state = v.column7, status = v.column8 FROM ",
        &[Id, Int, Int, Int, Digest, Int, Text, Text],
        " AS v WHERE orchestrator_documents.id = v.column1 AND orchestrator_documents.revision = v.column2",
    ),
    checked(
        Verb::Delete,
        "orchestrator_documents WHERE (id, revision) IN (SELECT column1, column2 FROM ",
        &[Id, Int],
        " AS v)",
    ),
];

const fn checked(verb: Verb, head: &'static str, columns: &'static [Kind], tail: &'static str) -> Section {
    Section { checked: Check::AsGiven, ..Section::new(verb, head, columns, tail) }
}

impl<D: Dialect> Shared<D> {
    pub(crate) async fn put_document(&self, put: &PutDocument) -> Result<Put, StoreError> {
        self.pen.require_open()?;
        if let Some(fault) = put.fault() {
            return Err(StoreError::Invalid(fault.to_owned()));
        }
        for _ in 0..ATTEMPTS {
            let there = self.document(&put.project, &put.kind, &put.name).await?;
            let number = there.map(|(_, number)| number);
            if number.unwrap_or(0) != put.expected {
                return Ok(Put::Stale(number));
            }
            let batch = change(put, there.map(|(id, _)| id));
            if self.wrote(batch).await? {
                return Ok(Put::Written(put.expected + 1));
            }
        }
        Err(StoreError::Busy)
    }

    pub(crate) async fn delete_document(&self, delete: &DeleteDocument) -> Result<bool, StoreError> {
        self.pen.require_open()?;
        if let Some(fault) = delete.fault() {
            return Err(StoreError::Invalid(fault.to_owned()));
        }
        let there = self.document(&delete.project, &delete.kind, &delete.name).await?;
        let Some((id, _)) = there.filter(|(_, number)| *number == delete.expected) else { return Ok(false) };
        let row = Rows::one([Arg::Id(id), delete.expected.arg()]);
        self.wrote(Batch::of_one(&SECTIONS, DELETE, row)).await
    }

    /// Whether it was written: nobody else has changed the document since it was read.
    async fn wrote(&self, batch: Batch) -> Result<bool, StoreError> {
        let mut hand = self.pen.take().await;
        let script = batch.finish(&mut hand.texts, D::WORDS);
        match self.pen.run(&mut hand, script).await {
            Ok(_) => Ok(true),
            Err(WriteError::Refused) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A document's id and the number of its last change.
    async fn document(
        &self,
        project: &str,
        kind: &str,
        name: &str,
    ) -> Result<Option<(Uuid, u64)>, StoreError> {
        let found = documents::Entity::find()
            .filter(documents::Column::Project.eq(project))
            .filter(documents::Column::Kind.eq(kind))
            .filter(documents::Column::Name.eq(name))
            .one(self.db());
        let found = self.read(found).await?;
        found.map(|row| Ok((row.id, rows::number(row.revision)?))).transpose()
    }

    pub(crate) async fn documents(&self, query: DocumentQuery) -> Result<Page<DocumentRow>, StoreError> {
        use documents::Column::{DueAt, Id, Kind, Name, Project};
        self.pen.require_open()?;
        let most = page_size(query.limit);
        let mut select = documents::Entity::find().filter(Kind.eq(query.kind)).limit(limit(most + 1));
        if let Some(project) = query.project {
            select = select.filter(Project.eq(project));
        }
        if let Some(name) = query.name {
            select = select.filter(Name.eq(name));
        }
        select = match (query.due, query.after) {
            (true, _) => select.filter(DueAt.is_not_null()).order_by_asc(DueAt).order_by_asc(Id),
            (false, None) => select.order_by_asc(Project).order_by_asc(Name),
            (false, Some((project, name))) => {
                let later = Condition::all().add(Project.eq(project.clone())).add(Name.gt(name));
                let select = select.filter(Condition::any().add(Project.gt(project)).add(later));
                select.order_by_asc(Project).order_by_asc(Name)
            }
        };
        let Page { items, more } = page(self.read(select.all(self.db())).await?, most, Ok)?;
        let items: Vec<documents::Model> = items;
        let bodies = self.bodies(&items).await?;
        let rows = items.into_iter().map(|document| row(document, &bodies));
        Ok(Page { items: rows.collect::<Result<_, StoreError>>()?, more })
    }

    /// What documents say, by digest.
    async fn bodies(&self, documents: &[documents::Model]) -> Result<HashMap<Vec<u8>, Arc<str>>, StoreError> {
        let mut bodies = HashMap::new();
        for some in documents.chunks(TEXTS) {
            let digests = some.iter().map(|document| document.body_digest.clone());
            let found =
                revisions::Entity::find().filter(revisions::Column::Digest.is_in(digests)).all(self.db());
            bodies.extend(self.read(found).await?.into_iter().map(|row| (row.digest, row.text.into())));
        }
        Ok(bodies)
    }
}

fn change(put: &PutDocument, document: Option<Uuid>) -> Batch {
    let digest = value::Digest::of(put.body.as_bytes()).arg();
    let (next, at) = ((put.expected + 1).arg(), put.at.arg());
    let due = put.due_at.map_or(Arg::Null, IntoArg::arg);
    let text = Rows::one([digest.clone(), put.body.clone().arg(), at.clone()]);
    let mut batch = Batch::of_one(&SECTIONS, KEEP_TEXT, text);
    let (status, state) = (put.status.clone().arg(), put.state.clone().arg());
    match document {
        None => {
            let [project, kind, name] = [&put.project, &put.kind, &put.name].map(|text| text.clone().arg());
            let id = Arg::Id(put.id.as_uuid());
            let row = [id, project, kind, name, status, next, at, digest, due, state];
            batch.add(CREATE, Rows::one(row));
        }
        Some(id) => {
            let row = [Arg::Id(id), put.expected.arg(), next, at, digest, due, state, status];
            batch.add(CHANGE, Rows::one(row));
        }
    }
    batch
}

fn row(document: documents::Model, bodies: &HashMap<Vec<u8>, Arc<str>>) -> Result<DocumentRow, StoreError> {
    let body = bodies.get(&document.body_digest).cloned();
    let lost = || StoreError::Corrupt(format!("the text of {} `{}` is gone", document.kind, document.name));
    let body = body.ok_or_else(lost)?;
    Ok(DocumentRow {
        id: DocumentId::from_uuid(document.id),
        project: document.project.into(),
        kind: document.kind.into(),
        name: document.name.into(),
        number: rows::number(document.revision)?,
        status: document.status.into(),
        due_at: document.due_at.map(Timestamp::from_millis),
        body,
        state: document.state.unwrap_or_default().into(),
        updated_at: Timestamp::from_millis(document.updated_at),
    })
}
