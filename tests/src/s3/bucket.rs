//! The objects of the in-memory S3 server, and the S3 operations on them.
//!
//! Every operation takes the one lock once: a conditional put is atomic, a listing is a snapshot.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use s3s::dto::*;
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};

use super::BUCKET;

const KEYS_MAX: usize = 1000;

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    version: u64,
    modified: SystemTime,
}

impl Stored {
    fn e_tag(&self) -> ETag {
        ETag::Strong(format!("{:032x}", self.version))
    }

    fn size(&self) -> i64 {
        i64::try_from(self.bytes.len()).unwrap_or(i64::MAX)
    }
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Stored>,
    uploads: BTreeMap<String, BTreeMap<i32, Bytes>>,
    version: u64,
}

/// What the server stores. Tests may look into it and tamper with it.
#[derive(Default)]
pub struct Bucket(Mutex<Inner>);

impl Bucket {
    /// The keys that begin with `prefix`, in order.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let inner = self.0.lock();
        inner
            .objects
            .keys()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// The bytes of one object.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.0
            .lock()
            .objects
            .get(key)
            .map(|stored| stored.bytes.clone())
    }

    /// Stores bytes behind everyone's back: corruption, for example.
    pub fn put(&self, key: &str, bytes: Bytes) {
        self.store(key, bytes, None, None)
            .expect("an unconditional put is not refused");
    }

    /// Removes an object behind everyone's back. Returns whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.0.lock().objects.remove(key).is_some()
    }

    /// Number of objects and sum of their sizes.
    pub fn size(&self) -> (usize, usize) {
        let inner = self.0.lock();
        (
            inner.objects.len(),
            inner
                .objects
                .values()
                .map(|stored| stored.bytes.len())
                .sum(),
        )
    }

    fn store(
        &self,
        key: &str,
        bytes: Bytes,
        if_none_match: Option<&ETagCondition>,
        if_match: Option<&ETagCondition>,
    ) -> S3Result<ETag> {
        let mut inner = self.0.lock();
        let there = inner.objects.get(key);
        if let Some(condition) = if_none_match
            && there.is_some_and(|stored| holds(condition, stored))
        {
            return Err(s3_error!(PreconditionFailed, "it exists"));
        }
        if let Some(condition) = if_match {
            let stored = there.ok_or_else(|| s3_error!(NoSuchKey))?;
            if !holds(condition, stored) {
                return Err(s3_error!(PreconditionFailed, "it has changed"));
            }
        }
        inner.version += 1;
        let stored = Stored {
            bytes,
            version: inner.version,
            modified: now(),
        };
        let e_tag = stored.e_tag();
        inner.objects.insert(key.to_owned(), stored);
        Ok(e_tag)
    }

    fn find(&self, bucket: &str, key: &str) -> S3Result<Stored> {
        check(bucket)?;
        self.0
            .lock()
            .objects
            .get(key)
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchKey))
    }

    fn list(&self, input: &ListObjectsV2Input) -> ListObjectsV2Output {
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|text| !text.is_empty());
        let after = input
            .continuation_token
            .as_deref()
            .or(input.start_after.as_deref());
        let keys_max = input.max_keys.and_then(|max| usize::try_from(max).ok());
        let keys_max = keys_max.unwrap_or(KEYS_MAX).min(KEYS_MAX);
        let inner = self.0.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut contents = Vec::new();
        let mut folders: Vec<String> = Vec::new();
        let mut last = None;
        let mut truncated = false;
        for (key, stored) in inner.objects.range::<str, _>((from, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(prefix) else {
                break;
            };
            let folder = delimiter
                .and_then(|delimiter| rest.find(delimiter).map(|at| at + delimiter.len()))
                .map(|length| &key[..prefix.len() + length]);
            let known = folder.is_some() && folder == folders.last().map(String::as_str);
            // A continuation token may lie within a folder that the page before has named.
            let named = folder.is_some_and(|folder| after.is_some_and(|a| a.starts_with(folder)));
            if !known && !named && contents.len() + folders.len() == keys_max {
                truncated = true;
                break;
            }
            last = Some(key.clone());
            match folder {
                Some(_) if known || named => {}
                Some(folder) => folders.push(folder.to_owned()),
                None => contents.push(listed(key, stored)),
            }
        }
        let count = contents.len() + folders.len();
        let folders = folders.into_iter().map(|prefix| CommonPrefix {
            prefix: Some(prefix),
        });
        ListObjectsV2Output {
            name: Some(input.bucket.clone()),
            prefix: Some(prefix.to_owned()),
            delimiter: input.delimiter.clone(),
            max_keys: Some(i32::try_from(keys_max).unwrap_or(i32::MAX)),
            key_count: Some(i32::try_from(count).unwrap_or(i32::MAX)),
            is_truncated: Some(truncated),
            next_continuation_token: last.filter(|_| truncated),
            contents: Some(contents),
            common_prefixes: Some(folders.collect()),
            ..Default::default()
        }
    }
}

