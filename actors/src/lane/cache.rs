//! The chunks since the last key frame, so that a viewer has a picture at once.

use bytes::Bytes;

use crate::hub::Settings;

/// Bounded as the source's own frames are: a camera that never sends another key frame must not fill memory once more for each
/// format. Beyond the bound nothing is kept until the next key frame; new viewers wait for that, and the others go on.
#[derive(Debug)]
pub(super) struct Cache {
    max_bytes: usize,
    max_chunks: usize,
    /// What goes before the key frame for a new viewer, e.g. FLV header, metadata and sequence headers.
    head: Bytes,
    /// Headers that go with the key frame are in the head only.
    chunks: Vec<Bytes>,
    bytes: usize,
    open: bool,
}

impl Cache {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            max_bytes: settings.max_gop_bytes,
            max_chunks: settings.max_gop_frames,
            head: Bytes::new(),
            chunks: Vec::new(),
            bytes: 0,
            open: false,
        }
    }

    /// Keeps nothing until the next key frame.
    pub(super) fn clear(&mut self) {
        self.head = Bytes::new();
        self.chunks.clear();
        self.bytes = 0;
        self.open = false;
    }

    /// A key frame comes next.
    pub(super) fn begin(&mut self, head: Bytes) {
        self.clear();
        self.head = head;
        self.open = true;
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        if !self.open {
            return;
        }
        if self.bytes + chunk.len() > self.max_bytes || self.chunks.len() >= self.max_chunks {
            self.clear();
            self.chunks.shrink_to(0);
            return;
        }
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    pub(super) fn head(&self) -> &Bytes {
        &self.head
    }

    /// What a new viewer gets; nothing if there is no key frame.
    pub(super) fn parts(&self) -> Vec<Bytes> {
        if self.chunks.is_empty() {
            return Vec::new();
        }
        std::iter::once(&self.head).filter(|head| !head.is_empty()).chain(&self.chunks).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_gop_is_given_up() {
        for (max_gop_bytes, max_gop_frames) in [(1_000, 100_000), (1 << 30, 10)] {
            let mut cache = Cache::new(&Settings { max_gop_bytes, max_gop_frames, ..Settings::default() });
            cache.push(Bytes::from_static(&[0; 100]));
            assert!(cache.parts().is_empty(), "nothing before a key frame");
            for _ in 0..2 {
                cache.begin(Bytes::from_static(b"head"));
                for n in 1..=10 {
                    cache.push(Bytes::from_static(&[0; 100]));
                    assert_eq!(cache.parts().len(), n + 1);
                }
                for _ in 0..1000 {
                    cache.push(Bytes::from_static(&[0; 100]));
                    assert!(cache.parts().is_empty() && cache.chunks.capacity() == 0);
                }
            }
        }
    }
}
