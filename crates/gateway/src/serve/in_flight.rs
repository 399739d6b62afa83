//! Counts the requests in flight on a connection. A request is in flight until its response body has ended, so a
//! connection with an open event stream is not idle.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// The number of requests in flight on one connection.
#[derive(Clone, Default)]
pub(super) struct InFlightRequests(Arc<watch::Sender<usize>>);

/// Counts one request as in flight until it is dropped.
struct RequestGuard(InFlightRequests);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

impl InFlightRequests {
    fn enter(&self) -> RequestGuard {
        self.0.send_modify(|count| *count += 1);
        RequestGuard(self.clone())
    }

    /// Calls the router. The request counts as in flight until the response body ends or is dropped.
    pub(super) fn call(
        &self,
        router: Router,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let guard = self.enter();
        async move {
            let response = router.oneshot(request).await?;
            Ok(response.map(|body| Body::new(GuardedBody { body, _guard: guard })))
        }
    }

    /// Waits until no request has been in flight for an uninterrupted `timeout`.
    pub(super) async fn idle_for(&self, timeout: Duration) {
        let mut count = self.0.subscribe();
        while count.wait_for(|count| *count == 0).await.is_ok() {
            tokio::select! {
                () = tokio::time::sleep(timeout) => return,
                _ = count.changed() => {}
            }
        }
    }
}

/// A response body that keeps its request counted as in flight until it is dropped.
struct GuardedBody {
    body: Body,
    _guard: RequestGuard,
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_request_restarts_the_idle_timeout() {
        let in_flight = InFlightRequests::default();
        let started = tokio::time::Instant::now();
        let requests = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            let guard = in_flight.enter();
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(guard);
            drop(in_flight.enter());
        };
        tokio::join!(in_flight.idle_for(Duration::from_secs(10)), requests);
        assert_eq!(started.elapsed().as_secs(), 78);
    }
}
