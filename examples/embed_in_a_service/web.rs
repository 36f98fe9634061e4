//! What the shop says over HTTP.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::shop::{Failure, NewOrder, Shop};

pub(crate) fn routes(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/orders", get(all).post(order))
        .route("/orders/{id}", get(one))
        .route("/courier", post(courier))
        .with_state(shop)
}

type Answer = Result<(StatusCode, Json<Value>), (StatusCode, Json<Value>)>;

async fn order(State(shop): State<Arc<Shop>>, Json(order): Json<NewOrder>) -> Answer {
    let (id, run) = shop.order(&order).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "run": run.to_string() }))))
}

async fn all(State(shop): State<Arc<Shop>>) -> Answer {
    let orders = shop.orders().await.map_err(refused)?;
    Ok((StatusCode::OK, Json(json!({ "orders": orders }))))
}

async fn one(State(shop): State<Arc<Shop>>, Path(id): Path<i64>) -> Answer {
    match shop.find(id).await.map_err(refused)? {
        Some(order) => Ok((StatusCode::OK, Json(order))),
        None => Err((StatusCode::NOT_FOUND, Json(json!({ "error": format!("there is no order {id}") })))),
    }
}

async fn courier(State(shop): State<Arc<Shop>>) -> StatusCode {
    shop.courier.notify_one();
    StatusCode::NO_CONTENT
}

fn refused(failure: Failure) -> (StatusCode, Json<Value>) {
    let (status, why) = match failure {
        Failure::Refused(why) => (StatusCode::CONFLICT, why),
        Failure::Broken(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    (status, Json(json!({ "error": why })))
}
