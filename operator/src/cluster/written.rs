//! Reading one's own writes: a watch tells of them a moment later, and who compares with what it showed before would not
//! write again what has changed back meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kube::ResourceExt;

use super::Key;

/// Objects as the API server answered our last write of them, until the watch shows as much.
#[derive(Debug)]
pub(super) struct Written<K>(Mutex<HashMap<Key, Arc<K>>>);

impl<K> Default for Written<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: ResourceExt> Written<K> {
    pub(super) fn put(&self, key: &Key, object: K) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), Arc::new(object));
    }

    /// Of an object that we delete.
    pub(super) fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// What the watch shows, or what we wrote after that.
    pub(super) fn newest(&self, key: &Key, watched: Option<Arc<K>>) -> Option<Arc<K>> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = match (&watched, written.get(key)) {
            (Some(watched), Some(ours)) => version(watched.as_ref()) < version(ours.as_ref()),
            _ => false,
        };
        if behind {
            written.get(key).cloned()
        } else {
            written.remove(key);
            watched
        }
    }
}

/// Versions of one object are numbers that grow. One that is none counts as the oldest: the watch is believed then.
fn version<K: ResourceExt>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;

    fn at(version: &str) -> Secret {
        Secret {
            metadata: ObjectMeta {
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            ..Secret::default()
        }
    }

    #[test]
    fn our_own_write_counts_until_the_watch_shows_it() {
        let (written, key) = (Written::default(), Key::new("team", "alpha"));
        let newest = |watched: Option<&str>| {
            let object = written.newest(&key, watched.map(|v| Arc::new(at(v))));
            object.and_then(|o: Arc<Secret>| o.resource_version())
        };
        assert_eq!(newest(Some("5")).as_deref(), Some("5"));
        written.put(&key, at("10"));
        assert_eq!(newest(Some("9")).as_deref(), Some("10"));
        assert_eq!(newest(Some("10")).as_deref(), Some("10"));
        assert_eq!(newest(Some("9")).as_deref(), Some("9"), "forgotten once it was seen");
        written.put(&key, at("12"));
        assert_eq!(newest(None), None, "deleted");
        written.put(&key, at("14"));
        written.forget(&key);
        assert_eq!(newest(Some("13")).as_deref(), Some("13"), "deleted by us");
        written.put(&key, at("?"));
        assert_eq!(newest(Some("1")).as_deref(), Some("1"));
    }
}
