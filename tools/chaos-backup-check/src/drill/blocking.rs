//! Work that takes time, on a thread of its own.

/// Does on a thread of its own what takes time: a signal must get through, and needs not wait for
/// it.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || send.send(work()).ok());
    done.await
        .expect("the thread ends with its result, or has panicked")
}
