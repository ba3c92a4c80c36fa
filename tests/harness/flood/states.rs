//! Victims: connections of strangers, in every state in which the guest may have one.

use super::hostile::Target;
use crate::crowd::frame::{ACK, End, RST};
use crate::crowd::peer::{ANSWER_TIME, Connection, Crowd, Manner};
use anyhow::{Context, Result, ensure};
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
    let end = crowd.open_as(manner, ANSWER_TIME)?;
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
            ensure!(crowd.wait(end, ANSWER_TIME, |connection| connection.is_over)?, "the server closes nothing");
            if state == State::TimeWait {
                crowd.finish(end)?;
                was_heard(crowd, end)?;
            }
        }
    }
    Ok(end)
}

fn was_heard(crowd: &mut Crowd, end: End) -> Result<()> {
    ensure!(crowd.wait(end, ANSWER_TIME, Connection::is_heard)?, "no acknowledgement");
    Ok(())
}

/// What a stranger who has seen all of a connection knows.
pub fn target(crowd: &mut Crowd, end: End, is_victim: bool) -> Result<Target> {
    let connection = crowd.connection(end)?;
    Ok(Target { end, seq: connection.seq, ack: connection.ack, is_victim })
}

/// Each hears a last reset, now that nothing is lost, and must be no connection of the guest's any more: the guest refuses
/// what its peer says. But for two kinds: a reset does not end TIME_WAIT (RFC 1337), nor an opening that is a SYN cookie, of
/// which the guest knows nothing.
pub fn are_gone(crowd: &mut Crowd, victims: &[Victim]) -> Result<()> {
    let can_end = |victim: &&Victim| !matches!(victim.state, State::TimeWait | State::SynReceived);
    for Victim { state, end } in victims.iter().filter(can_end) {
        let Connection { seq, ack, .. } = *crowd.connection(*end)?;
        crowd.segment(*end, seq, ack, (RST, 0), &[])?;
        crowd.connection(*end)?.is_reset = false;
        crowd.segment(*end, seq, ack, (ACK, 60_000), b"?")?;
        let is_refused = crowd.wait(*end, ANSWER_TIME, |connection| connection.is_reset)?;
        ensure!(is_refused, "in {state:?}: a connection is still there after its reset");
    }
    Ok(())
}
