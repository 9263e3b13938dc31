use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutMode, PutPayload};

use super::*;

fn options(endpoint: &str) -> StoreOptions {
    StoreOptions {
        endpoint: Some(endpoint.to_string()),
        region: Some("eu-north-1".to_string()),
        access_key_id: Some("key".to_string()),
        secret_access_key: Some("very secret".to_string()),
        ..StoreOptions::default()
    }
}

#[tokio::test]
async fn a_folder_is_created_and_keeps_what_is_put() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    let url = format!("file://{}", folder.display());
    let key = Path::from("data/0a1/x");
    let store = open(&url, &StoreOptions::default()).unwrap();
    store
        .put(&key, PutPayload::from_static(b"kept"))
        .await
        .unwrap();
    assert!(folder.join("data/0a1/x").is_file());

    let again = open(folder.to_str().unwrap(), &StoreOptions::default()).unwrap();
    assert_eq!(
        again
            .get(&key)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .as_ref(),
        b"kept"
    );
    let created = again
        .put_opts(&key, "other".into(), PutMode::Create.into())
        .await;
    assert!(
        matches!(created, Err(object_store::Error::AlreadyExists { .. })),
        "{created:?}"
    );
}

#[test]
fn a_file_in_place_of_the_folder_is_named_in_the_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let url = file.path().to_str().unwrap();
    let error = open(url, &StoreOptions::default()).unwrap_err().to_string();
    assert!(error.contains(url), "{error}");
}

#[test]
fn what_only_s3_takes_is_refused_elsewhere_and_what_azure_lacks_is_named() {
    for url in ["gs://events/prod", "az://events/prod"] {
        let refused = open(url, &options("http://127.0.0.1:9000")).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("for s3:// only"), "{url}: {refused}");
    }
    if std::env::var_os("AZURE_STORAGE_ACCOUNT_NAME").is_none() {
        let refused = open("az://events", &StoreOptions::default()).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("AZURE_STORAGE_ACCOUNT_NAME"), "{refused}");
    }
}

#[tokio::test]
async fn clients_of_a_memory_store_see_each_other() {
    let stores = open_clients("memory://", &StoreOptions::default(), 2).unwrap();
    stores[0].put(&Path::from("x"), "1".into()).await.unwrap();
    assert_eq!(stores[1].head(&Path::from("x")).await.unwrap().size, 1);
}

#[test]
fn an_s3_store_opens_without_a_network() {
    let store = open("s3://events", &options("http://127.0.0.1:9000")).unwrap();
    assert_eq!(store.to_string(), "AmazonS3(events)");
    let prefixed = open("s3://events/prod", &options("https://s3.example.com")).unwrap();
    assert!(prefixed.to_string().contains("prod"), "{prefixed}");
}

#[test]
fn plain_http_to_another_machine_must_be_permitted() {
    let mut options = options("http://s3.example.com:9000");
    let error = open("s3://events", &options).unwrap_err().to_string();
    assert!(error.contains("plain HTTP"), "{error}");
    options.allow_http = true;
    open("s3://events", &options).unwrap();
}

#[test]
fn a_bad_endpoint_is_refused_with_what_to_write() {
    for endpoint in [
        "127.0.0.1:9000",
        "s3.example.com",
        "ftp://s3.example.com",
        "http://",
    ] {
        let error = open("s3://events", &options(endpoint))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(endpoint) && error.contains("https://host"),
            "{error}"
        );
    }
}

#[test]
fn a_virtual_hosted_endpoint_gets_the_bucket_in_front() {
    let endpoint = |text| Endpoint::parse(text, true).unwrap().with("events");
    assert_eq!(
        endpoint("https://s3.example.com"),
        "https://events.s3.example.com"
    );
    assert_eq!(
        endpoint("http://localhost:9000/"),
        "http://events.localhost:9000"
    );
    assert_eq!(
        endpoint("https://events.s3.example.com"),
        "https://events.s3.example.com"
    );
}

#[test]
fn the_secret_is_not_shown() {
    assert!(!format!("{:?}", options("http://127.0.0.1:9000")).contains("very secret"));
}
