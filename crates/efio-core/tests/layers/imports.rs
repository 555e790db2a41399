//! The imports of a crate, read from its sources.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::path::{Component, Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Ident, Item, ItemMod, ItemUse, Lit, Macro, Meta, UseTree, Visibility};

/// What a file imports of another one.
#[derive(Clone, Debug)]
pub struct Import {
    pub from: Place,
    pub to: Place,
    line: usize,
    path: String,
}

/// A module, and the file that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub file: String,
    /// The names from the root down; none for the root.
    pub module: Vec<String>,
}

impl Display for Import {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Import {
            from,
            to,
            line,
            path,
        } = self;
        write!(f, "{}:{line}: {path} of {}", from.file, to.file)
    }
}

/// The imports of the crate whose root is `root`, one for each pair of modules; `read` has the
/// texts.
pub fn imports(root: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<Import> {
    let mut tree = Tree {
        modules: Vec::new(),
    };
    Reader {
        tree: &mut tree,
        read,
        at: 0,
        dir: PathBuf::new(),
    }
    .file(Path::new(root), Vec::new(), true);
    tree.imports()
}

/// A `use` of one name, or of all names of a module.
struct Use {
    name: Option<String>,
    path: Vec<String>,
    is_public: bool,
    line: usize,
}

struct Module {
    place: Place,
    parent: Option<usize>,
    children: Vec<(String, usize)>,
    items: HashSet<String>,
    uses: Vec<Use>,
    /// The paths in its code, with their lines.
    paths: Vec<(Vec<String>, usize)>,
}

struct Tree {
    modules: Vec<Module>,
}

impl Tree {
    fn imports(&self) -> Vec<Import> {
        let mut all: HashMap<(usize, usize), Import> = HashMap::new();
        for (at, module) in self.modules.iter().enumerate() {
            let mut add = |path: &[String], line, to: usize| {
                let import = Import {
                    from: module.place.clone(),
                    to: self.modules[to].place.clone(),
                    line,
                    path: path.join("::"),
                };
                if import.from.file != import.to.file {
                    all.entry((at, to)).or_insert(import);
                }
            };
            for import in &module.uses {
                for to in self.definers(at, &import.path) {
                    let is_below = self.modules[to]
                        .place
                        .module
                        .starts_with(&module.place.module);
                    if !(import.is_public && is_below) {
                        add(&import.path, import.line, to);
                    }
                }
            }
            for (path, line) in &module.paths {
                for to in self.definers(at, path) {
                    add(path, *line, to);
                }
            }
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by(|a, b| (&a.from.file, a.line, &a.path).cmp(&(&b.from.file, b.line, &b.path)));
        all
    }

    /// The modules that define what `path` names in the module `at`: several where systems differ,
    /// none for a module itself or what another crate defines.
    fn definers(&self, at: usize, path: &[String]) -> Vec<usize> {
        self.resolve(at, path, 0).unwrap_or_default()
    }

    fn resolve(&self, mut at: usize, mut path: &[String], depth: usize) -> Option<Vec<usize>> {
        let start = path;
        while let [first, rest @ ..] = path {
            match &**first {
                "crate" => at = 0,
                "super" => at = self.modules[at].parent?,
                "self" => {}
                _ => break,
            }
            path = rest;
        }
        let found = self.look_up(at, path, depth);
        // What is not found there a macro of that module has defined.
        if path.len() < start.len() {
            found.or(Some(vec![at]))
        } else {
            found
        }
    }

    fn look_up(&self, at: usize, path: &[String], depth: usize) -> Option<Vec<usize>> {
        let [name, rest @ ..] = path else {
            return Some(Vec::new());
        };
        // A `use` that names itself: another crate of the same name.
        if depth > 8 {
            return None;
        }
        let module = &self.modules[at];
        let is_item = module.items.contains(name);
        let child = module.children.iter().find(|(child, _)| child == name);
        if let Some(&(_, child)) = child.filter(|_| !(rest.is_empty() && is_item)) {
            return self.look_up(child, rest, depth + 1).or(Some(vec![child]));
        }
        if is_item {
            return Some(vec![at]);
        }
        let through = |import: &Use, rest: &[String]| {
            let path = [&import.path, rest].concat();
            self.resolve(at, &path, depth + 1)
        };
        let named = module
            .uses
            .iter()
            .filter(|import| import.name.as_ref() == Some(name));
        let mut found: Vec<_> = named
            .map(|import| through(import, rest).unwrap_or_default())
            .collect();
        if found.is_empty() {
            let globs = module.uses.iter().filter(|import| import.name.is_none());
            found = globs.filter_map(|import| through(import, path)).collect();
        }
        (!found.is_empty()).then(|| found.concat())
    }
}

/// Reads the files of a crate, module by module.
struct Reader<'a> {
    tree: &'a mut Tree,
    read: &'a dyn Fn(&str) -> Option<String>,
    /// The module that is read.
    at: usize,
    /// Where the files of its children are.
    dir: PathBuf,
}

impl Reader<'_> {
    /// Reads the file of a module. Its children are beside it or in a folder of its name.
    fn file(&mut self, path: &Path, module: Vec<String>, has_children_beside: bool) -> usize {
        let file = path.to_str().expect("a name in UTF-8").to_owned();
        let text = (self.read)(&file).unwrap_or_else(|| panic!("{file} is not there"));
        let items = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let dir = match has_children_beside {
            true => path.parent().expect("a folder").into(),
            false => path.with_extension(""),
        };
        self.module(Place { file, module }, dir, &items.items)
    }

    fn module(&mut self, place: Place, dir: PathBuf, items: &[Item]) -> usize {
        let module = self.tree.modules.len();
        let parent = (!place.module.is_empty()).then_some(self.at);
        self.tree.modules.push(Module {
            place,
            parent,
            children: Vec::new(),
            items: HashSet::new(),
            uses: Vec::new(),
            paths: Vec::new(),
        });
        let mut inner = Reader {
            tree: self.tree,
            read: self.read,
            at: module,
            dir,
        };
        for item in items {
            inner.visit_item(item);
        }
        module
    }

    fn here(&mut self) -> &mut Module {
        &mut self.tree.modules[self.at]
    }

    fn child(&mut self, item: &ItemMod) {
        let name = item.ident.to_string();
        let Place { file, mut module } = self.here().place.clone();
        module.push(name.clone());
        let beside = self.dir.join(format!("{name}.rs"));
        let child = if let Some((_, items)) = &item.content {
            self.module(Place { file, module }, self.dir.join(&name), items)
        } else if let Some(path) = item.attrs.iter().find_map(path_of) {
            let dir = Path::new(&file).parent().expect("a folder");
            self.file(&normal(&dir.join(path)), module, true)
        } else if (self.read)(beside.to_str().expect("UTF-8")).is_some() {
            self.file(&beside, module, false)
        } else {
            self.file(&self.dir.join(&name).join("mod.rs"), module, true)
        };
        self.here().children.push((name, child));
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String], is_public: bool) {
        let line = tree.span().start().line;
        let path = |ident: &Ident| [prefix, &[ident.to_string()]].concat();
        let (name, path) = match tree {
            UseTree::Path(inner) => {
                return self.use_tree(&inner.tree, &path(&inner.ident), is_public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, is_public);
                }
                return;
            }
            UseTree::Name(name) if name.ident == "self" => {
                (prefix.last().cloned(), prefix.to_vec())
            }
            UseTree::Name(name) => (Some(name.ident.to_string()), path(&name.ident)),
            UseTree::Rename(both) if both.ident == "self" => {
                (Some(both.rename.to_string()), prefix.to_vec())
            }
            UseTree::Rename(both) => (Some(both.rename.to_string()), path(&both.ident)),
            UseTree::Glob(_) => (None, prefix.to_vec()),
        };
        self.here().uses.push(Use {
            name,
            path,
            is_public,
            line,
        });
    }

    /// What the tokens of a macro have: items in braces, and paths.
    fn tokens(&mut self, tokens: TokenStream) {
        if let Ok(file) = syn::parse2::<syn::File>(tokens.clone()) {
            return file.items.iter().for_each(|item| self.visit_item(item));
        }
        let mut path: Vec<String> = Vec::new();
        // How many colons, or how much else, came since the last name.
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && !path.is_empty() {
                        self.here().paths.push((std::mem::take(&mut path), line));
                    }
                    (colons, line) = (0, ident.span().start().line);
                    path.push(ident.to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.here().paths.push((std::mem::take(&mut path), line));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.here().paths.push((path, line));
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = head(item);
        if attributes.iter().any(is_for_tests) {
            return;
        }
        match item {
            Item::Mod(item) => return self.child(item),
            Item::Use(item) => return self.visit_item_use(item),
            _ => {}
        }
        if let Some(name) = name {
            self.here().items.insert(name.to_string());
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        self.use_tree(&item.tree, &[], is_public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        let line = path.span().start().line;
        let names = names.collect();
        self.here().paths.push((names, line));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        self.visit_path(&invocation.path);
        self.tokens(invocation.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// The attributes and the name of an item.
fn head(item: &Item) -> (&[Attribute], Option<&Ident>) {
    macro_rules! head {
        ($($kind:ident)*; $($nameless:ident)*) => {
            match item {
                $(Item::$kind(item) => (&item.attrs, Some(&item.ident)),)*
                $(Item::$nameless(item) => (&item.attrs, None),)*
                Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
                Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
                _ => (&[], None),
            }
        };
    }
    head!(Const Enum Mod Static Struct Trait Type Union; Impl Use)
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return attribute.path().is_ident("test");
    };
    let mut tokens = list.tokens.clone().into_iter();
    let first = tokens.next().map(|token| token.to_string());
    let within = tokens
        .next()
        .map(|token| token.to_string())
        .unwrap_or_default();
    list.path.is_ident("cfg")
        && (first.as_deref() == Some("test")
            || first.as_deref() == Some("all") && within.starts_with("(test"))
}

/// The file that a `#[path = "…"]` names.
fn path_of(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
            Lit::Str(path) => Some(path.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}
