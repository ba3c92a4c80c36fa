//! From the command line to a machine and a manifest.

use super::Arguments;
use crate::cache::Cache;
use crate::collect::Wish;
use crate::failure::Failure;
use crate::jdk::Jdk;
use crate::kernel::Kernel;
use crate::layers::{self, Application, Target};
use crate::machine::{CPUS_MAX, Machine, Qemu, check_sizes};
use crate::network::Network;
use crate::tree::absolute;
use crate::volume::Volume;
use crate::{accel, bundle, program, progress};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use wire::{Manifest, Program};

/// What the user asks for, checked as far as that is possible without building anything.
pub(super) struct Plan<'a> {
    arguments: &'a Arguments,
    cache: Cache,
    jdk: Option<Jdk>,
    application: Application,
    program: Program,
    cpus: u32,
    wishes: Vec<Wish>,
    volumes: Vec<Volume>,
}

/// Everything is there.
pub(super) struct Ready {
    pub(super) machine: Machine,
    pub(super) manifest: Manifest,
    pub(super) wishes: Vec<Wish>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(arguments: &'a Arguments) -> Result<Plan<'a>, Failure> {
        let cpus = arguments.cpus.unwrap_or_else(cpus_here);
        check_sizes(arguments.memory, cpus)?;
        check_network(arguments)?;
        let wishes: Result<Vec<Wish>, String> = arguments.get.iter().map(|text| Wish::parse(text)).collect();
        let wishes = wishes.map_err(|why| Failure::usage(format!("--get {why}")))?;
        let volumes: Result<Vec<Volume>, String> = arguments.volume.iter().map(|text| Volume::parse(text)).collect();
        let volumes = volumes.map_err(|why| Failure::usage(format!("--volume {why}")))?;
        let jdk = if arguments.exec { None } else { Some(Jdk::discover(arguments.jdk.as_deref())?) };
        let mut words = arguments.command.iter().cloned();
        let target = match (words.next(), &arguments.class_path) {
            (None, _) if arguments.setup => Target::Nothing,
            (None, None) if !arguments.exec => return Err(nothing_to_run("a jar")),
            (None, Some(_)) => return Err(nothing_to_run("the main class after -cp PATH")),
            (None, None) => return Err(nothing_to_run("a program after --exec")),
            (Some(word), _) if word.to_string_lossy().starts_with('-') => {
                return Err(Failure::usage(format!(
                    "unknown option {}; --help lists the options",
                    word.to_string_lossy()
                )));
            }
            (Some(word), _) if arguments.exec => Target::Executable(find_program(&word)?),
            (Some(_), Some(path)) => Target::ClassPath(path.clone()),
            (Some(word), None) => Target::Jar(PathBuf::from(word)),
        };
        let mut program = match &jdk {
            Some(jdk) => program::java(jdk, &java_words(arguments)),
            None => native(arguments, &target)?,
        };
        for variable in &arguments.env {
            if variable.find('=').is_none_or(|at| at == 0) {
                return Err(Failure::usage(format!("--env {variable}: expected NAME=VALUE")));
            }
        }
        program.env = program::environment(std::env::vars_os(), &arguments.env);
        let directory = std::env::current_dir()
            .map_err(|error| Failure::file("use the current directory", Path::new("."), &error))?;
        program.cwd = directory.as_os_str().as_encoded_bytes().to_vec();
        let guest_path = |wish: &Wish| wish.guest.as_os_str().as_encoded_bytes().to_vec();
        program.get = wishes.iter().map(guest_path).collect();
        program::attach(&mut program);
        let application = Application {
            jvm_options: arguments.jvm_option.clone(),
            working_directory: Some(directory),
            mount_points: volumes.iter().map(|volume| volume.path.clone()).collect(),
            additions: arguments.add.iter().map(|text| addition(text)).collect::<Result<_, _>>()?,
            library_path: value_of("LD_LIBRARY_PATH", &arguments.env),
            ..Application::new(target)
        };
        Ok(Plan { arguments, cache: Cache::open()?, jdk, application, program, cpus, wishes, volumes })
    }

    /// Builds what is missing. `None`: that was all.
    pub(super) fn prepare(self) -> Result<Option<Ready>, Failure> {
        let arguments = self.arguments;
        let qemu = Qemu::find(&self.cache)?;
        // The application first: mistakes in what the user named come before minutes of building.
        let has_application = !matches!(self.application.target, Target::Nothing);
        let application = has_application.then(|| self.application_layer()).transpose()?;
        let base = layers::base(&self.cache, self.jdk.as_ref())?;
        let kernel = match &arguments.kernel {
            Some(file) => Kernel::from_file(&self.cache, file)?,
            None => Kernel::prepare_with(&self.cache, &self.kernel_features())?,
        };
        let mut machine = Machine::new(kernel);
        machine.qemu = qemu.program.clone();
        machine.kind = arguments.machine;
        machine.memory_bytes = arguments.memory;
        machine.cpus = self.cpus;
        machine.network = network(arguments);
        machine.publish = arguments.publish.clone();
        machine.kernel_args = arguments.kernel_arg.clone();
        if arguments.verbose && !machine.kernel_args.iter().any(|word| word.starts_with("loglevel=")) {
            machine.kernel_args.push("loglevel=info".into());
        }
        machine.qemu_args = arguments.qemu_arg.clone();
        machine.waits_for_gdb = arguments.gdb;
        machine.accel = accel::choose(arguments.accel, &self.cache, &qemu)?;
        let Some(application) = application else {
            return Ok(None);
        };
        machine.add_layer(application);
        machine.add_layer(base);
        for (index, volume) in self.volumes.iter().enumerate() {
            volume.ensure()?;
            machine.disks.push(volume.disk(index)?);
        }
        if arguments.build_only {
            if let Some(file) = &arguments.output {
                self.bundle(file, &machine)?;
            }
            return Ok(None);
        }
        if arguments.gdb {
            let symbols = machine.kernel.unstripped.display();
            progress::note(&format!("waiting for gdb; run: gdb {symbols} -ex 'target remote :1234'"));
        }
        let mut manifest = self.manifest([self.program.clone()]);
        manifest.volumes = self.volumes.iter().enumerate().map(|(index, volume)| volume.entry(index)).collect();
        Ok(Some(Ready { machine, manifest, wishes: self.wishes }))
    }

    fn manifest(&self, programs: [Program; 1]) -> Manifest {
        Manifest { addresses: self.arguments.ip.clone(), ..program::manifest(programs) }
    }

    /// The optional parts of the kernel that this machine needs.
    fn kernel_features(&self) -> Vec<&'static str> {
        let has_network = network(self.arguments) != Network::None;
        let parts = [("network", has_network), ("volumes", !self.volumes.is_empty())];
        parts.into_iter().filter(|(_, is_needed)| *is_needed).map(|(name, _)| name).collect()
    }