fn listed(key: &str, stored: &Stored) -> Object {
    Object {
        key: Some(key.to_owned()),
        size: Some(stored.size()),
        e_tag: Some(stored.e_tag()),
        last_modified: Some(stored.modified.into()),
        ..Default::default()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the server stands outside of what is tested"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn holds(condition: &ETagCondition, stored: &Stored) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(e_tag) => e_tag.strong_cmp(&stored.e_tag()),
    }
}

fn check(bucket: &str) -> S3Result<()> {
    if bucket == BUCKET {
        Ok(())
    } else {
        Err(s3_error!(NoSuchBucket))
    }
}

async fn read(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else {
        return Ok(Bytes::new());
    };
    let body = Body::from(body).collect().await;
    Ok(body
        .map_err(|error| s3_error!(IncompleteBody, "{error}"))?
        .to_bytes())
}

/// The S3 operations on a [`Bucket`].
#[derive(Clone)]
pub(super) struct Api(pub(super) Arc<Bucket>);

#[async_trait::async_trait]
impl S3 for Api {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        check(&input.bucket)?;
        let bytes = read(input.body).await?;
        let (none, matching) = (input.if_none_match.as_ref(), input.if_match.as_ref());
        let e_tag = self.0.store(&input.key, bytes, none, matching)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(e_tag),
            ..Default::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let stored = self.0.find(&input.bucket, &input.key)?;
        if input
            .if_match
            .as_ref()
            .is_some_and(|condition| !holds(condition, &stored))
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let size = stored.bytes.len() as u64;
        let mut content_range = None;
        let mut bytes = stored.bytes.clone();
        if let Some(range) = input.range {
            let range = range.check(size).map_err(|_| s3_error!(InvalidRange))?;
            content_range = Some(format!("bytes {}-{}/{size}", range.start, range.end - 1));
            bytes = bytes.slice(range.start as usize..range.end as usize);
        }
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(bytes.len()).ok(),
            content_range,
            body: Some(StreamingBlob::from(Body::from(bytes))),
            e_tag: Some(stored.e_tag()),
            last_modified: Some(stored.modified.into()),
            accept_ranges: Some("bytes".to_owned()),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let stored = self.0.find(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(stored.size()),
            e_tag: Some(stored.e_tag()),
            last_modified: Some(stored.modified.into()),
            accept_ranges: Some("bytes".to_owned()),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        check(&request.input.bucket)?;
        Ok(S3Response::new(self.0.list(&request.input)))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        check(&request.input.bucket)?;
        self.0.remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        check(&request.input.bucket)?;
        let keys = request
            .input
            .delete
            .objects
            .into_iter()
            .map(|object| object.key);
        let deleted = keys.map(|key| {
            self.0.remove(&key);
            DeletedObject {
                key: Some(key),
                ..Default::default()
            }
        });
        let deleted = Some(deleted.collect());
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted,
            ..Default::default()
        }))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        check(&input.bucket)?;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let source = self.0.find(bucket, key)?;
        let e_tag = Some(self.0.store(&input.key, source.bytes, None, None)?);
        let result = CopyObjectResult {
            e_tag,
            ..Default::default()
        };
        let output = CopyObjectOutput {
            copy_object_result: Some(result),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        check(&request.input.bucket)?;
        let mut inner = self.0.0.lock();
        inner.version += 1;
        let upload_id = format!("upload-{}", inner.version);
        inner.uploads.insert(upload_id.clone(), BTreeMap::new());
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(request.input.bucket),
            key: Some(request.input.key),
            upload_id: Some(upload_id),
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let bytes = read(input.body).await?;
        let mut inner = self.0.0.lock();
        let parts = inner.uploads.get_mut(&input.upload_id);
        parts
            .ok_or_else(|| s3_error!(NoSuchUpload))?
            .insert(input.part_number, bytes);
        let e_tag = Some(ETag::Strong(format!("part-{}", input.part_number)));
        Ok(S3Response::new(UploadPartOutput {
            e_tag,
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let parts = self.0.0.lock().uploads.get(&input.upload_id).cloned();
        let parts = parts.ok_or_else(|| s3_error!(NoSuchUpload))?;
        let mut whole = BytesMut::new();
        for part in input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default()
        {
            let bytes = part.part_number.and_then(|number| parts.get(&number));
            whole.extend_from_slice(bytes.ok_or_else(|| s3_error!(InvalidPart))?);
        }
        let (none, matching) = (input.if_none_match.as_ref(), input.if_match.as_ref());
        let e_tag = self.0.store(&input.key, whole.freeze(), none, matching)?;
        self.0.0.lock().uploads.remove(&input.upload_id);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(e_tag),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.0.0.lock().uploads.remove(&request.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
