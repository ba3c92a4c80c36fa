//! The two read-only layers of a root: what the host provides (base) and what the run is about (application).

use crate::cache::{Cache, Key, Record};
use crate::closure::Resolver;
use crate::failure::Failure;
use crate::jdk::Jdk;
use crate::progress::Task;
use crate::tree::Tree;
use crate::{mkfs, system};
use std::path::PathBuf;

mod application;
pub use application::{Application, Target};

/// An EROFS image and what the manifest must say about it.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The image.
    pub image: PathBuf,
    /// What the guest shows at a second place.
    pub binds: Vec<wire::Bind>,
    /// Lines for the user, each about something that did not come along.
    pub warnings: Vec<String>,
    /// Whether it was built just now.
    pub is_new: bool,
}

/// The layer with a JDK (none: only the C library and what goes with it).
pub fn base(cache: &Cache, jdk: Option<&Jdk>) -> Result<Layer, Failure> {
    let locales = locales();
    let mut key = Key::new("base");
    for name in &locales {
        key = key.with(name);
    }
    if let Some(jdk) = jdk {
        key = key.with_path(jdk.home());
    }
    let what = match jdk {
        Some(jdk) => format!("building the layer with the JDK {}", jdk.home().display()),
        None => "building the layer with the C library".to_string(),
    };
    build(cache, format!("base-{}.erofs", key.finish()), &what, || {
        base_tree(jdk, &locales).map(|tree| (tree, Vec::new()))
    })
}

/// What [`base`] contains.
pub fn base_tree(jdk: Option<&Jdk>, locales: &[String]) -> Result<Tree, Failure> {
    let resolver = Resolver::new("");
    let mut tree = Tree::new();
    system::add_base(&mut tree, &resolver, locales)?;
    if let Some(jdk) = jdk {
        jdk.add_to(&mut tree, &resolver)?;
    }
    Ok(tree)
}

/// The layer with jar, classes or executable, the working directory, additions and /etc.
pub fn application(cache: &Cache, application: &Application) -> Result<Layer, Failure> {
    let name = format!("app-{}.erofs", application.key().finish());
    build(cache, name, "building the layer with the application", || application.tree())
}

/// A layer with any content; `name` decides which older one it replaces.
pub fn custom(cache: &Cache, name: &str, tree: impl FnOnce() -> Result<Tree, Failure>) -> Result<Layer, Failure> {
    let key = Key::new("custom").with(name).finish();
    build(cache, format!("custom-{key}.erofs"), &format!("building the layer {name}"), || {
        tree().map(|tree| (tree, Vec::new()))
    })
}

fn build(
    cache: &Cache,
    name: String,
    what: &str,
    plan: impl FnOnce() -> Result<(Tree, Vec<String>), Failure>,
) -> Result<Layer, Failure> {
    let mut is_new = false;
    let (image, record) = cache.entry(&name, |image| {
        is_new = true;
        let _task = Task::start(what);
        let (tree, warnings) = plan()?;
        let mut notes: Vec<String> = tree.binds().iter().map(note_of).collect();
        notes.extend(warnings.into_iter().map(|text| format!("warn {text}")));
        let record = Record::of(tree.inputs(), notes);
        mkfs::write(&tree, image)?;
        Ok(record)
    })?;
    let of = |prefix: &'static str| record.notes.iter().filter_map(move |note| note.strip_prefix(prefix));
    Ok(Layer {
        image,
        binds: of("bind ").filter_map(bind_of).collect(),
        warnings: of("warn ").map(String::from).collect(),
        is_new,
    })
}

fn note_of(bind: &wire::Bind) -> String {
    let mut text = "bind ".to_string();
    wire::escape::word(&mut text, &bind.from);
    text.push(' ');
    wire::escape::word(&mut text, &bind.to);
    text
}

fn bind_of(note: &str) -> Option<wire::Bind> {
    let (from, to) = note.split_once(' ')?;
    Some(wire::Bind { from: wire::escape::decode(from).ok()?, to: wire::escape::decode(to).ok()? })
}

/// The names in LANG and LC_*.
pub fn locales() -> Vec<String> {
    let is_locale = |name: &std::ffi::OsStr| name == "LANG" || name.as_encoded_bytes().starts_with(b"LC_");
    let mut names: Vec<String> = std::env::vars_os()
        .filter(|(name, _)| is_locale(name))
        .filter_map(|(_, value)| value.into_string().ok())
        .collect();
    names.retain(|name| !name.is_empty() && !name.contains('/'));
    names.sort();
    names.dedup();
    names
}