    fn application_layer(&self) -> Result<layers::Layer, Failure> {
        let layer = layers::application(&self.cache, &self.application)?;
        // On a terminal each time; elsewhere only when the layer is built, or logs fill with it.
        if layer.is_new || std::io::stderr().is_terminal() {
            layer.warnings.iter().for_each(|text| progress::note(text));
        }
        Ok(layer)
    }

    /// The image of `--output`: both layers in one, no terminal, no input.
    fn bundle(&self, file: &Path, machine: &Machine) -> Result<(), Failure> {
        let _task = progress::Task::start(format!("building {}", file.display()));
        let (mut tree, _) = self.application.tree()?;
        tree.merge(layers::base_tree(self.jdk.as_ref(), &layers::locales())?);
        let mut program = self.program.clone();
        program.ttys = wire::Terminals::default();
        program.window = None;
        program.get.clear();
        bundle::write(file, tree, self.manifest([program]), machine)?;
        let file = absolute(file)?;
        progress::note(&format!("{} is ready; to run it:\n{}", file.display(), bundle::how_to_run(&file, machine)));
        Ok(())
    }
}

/// The network as chosen: none unless it is asked for, since a kernel without one is smaller and starts sooner.
fn network(arguments: &Arguments) -> Network {
    let is_needed = !arguments.publish.is_empty() || !arguments.ip.is_empty();
    let default = if is_needed { Network::User } else { Network::None };
    match arguments.net.clone().unwrap_or(default) {
        // By its address, so that it is the same machine for the others after its next start.
        Network::Switch { path, .. } => {
            let name = arguments.ip.iter().map(|ip| ip.address.to_string()).collect::<Vec<_>>().join(" ");
            Network::Switch { path, name }
        }
        network => network,
    }
}

