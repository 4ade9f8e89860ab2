//! What a cloud team would write: axum with prometheus-client, a counter and a
//! histogram for each request. ADDRESS is given as the only argument.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::Router;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    method: String,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<EndpointLabels, Histogram>,
    registry: Registry,
}

/// The buckets of client_golang and of prometheus_client.
fn histogram() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ])
}

async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().to_string();
    let response = next.run(request).await;
    let endpoint = "root";
    let code = response.status().as_u16();
    metrics
        .requests
        .get_or_create(&RequestLabels {
            endpoint,
            method,
            code,
        })
        .inc();
    metrics
        .duration
        .get_or_create(&EndpointLabels { endpoint })
        .observe(start.elapsed().as_secs_f64());
    response
}

async fn root() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        r#"{"msg": "Hello World"}"#,
    )
}

async fn show(State(metrics): State<Arc<Metrics>>) -> String {
    let mut text = String::new();
    encode(&mut text, &metrics.registry).expect("a String takes all text");
    text
}

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).expect("usage: axum-peer ADDRESS");
    let requests = Family::<RequestLabels, Counter>::default();
    let duration = Family::<EndpointLabels, Histogram>::new_with_constructor(histogram);
    let mut registry = Registry::default();
    registry.register("http_requests", "Requests answered", requests.clone());
    registry.register(
        "http_request_duration_seconds",
        "Time to answer",
        duration.clone(),
    );
    let metrics = Arc::new(Metrics {
        requests,
        duration,
        registry,
    });
    let app = Router::new()
        .route("/", get(root))
        .route_layer(middleware::from_fn_with_state(metrics.clone(), count))
        .route("/metrics", get(show))
        .with_state(metrics);
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .expect("cannot listen");
    axum::serve(listener, app).await.expect("cannot serve");
}
