//! Victims: connections of strangers, in every state in which the guest may have one.

use super::hostile::Target;
use crate::crowd::frame::{ACK, End, RST};
use crate::crowd::peer::{Connection, Crowd, Manner};
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;

/// The guest's state (RFC 9293, 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    Closing,
    LastAck,
    TimeWait,
}

const STATES: [State; 7] = [
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];
/// Victims in each state.
const EACH: usize = 6;
/// The server closes what it was asked to.
const CLOSE_TIME: Duration = Duration::from_millis(300);

/// How often one is asked whether it is still there, in the time of an answer.
const TRIES: u32 = 30;

/// A connection that may die.
pub struct Victim {
    state: State,
    pub end: End,
}

/// Makes some in each state, while the network is quiet.
pub fn prepare(crowd: &mut Crowd) -> Result<Vec<Victim>> {
    let mut victims = Vec::new();
    for state in STATES.repeat(EACH) {
        let end = begin(crowd, state).with_context(|| format!("a victim in {state:?}"))?;
        victims.push(Victim { state, end });
    }
    while crowd.hear(CLOSE_TIME)? {}
    // The guest's own end has not been acknowledged, and here is the peer's.
    for victim in victims.iter().filter(|victim| victim.state == State::Closing) {
        crowd.finish(victim.end)?;
        was_heard(crowd, victim.end)?;
    }
    Ok(victims)
}

fn begin(crowd: &mut Crowd, state: State) -> Result<End> {
    let manner = if state == State::SynReceived { Manner::Mute } else { Manner::Behaves };
    let end = crowd.open_as(manner, crowd.patience)?;
    match state {
        State::SynReceived => {}
        // The server has it too.
        State::Established => _ = crowd.ask(end, b"victim.", b'.')?,
        State::FinWait1 | State::Closing => {
            crowd.connection(end)?.manner = Manner::Deaf;
            crowd.say(end, b"C.")?;
            was_heard(crowd, end)?;
        }
        State::LastAck => {
            crowd.connection(end)?.manner = Manner::Deaf;
            crowd.finish(end)?;
            was_heard(crowd, end)?;
        }
        State::FinWait2 | State::TimeWait => {
            crowd.say(end, b"C.")?;
            ensure!(crowd.wait(end, crowd.patience, |connection| connection.is_over)?, "the server closes nothing");
            if state == State::TimeWait {
                crowd.finish(end)?;
                was_heard(crowd, end)?;
            }
        }
    }
    Ok(end)
}

fn was_heard(crowd: &mut Crowd, end: End) -> Result<()> {
    ensure!(crowd.wait(end, crowd.patience, Connection::is_heard)?, "no acknowledgement");
    Ok(())
}

/// What a stranger who has seen all of a connection knows.
pub fn target(crowd: &mut Crowd, end: End, is_victim: bool) -> Result<Target> {
    let connection = crowd.connection(end)?;
    Ok(Target { end, seq: connection.seq, ack: connection.ack, is_victim })
}

/// Resets each, now that nothing is lost, until the guest refuses what its peer says: it is no connection any more. But for two
/// kinds: a reset does not end TIME_WAIT (RFC 1337), nor an opening that is a SYN cookie, of which the guest knows nothing.
pub fn end(crowd: &mut Crowd, victims: &[Victim]) -> Result<()> {
    let can_end = |victim: &&Victim| !matches!(victim.state, State::TimeWait | State::SynReceived);
    for Victim { state, end } in victims.iter().filter(can_end) {
        end_one(crowd, *end).with_context(|| format!("a victim in {state:?}"))?;
    }
    Ok(())
}

fn end_one(crowd: &mut Crowd, end: End) -> Result<()> {
    for _ in 0..TRIES {
        let connection = crowd.connection(end)?;
        (connection.is_reset, connection.expected) = (false, None);
        let Connection { seq, ack, .. } = *connection;
        // Strangers may have said more than the peer: an old byte makes the guest tell what it expects. One from before the
        // opening: what is just behind it is good as a SYN cookie's.
        crowd.segment(end, seq.wrapping_sub(1000), ack, (ACK, 60_000), b"?")?;
        crowd.wait(end, crowd.patience / TRIES, |connection| connection.is_reset || connection.expected.is_some())?;
        let Connection { is_reset, expected, .. } = *crowd.connection(end)?;
        match expected {
            _ if is_reset => return Ok(()),
            Some(expected) => crowd.segment(end, expected, ack, (RST, 0), &[])?,
            None => {}
        }
    }
    bail!("it is still there after {TRIES} resets")
}