/// What does not go together.
fn check_network(arguments: &Arguments) -> Result<(), Failure> {
    let network = network(arguments);
    if !arguments.publish.is_empty() && network != Network::User {
        return Err(Failure::usage("--publish works with --net user only; at a tap the guest's ports are its own"));
    }
    if let Network::Switch { path, .. } = &network {
        if arguments.ip.is_empty() {
            return Err(Failure::usage(
                "--net switch= needs --ip: the switch gives no two machines addresses of their own",
            ));
        }
        if !path.exists() {
            let path = path.display();
            return Err(Failure::usage(format!(
                "--net switch={path}: no such socket; start run-java.sh --switch {path}"
            )));
        }
    }
    if arguments.publish.iter().any(|entry| entry.machine.is_some()) {
        return Err(Failure::usage(
            "--publish HOST:MACHINE:GUEST belongs to --switch; a machine alone needs no address there",
        ));
    }
    if network == Network::None && !arguments.ip.is_empty() {
        return Err(Failure::usage("--ip needs a network: leave --net none out"));
    }
    for is_ipv4 in [true, false] {
        if arguments.ip.iter().filter(|ip| ip.address.is_ipv4() == is_ipv4).count() > 1 {
            return Err(Failure::usage("--ip: at most one IPv4 and one IPv6 address"));
        }
    }
    Ok(())
}

fn nothing_to_run(what: &str) -> Failure {
    Failure::usage(format!("nothing to run: name {what}; --help says more"))
}

/// The launcher's words after `java`.
fn java_words(arguments: &Arguments) -> Vec<OsString> {
    let mut words: Vec<OsString> = arguments.jvm_option.iter().map(OsString::from).collect();
    match &arguments.class_path {
        Some(path) => words.extend(["-cp".into(), path.into()]),
        None => words.push("-jar".into()),
    }
    words.extend(arguments.command.iter().cloned());
    words
}

fn native(arguments: &Arguments, target: &Target) -> Result<Program, Failure> {
    let (Target::Executable(file), Some(name)) = (target, arguments.command.first()) else {
        return Err(nothing_to_run("a program after --exec"));
    };
    let name = name.to_string_lossy();
    Ok(program::native(&absolute(file)?, &name, arguments.command.get(1..).unwrap_or_default()))
}

/// The file that a shell would run.
fn find_program(name: &OsString) -> Result<PathBuf, Failure> {
    let path = Path::new(name);
    if path.components().count() > 1 || path.is_absolute() {
        return Ok(path.to_path_buf());
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&search).map(|directory| directory.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| Failure::usage(format!("no such program on the PATH: {}", path.display())))
}

/// `HOST:GUEST`, or `HOST` for the same path in the guest.
fn addition(text: &str) -> Result<(PathBuf, PathBuf), Failure> {
    let (host, guest) = text.split_once(':').unwrap_or((text, ""));
    if host.is_empty() || !(guest.is_empty() || guest.starts_with('/')) {
        return Err(Failure::usage(format!("--add {text}: expected HOST:GUEST with an absolute path in the guest")));
    }
    let host = absolute(Path::new(host))?;
    if !host.exists() {
        return Err(Failure::usage(format!("--add: no such file or directory: {}", host.display())));
    }
    let guest = if guest.is_empty() { host.clone() } else { PathBuf::from(guest) };
    Ok((host, guest))
}

fn value_of(name: &str, variables: &[String]) -> String {
    let value = variables.iter().rev().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default().to_string()
}

fn cpus_here() -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cpus).unwrap_or(CPUS_MAX).min(CPUS_MAX)
}
