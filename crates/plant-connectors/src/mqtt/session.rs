//! One connection to a broker, from CONNECT to its end, in MQTT 3.1.1.

use super::link::{Message, Status, Subscriber};
use super::options::{BrokerOptions, BrokerTls};
use crate::failure;
use domain::plant::ConnectorError;
use futures::{SinkExt as _, StreamExt as _};
use rumqttc::{
    Codec, ConnAck, Connect, ConnectReturnCode, Packet, QoS, Subscribe, SubscribeFilter, SubscribeReasonCode,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

/// Maximum size of a received packet, in bytes: births of Sparkplug nodes with thousands of metrics are that large.
const MAX_INCOMING: usize = 1024 * 1024;
/// Maximum size of a sent packet, which is a SUBSCRIBE, in bytes.
const MAX_OUTGOING: usize = 64 * 1024;
/// Maximum number of topics in one SUBSCRIBE.
const FILTERS_PER_PACKET: usize = 50;
/// Keep-alive interval of the connection, in seconds.
const KEEP_ALIVE_S: u16 = 30;
/// Interval of PINGREQ; if no PINGRESP arrives before the next one, the connection is closed.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A byte stream, encrypted or plain.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Packets = Framed<Box<dyn Stream>, Codec>;

/// Connects, subscribes and receives messages. Returns once `stop` is cancelled.
///
/// # Errors
/// If the connection cannot be established, or breaks.
pub async fn run(
    options: &BrokerOptions,
    subscriber: &dyn Subscriber,
    status: &watch::Sender<Status>,
    stop: &CancellationToken,
) -> Result<(), ConnectorError> {
    let opening = timeout(options.timeout, open(options, subscriber));
    let mut packets = tokio::select! {
        opened = opening => opened.unwrap_or_else(|_| Err(failure::timed_out(options.timeout)))?,
        () = stop.cancelled() => return Ok(()),
    };
    status.send_replace(Status::Subscribed { since: Instant::now() });
    tokio::select! {
        error = listen(&mut packets, subscriber) => Err(error),
        () = stop.cancelled() => {
            let _result = timeout(options.timeout, packets.send(Packet::Disconnect)).await;
            Ok(())
        }
    }
}

async fn open(options: &BrokerOptions, subscriber: &dyn Subscriber) -> Result<Packets, ConnectorError> {
    let stream = options.endpoint.connect().await?;
    let stream: Box<dyn Stream> = match &options.tls {
        Some(tls) => Box::new(encrypt(tls, stream).await?),
        None => Box::new(stream),
    };
    let mut packets = Framed::new(stream, Codec { max_incoming_size: MAX_INCOMING, max_outgoing_size: MAX_OUTGOING });
    let mut connect = Connect::new(options.client_id.as_str());
    connect.keep_alive = KEEP_ALIVE_S;
    connect.login.clone_from(&options.login);
    send(&mut packets, Packet::Connect(connect)).await?;
    match receive(&mut packets).await? {
        Packet::ConnAck(ConnAck { code: ConnectReturnCode::Success, .. }) => (),
        Packet::ConnAck(refusal) => return Err(refused(refusal.code)),
        _ => return Err(failure::invalid_response("it does not speak MQTT 3.1.1")),
    }
    subscribe(&mut packets, subscriber).await?;
    Ok(packets)
}

async fn encrypt(tls: &BrokerTls, stream: TcpStream) -> Result<TlsStream<TcpStream>, ConnectorError> {
    let connector = TlsConnector::from(Arc::new(tls.pinned.config.clone()));
    connector.connect(tls.server_name.clone(), stream).await.map_err(|error| {
        tls.pinned.take_refusal().unwrap_or_else(|| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                failure::unreachable(format!("TLS failed: {}", failure::foreign(&error.to_string())))
            }
            _ => failure::io(&error),
        })
    })
}

