//! glibc's resolver in the guest against a name server of this test's, which sees what is asked: the answers arrive, names of
//! the guest's own files are not asked for, and nothing waits for a time-out.

use crate::build::Built;
use crate::guest::Guest;
use crate::parts::with_part;
use crate::table::{Program, Test};
use crate::tally::Tally;
use anyhow::{Result, bail, ensure};
use images::network::Network;
use images::program;
use images::session::{self, Options};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A record: name, type, and the data of its answer.
const A: u16 = 1;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const AAAA: u16 = 28;
/// Response codes.
const NO_SUCH_NAME: u8 = 3;

/// What the guest asks for, and what it has to say then.
const NAMES: [&str; 6] = ["four.test", "both.test", "alias.test", "missing.test", "192.0.2.7", "localhost"];
const EXPECTED: &str = "\
four.test is [192.0.2.7]
both.test is [192.0.2.8, 2001:db8:0:0:0:0:0:8]
alias.test is [192.0.2.7]
missing.test is unknown
192.0.2.7 is four.test
localhost is [127.0.0.1]
here: demitasse/127.0.1.1
";

/// Runs it if `filter` lets it through.
pub fn run(filter: &dyn Fn(&str) -> bool, built: &Built, guest: &Guest, tally: &mut Tally) {
    let name = "parts-dns";
    if !filter(name) {
        return;
    }
    // The guest's 10.0.2.2 is this computer's loopback. Resolvers ask at port 53, which only root may have.
    match UdpSocket::bind("127.0.0.1:53") {
        Ok(socket) => match lookups(socket, built, guest) {
            Ok(()) => tally.pass(name),
            Err(error) => tally.fail(name, &format!("{error:#}")),
        },
        Err(error) => tally.skip(name, &format!("NO PORT 53 for a name server of the test's own: {error}")),
    }
}

fn lookups(socket: UdpSocket, built: &Built, guest: &Guest) -> Result<()> {
    let mut machine = with_part(guest, "network")?;
    machine.network = Network::User;
    let args = NAMES.iter().map(ToString::to_string).collect();
    let test = Test { args, ..Test::new("parts-dns", Program::Java("Lookup".into())) };
    let mut manifest = program::manifest([guest.program(&test, built)]);
    manifest.addresses.push("10.0.2.15/24,gw=10.0.2.2,dns=10.0.2.2".parse().map_err(anyhow::Error::msg)?);
    let server = Server::start(socket)?;
    let options = Options { time_limit: Some(Duration::from_secs(180)), ..Options::default() };
    let outcome = session::run(&machine, &manifest, options)?;
    let asked = server.end();
    let Some(result) = outcome.programs.into_iter().next() else { bail!("{:?}", outcome.failure) };
    let (stdout, stderr) = (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
    ensure!(result.status == 0 && stdout == EXPECTED, "{stdout}{stderr}\nasked: {asked:?}");
    for known in ["localhost", program::HOSTNAME] {
        ensure!(!asked.iter().any(|(name, _)| name.starts_with(known)), "{known} was asked for: {asked:?}");
    }
    // A question that is asked twice was not answered, or the answer got lost: the resolver waited 5 s.
    for question in &asked {
        let count = asked.iter().filter(|other| *other == question).count();
        ensure!(count == 1, "{question:?} was asked {count} times: {asked:?}");
    }
    Ok(())
}

type Questions = Arc<Mutex<Vec<(String, u16)>>>;

/// A name server that knows the zone of [`answers`].
struct Server {
    asked: Questions,
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Server {
    fn start(socket: UdpSocket) -> Result<Server> {
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (asked, is_over) = (Questions::default(), Arc::new(AtomicBool::new(false)));
        let (list, end) = (asked.clone(), is_over.clone());
        let thread = thread::spawn(move || {
            let mut packet = [0; 512];
            while !end.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut packet) else { continue };
                if let Some((name, kind, answer)) = answer(&packet[..len]) {
                    list.lock().expect("nobody panics").push((name, kind));
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Server { asked, is_over, thread })
    }

    /// All questions, in order.
    fn end(self) -> Vec<(String, u16)> {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        std::mem::take(&mut self.asked.lock().expect("nobody panics"))
    }
}

/// The records of `name`; `None`: there is no such name.
fn answers(name: &str) -> Option<Vec<(u16, Vec<u8>)>> {
    let v6 = "2001:db8::8".parse::<std::net::Ipv6Addr>().expect("an address").octets().to_vec();
    Some(match name {
        "four.test" => vec![(A, vec![192, 0, 2, 7])],
        "both.test" => vec![(A, vec![192, 0, 2, 8]), (AAAA, v6)],
        "alias.test" => vec![(CNAME, encoded("four.test"))],
        "7.2.0.192.in-addr.arpa" => vec![(PTR, encoded("four.test"))],
        _ => return None,
    })
}

/// A name as in a message (RFC 1035, 3.1).
fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// The question's name and type, and the message that answers it (RFC 1035, 4.1).
fn answer(packet: &[u8]) -> Option<(String, u16, Vec<u8>)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let len = usize::from(*packet.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + len)?).to_lowercase());
        at += len;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?);
    let question = packet.get(12..at + 4)?;
    let known = answers(&name);
    let mut records = Vec::new();
    // An alias is followed, as a recursive server does.
    let mut owner = name.clone();
    while let Some(found) = answers(&owner) {
        let wanted = found.iter().filter(|(of, _)| *of == kind || *of == CNAME);
        records.extend(wanted.map(|(of, data)| (owner.clone(), *of, data.clone())));
        if !found.iter().any(|(of, _)| *of == CNAME) || kind == CNAME {
            break;
        }
        owner = "four.test".into();
    }
    let code = if known.is_some() { 0 } else { NO_SUCH_NAME };
    let mut message = packet[..2].to_vec();
    // A response, recursion desired and available.
    message.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    message.extend(question);
    for (owner, of, data) in &records {
        message.extend(encoded(owner));
        message.extend(of.to_be_bytes());
        // Class IN, 60 seconds.
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
    Some((name, kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_follows_aliases_and_knows_what_is_missing() {
        let ask = |name: &str, kind: u16| {
            let header = [7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            answer(&[&header[..], &encoded(name), &kind.to_be_bytes(), &[0, 1]].concat()).unwrap().2
        };
        let alias = ask("ALIAS.test", A);
        assert_eq!((alias[..2].to_vec(), alias[3] & 15, alias[7]), (vec![7, 9], 0, 2));
        assert!(alias.ends_with(&[0, 4, 192, 0, 2, 7]));
        assert_eq!(ask("missing.test", A)[3] & 15, NO_SUCH_NAME);
        assert_eq!((ask("four.test", AAAA)[3] & 15, ask("four.test", AAAA)[7]), (0, 0));
    }
}
