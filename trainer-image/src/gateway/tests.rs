use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
};

use protocol::types::B256;
use sha2::{Digest, Sha256};

use super::*;

const BYTES: &[u8] = b"a model";

fn name(bytes: &[u8]) -> ModelHash {
    ModelHash(B256::from(<[u8; 32]>::from(Sha256::digest(bytes))))
}

/// Answers one request per entry of `answers` and hands the requests back.
fn server(answers: Vec<&'static str>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0u8; 4096];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                let n = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..n]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            sender.send(String::from_utf8_lossy(&request).into_owned()).unwrap();
        }
    });
    (address, receiver)
}

fn client(address: &str) -> http::Http {
    http::Http::new(address, Some("secret"), None).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\na model";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const EXPIRED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 53\r\nConnection: close\r\n\r\n\
                       {\"error\":\"TokenExpired\",\"message\":\"it ended at noon\"}";
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_model_is_fetched_with_the_token_and_kept_only_if_it_hashes_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let (address, requests) = server(vec![OK, OK]);
    client(&address).fetch(name(BYTES), &path, 100, PATIENCE).unwrap();
    assert_eq!(fs::read(&path).unwrap(), BYTES);
    let request = requests.recv_timeout(PATIENCE).unwrap();
    assert!(
        request.starts_with(&format!("GET /v1/models/{} ", name(BYTES))),
        "{request}"
    );
    assert!(
        request.to_lowercase().contains("authorization: bearer secret"),
        "{request}"
    );

    let error = client(&address)
        .fetch(name(b"other"), &path, 100, PATIENCE)
        .unwrap_err();
    assert!(matches!(error, GatewayError::WrongBytes { .. }), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_model_above_the_limit_is_not_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _requests) = server(vec![OK]);
    let error = client(&address)
        .fetch(name(BYTES), &folder.path().join("model"), 6, PATIENCE)
        .unwrap_err();
    assert_eq!(error.category(), "too-large");
    assert!(!error.retryable());
}

#[test]
fn an_unavailable_gateway_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let (address, _requests) = server(vec![BUSY, NOT_FOUND, OK]);
    let gateway = client(&address);
    let until = SystemTime::now() + PATIENCE;
    retry(until, "model", || gateway.fetch(name(BYTES), &path, 100, PATIENCE)).unwrap();
    assert!(path.exists());
}

#[test]
fn a_refusal_is_final_and_carries_the_gateways_words() {
    let (address, requests) = server(vec![EXPIRED]);
    let gateway = client(&address);
    let error = retry(SystemTime::now() + PATIENCE, "result", || gateway.put_result("{}")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the gateway refuses this job (401): TokenExpired: it ended at noon"
    );
    assert!(requests.recv_timeout(PATIENCE).unwrap().starts_with("PUT /v1/results "));
}

#[test]
fn a_refused_upload_is_understood_before_the_bytes_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    fs::write(&path, vec![0u8; 8 << 20]).unwrap();
    let (address, requests) = server(vec![EXPIRED]);
    let error = client(&address).put_model(name(BYTES), &path).unwrap_err();
    assert_eq!(error.category(), "refused", "{error}");
    let request = requests.recv_timeout(PATIENCE).unwrap().to_lowercase();
    assert!(request.contains("content-length: 8388608"), "{request}");
}

#[test]
fn what_an_earlier_pod_handed_in_is_known() {
    let (address, requests) = server(vec![
        "HTTP/1.1 200 OK\r\nContent-Length: 28\r\nConnection: close\r\n\r\n{\"model\":null,\"result\":\"{}\"}",
    ]);
    let earlier = client(&address).earlier().unwrap();
    assert_eq!((earlier.model, earlier.result.as_deref()), (None, Some("{}")));
    assert!(requests.recv_timeout(PATIENCE).unwrap().starts_with("GET /v1/job "));
}

#[test]
fn when_time_is_up_there_is_still_one_try() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let (address, _requests) = server(vec![OK]);
    let gateway = client(&address);
    retry(SystemTime::UNIX_EPOCH, "model", || {
        gateway.fetch(name(BYTES), &path, 100, PATIENCE)
    })
    .unwrap();

    let nobody = client("http://127.0.0.1:1");
    let error = retry(SystemTime::UNIX_EPOCH, "model", || nobody.ready()).unwrap_err();
    assert_eq!(error.category(), "network");
}

#[test]
fn a_folder_serves_and_takes_models_and_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = directory::Directory::new(folder.path().to_owned());
    gateway.ready().unwrap();
    let path = folder.path().join("mine");
    assert_eq!(
        gateway.fetch(name(BYTES), &path, 100, PATIENCE).unwrap_err().category(),
        "not-found"
    );
    fs::write(&path, BYTES).unwrap();
    gateway.put_model(name(BYTES), &path).unwrap();
    let copy = folder.path().join("copy");
    gateway.fetch(name(BYTES), &copy, 100, PATIENCE).unwrap();
    assert_eq!(fs::read(copy).unwrap(), BYTES);
    gateway.put_result("{}").unwrap();
    assert_eq!(
        fs::read_to_string(folder.path().join(directory::RESULT_FILE)).unwrap(),
        "{}\n"
    );
}