fn refused(code: ConnectReturnCode) -> ConnectorError {
    match code {
        ConnectReturnCode::BadUserNamePassword => failure::access_denied("user name or password is wrong"),
        ConnectReturnCode::NotAuthorized => failure::access_denied("the broker does not authorize this account"),
        ConnectReturnCode::BadClientId => failure::access_denied("the broker refuses the client id; set client_id"),
        ConnectReturnCode::ServiceUnavailable => failure::unreachable("the broker says that it is unavailable"),
        ConnectReturnCode::RefusedProtocolVersion => failure::invalid_response("the broker refuses MQTT 3.1.1"),
        ConnectReturnCode::Success => failure::invalid_response("the broker contradicts itself"),
    }
}

/// Subscribes to everything and waits for the confirmations. Topics that the broker refuses are reported to the
/// subscriber; it is an error only if the broker refuses all of them.
async fn subscribe(packets: &mut Packets, subscriber: &dyn Subscriber) -> Result<(), ConnectorError> {
    let filters = subscriber.filters();
    let mut unconfirmed: HashMap<u16, &[String]> = HashMap::new();
    let mut allowed = 0;
    for (chunk, packet_id) in filters.chunks(FILTERS_PER_PACKET).zip(1_u16..) {
        let wanted = chunk.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtMostOnce));
        let mut request = Subscribe::new_many(wanted);
        request.pkid = packet_id;
        send(packets, Packet::Subscribe(request)).await?;
        unconfirmed.insert(packet_id, chunk);
    }
    while !unconfirmed.is_empty() {
        match receive(packets).await? {
            Packet::SubAck(confirmation) => {
                let chunk = unconfirmed.remove(&confirmation.pkid).unwrap_or_default();
                for (filter, code) in chunk.iter().zip(&confirmation.return_codes) {
                    match code {
                        SubscribeReasonCode::Success(_) => allowed += 1,
                        SubscribeReasonCode::Failure => subscriber.refused(filter),
                    }
                }
            }
            packet => deliver(&packet, subscriber),
        }
    }
    if allowed == 0 && !filters.is_empty() {
        return Err(failure::access_denied("the broker allows this account none of the topics"));
    }
    Ok(())
}

/// Receives messages until the connection breaks, and returns the reason.
async fn listen(packets: &mut Packets, subscriber: &dyn Subscriber) -> ConnectorError {
    let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    // After a pause of this process, a response still gets its full time.
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = false;
    loop {
        tokio::select! {
            packet = receive(packets) => match packet {
                Ok(Packet::PingResp) => unanswered = false,
                Ok(packet) => deliver(&packet, subscriber),
                Err(error) => return error,
            },
            _ = ping.tick() => {
                if unanswered {
                    return failure::timed_out(PING_INTERVAL);
                }
                unanswered = true;
                match timeout(PING_INTERVAL, send(packets, Packet::PingReq)).await {
                    Ok(Ok(())) => (),
                    Ok(Err(error)) => return error,
                    Err(_) => return failure::timed_out(PING_INTERVAL),
                }
            }
        }
    }
}

fn deliver(packet: &Packet, subscriber: &dyn Subscriber) {
    if let Packet::Publish(message) = packet {
        let (topic, payload) = (message.topic.as_str(), message.payload.as_ref());
        subscriber.message(Message { topic, payload, retained: message.retain });
    }
}

async fn send(packets: &mut Packets, packet: Packet) -> Result<(), ConnectorError> {
    packets.send(packet).await.map_err(|error| codec_failure(&error))
}

/// The next packet. Cancellation loses no data.
async fn receive(packets: &mut Packets) -> Result<Packet, ConnectorError> {
    match packets.next().await {
        Some(Ok(packet)) => Ok(packet),
        Some(Err(error)) => Err(codec_failure(&error)),
        None => Err(failure::unreachable("the broker closed the connection; does another client use its id?")),
    }
}

fn codec_failure(error: &rumqttc::mqttbytes::Error) -> ConnectorError {
    match error {
        rumqttc::mqttbytes::Error::Io(error) => failure::io(error),
        rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded(size) => {
            failure::invalid_response(format!("a message of {size} bytes came; the limit is {MAX_INCOMING}"))
        }
        error => failure::invalid_response(failure::foreign(&error.to_string())),
    }
}
