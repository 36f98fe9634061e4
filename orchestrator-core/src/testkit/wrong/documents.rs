//! What wrong stores make of registered workflows and of other documents.

use std::sync::atomic::Ordering;

use super::list::Wrong::*;
use super::store::Spoiled;
use crate::port::store::{
    DeleteDocument, DocumentQuery, DocumentRow, NewRevision, Page, Put, PutDocument, Registered, Store,
    StoreError,
};
use crate::value::Digest;

impl Spoiled {
    pub(super) async fn spoiled_registration(&self, mut new: NewRevision) -> Result<Registered, StoreError> {
        match self.wrong {
            RegistersTheSameAgain => {
                let same = self.right.register_workflow(new.clone()).await?;
                let Registered::Same(number) = same else { return Ok(same) };
                new.revision = Digest::of(number.to_string().as_bytes());
            }
            IgnoresWhatIsExpected => new.expected = None,
            MixesProjects => new.project = "default".into(),
            TakesAnyName if new.fault().is_some() => return Ok(Registered::New(1)),
            GivesNumbersTwice => {
                let answer = self.right.register_workflow(new).await?;
                return Ok(match answer {
                    Registered::New(number) => Registered::New(number.min(5)),
                    other => other,
                });
            }
            _ => {}
        }
        self.right.register_workflow(new).await
    }

    /// The number of the last change of a document; 0 if there is none.
    async fn number_of(&self, kind: &str, project: &str, name: &str) -> Result<u64, StoreError> {
        let query = DocumentQuery {
            kind: kind.to_owned(),
            project: Some(project.to_owned()),
            name: Some(name.to_owned()),
            ..DocumentQuery::default()
        };
        Ok(self.right.documents(query).await?.items.first().map_or(0, |row| row.number))
    }

    pub(super) async fn spoiled_put(&self, mut put: PutDocument) -> Result<Put, StoreError> {
        match self.wrong {
            ChangesWhateverIsThere => {
                put.expected = self.number_of(&put.kind, &put.project, &put.name).await?;
            }
            LetsTwoChangeADocument => {
                if self.number_of(&put.kind, &put.project, &put.name).await? != put.expected {
                    return self.right.put_document(put).await;
                }
                // Who asks meanwhile sees what this one has seen.
                tokio::task::yield_now().await;
                put.expected = self.number_of(&put.kind, &put.project, &put.name).await?;
            }
            MixesKinds => put.kind = "kind".into(),
            LosesTheState => put.state = "".into(),
            TakesAnyDocument if put.fault().is_some() => return Ok(Put::Written(1)),
            _ => {}
        }
        self.right.put_document(put).await
    }

    pub(super) async fn spoiled_documents(
        &self,
        mut query: DocumentQuery,
    ) -> Result<Page<DocumentRow>, StoreError> {
        match self.wrong {
            ListsAllAsDue => query.due = false,
            MixesKinds => query.kind = "kind".to_owned(),
            _ => {}
        }
        let is_due = query.due;
        let mut page = self.right.documents(query).await?;
        match self.wrong {
            ListsDocumentsBackwards => page.items.reverse(),
            ListsTheLatestAsDueFirst if is_due => page.items.reverse(),
            PrunesTextsOfDocuments if self.world.once.load(Ordering::Relaxed) => {
                page.items.iter_mut().for_each(|row| row.body = "".into());
            }
            _ => {}
        }
        Ok(page)
    }

    pub(super) async fn spoiled_delete(&self, mut delete: DeleteDocument) -> Result<bool, StoreError> {
        match self.wrong {
            DeletesNothing => return Ok(true),
            DeletesWhateverIsThere => {
                delete.expected = self.number_of(&delete.kind, &delete.project, &delete.name).await?;
            }
            _ => {}
        }
        self.right.delete_document(delete).await
    }
}
